"""The door that is a client of the service."""

from __future__ import annotations

import base64
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from handlens.client.answers import Answer, answer_of, identification_of, outcome_of
from handlens.client.errors import (
    BadAnswerError,
    NotReadyError,
    OverloadedError,
    RequestTimeoutError,
)
from handlens.client.uploads import (
    ClientPhoto,
    Upload,
    among_text,
    crop_text,
    evidence_fields,
    groups,
    read,
    read_specimen,
)
from handlens.errors import HandlensError, MissingExtraError, UsageError
from handlens.evidence import Evidence
from handlens.identification import SEVERAL_SPECIMENS, Identification
from handlens.identifier import DEFAULT_TOP
from handlens.minerals import Language, UnknownMineralError
from handlens.photo import Crop, PhotoError

if TYPE_CHECKING:
    from handlens.client.transport import Transport

__all__ = ["Client"]

_MOST_PHOTOS: Final = 64
_MOST_BYTES: Final = 64 * 2**20
_FORM_HEAD: Final = 2**16
"""More bytes than the fields of a batch take."""
_NO_MINERALS: Final = frozenset({"", ".", "..", "names", "words"})
"""Below /v1/minerals these are other routes, or none."""


class Client:
    """A client of the service at `address`; a context manager, which may be shared between threads.

    Answers are those of `Identifier`, its errors too; what only a service has is a ServiceError. A photo's name in an
    answer is its base name. Redirects are not followed, so that neither key nor photos go to another host.
    """

    def __init__(
        self, address: str, *, key: str | None = None, timeout: float = 90, retries: int = 2, max_wait: float = 60
    ) -> None:
        """`address`: `http://` or `https://`, with the path that the service is below, if any. `key`: the API key.

        `timeout`: seconds without a sign of the service until it is given up. `retries`: how often a request is sent
        again that was answered with 429 or 503 and Retry-After, after as many seconds as that says; `max_wait`: the
        most seconds that a request waits in all, beyond which the error is raised at once. Nothing else is sent again.
        Raises UsageError; MissingExtraError without httpx.
        """
        self._transport = _transport(address, key, timeout, retries, max_wait)

    def __repr__(self) -> str:
        return f"Client({self._transport.address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def identify(
        self,
        photos: ClientPhoto | Sequence[ClientPhoto],
        *,
        evidence: Evidence | Mapping[str, str] | None = None,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        crop: Crop | None = None,
        rotate: int = 0,
        name: str | Sequence[str] | None = None,
        lang: Language = "en",
        specimen: str | None = None,
        thorough: bool = False,
        scores: bool = False,
        explain: bool = False,
    ) -> Answer:
        """Names the mineral in one photo, or in 1 to 5 photos of one specimen, given as a list or tuple.

        Parameters and errors are those of `Identifier.identify`, and ServiceError; a photo that cannot be read is told
        before anything is sent. `evidence` may also be texts by test, as `Evidence.of` takes them; of measured values
        the service takes 4 decimals. `scores`: also every label's, for `reweigh`. `explain`: also the heat map, of one
        photo only; takes about 60 times as long.
        """
        data = self._form(top, among, lang, thorough) | ({} if evidence is None else evidence_fields(evidence))
        if crop is not None:
            data["crop"] = crop_text(crop)
        if rotate:
            data["rotate"] = str(rotate)
        data |= {flag: "1" for flag, wanted in (("scores", scores), ("explain", explain)) if wanted}
        uploads = read_specimen(photos, name)
        return answer_of(self._transport.json("POST", "/v1/identify", data=data, photos=uploads), specimen)

    def identify_batch(
        self,
        photos: Iterable[ClientPhoto],
        *,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        lang: Language = "en",
        thorough: bool = False,
        most_photos: int = _MOST_PHOTOS,
        most_bytes: int = _MOST_BYTES,
    ) -> Generator[Identification | HandlensError]:
        """Identifies many photos, each a specimen of its own, in their order, and gives each answer when it comes.

        In place of the answer for a photo that failed comes its error, mostly a PhotoError, and stops nothing. What is
        wrong with a whole request is raised, as in `identify`. Photos are read and sent in requests of so many photos
        and bytes at most, by default what a service takes by default; no more than that is in memory.
        """
        if most_photos < 1 or most_bytes <= _FORM_HEAD:
            raise UsageError(f"a request must take 1 photo or more and more than {_FORM_HEAD} bytes")
        return self._batches(
            groups(photos, most_photos, most_bytes - _FORM_HEAD), self._form(top, among, lang, thorough)
        )

    def _batches(
        self, requests: Iterator[list[Upload | PhotoError]], data: dict[str, str | list[str]]
    ) -> Generator[Identification | HandlensError]:
        for group in requests:
            uploads = [one for one in group if isinstance(one, Upload)]
            errors = [None if isinstance(one, Upload) else one for one in group]
            del group
            # No request is made before the first line is asked for: none where no photo could be read.
            lines = self._transport.lines("POST", "/v1/identify/batch", data=data, photos=uploads)
            expected = bool(uploads)
            del uploads  # the next group is read when this one is let go
            try:
                for error in errors:
                    yield outcome_of(next(lines, {})) if error is None else error
                if expected and next(lines, None) is not None:
                    raise BadAnswerError("The service answered for more photos than it was sent.")
            finally:
                lines.close()  # for one who stops early the service need not go on

    def reweigh(
        self,
        scored: Answer | Mapping[str, float],
        *,
        evidence: Evidence | Mapping[str, str] | None = None,
        photos: Sequence[str] = (),
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        lang: Language = "en",
        specimen: str | None = None,
    ) -> Identification:
        """The answer that photos would get with this evidence, without sending them again.

        `scored`: the answer of `identify(scores=True)`, or its scores, of all labels, without the novelty that an
        answer may have; `photos`: the names of the photos, by default those of the answer. The rest is as in
        `identify`.
        """
        given: Mapping[str, float] | None
        novelty, several = None, False
        if isinstance(scored, Answer):
            several = SEVERAL_SPECIMENS in scored.warnings
            novelty = scored.novelty
            given, specimen = scored.scores, scored.specimen if specimen is None else specimen
            photos = photos or scored.photos or (scored.photo,)
        else:
            given = scored
        if given is None:
            raise UsageError("the answer has no scores: ask for them with identify(…, scores=True)")
        scores = {label: float(score) for label, score in given.items()}
        if not all(map(math.isfinite, scores.values())):  # JSON has no such numbers
            raise UsageError("the scores must be numbers from 0 to 1")
        body: dict[str, Any] = {"scores": scores, "top": top, "lang": lang}
        body |= {} if novelty is None else {"novelty": novelty.as_dict()}
        body |= {"several": True} if several else {}
        body |= {} if evidence is None else evidence_fields(evidence)
        body |= {"photos": list(photos)} if photos else {}
        body |= {} if among is None else {"among": among_text(among)}
        found = identification_of(self._transport.json("POST", "/v1/reweigh", json=body))
        return found if specimen is None else replace(found, specimen=specimen)

    def predict(self, photo: ClientPhoto) -> str:
        """The most probable of the ten categories of the original contract (`/predict/`), such as "Quartz".

        Raises PhotoError, ServiceError; NotAvailableError where the model does not know all ten.
        """
        body = {"image_base64": base64.b64encode(read(photo).data).decode("ascii")}
        answer = self._transport.json("POST", "/predict/", json=body)
        try:
            return str(answer["La categoria es"])
        except (LookupError, TypeError) as error:
            raise BadAnswerError("The answer has no category.") from error

    def minerals(self) -> list[dict[str, Any]]:
        """All minerals of the service's knowledge base, by name: name, rank, names to show, species."""
        return self._listed({})

    def search(self, text: str, *, limit: int = 20) -> list[dict[str, Any]]:
        """The minerals that a name or the beginning of one finds, best first, `limit` (1 to 50) at most."""
        return self._listed({"search": text, "limit": str(limit)})

    def mineral(self, name: str) -> dict[str, Any]:
        """All that is known of one mineral, by any of its names. Raises UnknownMineralError."""
        if name in _NO_MINERALS or "/" in name:
            raise UnknownMineralError(f"no mineral is called {name[:40]!r}")
        return self._document(f"/v1/minerals/{quote(name, safe='')}")

    def names(self, lang: Language = "en") -> dict[str, str]:
        """From every name that an answer can hold to the one to show."""
        names: dict[str, str] = self._document("/v1/minerals/names", {"lang": lang}).get("names", {})
        return names

    def words(self, lang: Language = "en") -> dict[str, Any]:
        """The words of the knowledge base as people read them: titles, words, notice."""
        return self._document("/v1/minerals/words", {"lang": lang})

    def model(self) -> dict[str, Any]:
        """The loaded model: name, labels, card, measurements, and `max_photo_bytes`."""
        return self._document("/v1/model")

    def ready(self) -> bool:
        """Whether the service can identify a photo now. Raises ServiceError where it cannot be asked."""
        try:
            self._transport.json("GET", "/readyz", retry=False)
        except (NotReadyError, OverloadedError, RequestTimeoutError):
            return False
        return True

    def _form(
        self, top: int, among: Sequence[str] | None, lang: Language, thorough: bool
    ) -> dict[str, str | list[str]]:
        data: dict[str, str | list[str]] = {"top": str(top), "lang": lang}
        data |= {"thorough": "1"} if thorough else {}
        return data if among is None else data | {"among": among_text(among)}

    def _document(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        found = self._transport.json("GET", path, params=params or {})
        if not isinstance(found, dict):
            raise BadAnswerError("The answer is no JSON object.")
        return found

    def _listed(self, params: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._document("/v1/minerals", params).get("minerals", [])
        return found


def _transport(address: str, key: str | None, timeout: float, retries: int, max_wait: float) -> Transport:
    try:
        from handlens.client.transport import Transport
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise MissingExtraError("httpx is not installed: pip install 'handlens[client]'") from error
    return Transport(address, key, timeout, retries, max_wait)
