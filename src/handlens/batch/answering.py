"""From units to outcomes, with one Identifier: what a worker process and a node of a cluster do."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock, local
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.batch.reading import read
from handlens.batch.units import Answer, Asked, Failure, Outcome, PhotoRef, Unit
from handlens.evidence import BadEvidenceError, Evidence
from handlens.fusion import fuse
from handlens.identifier import Identifier, Look
from handlens.model import Scores
from handlens.photo import PhotoError, PhotoSource
from handlens.specimen import Specimen
from handlens.viewer import Viewer
from handlens.views import Preprocessing

__all__ = ["Answering"]

_THUMBNAIL_SIDE: Final = 144
_QUALITY: Final = 60


class Answering:
    """Answers units; one for each process."""

    def __init__(self, asked: Asked) -> None:
        """Loads the bundle with one thread. Raises as `Identifier.load`."""
        self._asked = asked
        self._identifier = cast("_Watched", _Watched.load(asked.bundle, threads=1))

    def outcomes(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """One outcome a unit, in order; a unit is read and decoded while the one before it is in the network."""
        with ThreadPoolExecutor(2, thread_name_prefix="handlens-batch") as pool:
            yield from pool.map(self.outcome, units)

    def outcome(self, unit: Unit) -> Outcome:
        """The outcome of one unit; whatever is wrong with its photos or its evidence is told in it."""
        digests: list[str] = []
        try:
            contents = [_content(photo, digests) for photo in unit.photos]
            if unit.known and unit.known == tuple(digests):
                return Outcome(unit.key, unit.known, None)
            return Outcome(unit.key, tuple(digests), self._answer(unit, contents))
        except PhotoError as error:
            whole = tuple(digests) if len(digests) == len(unit.photos) else ()
            return Outcome(unit.key, whole, Failure(error.photo, error.code, error.detail))
        except BadEvidenceError as error:
            return Outcome(unit.key, tuple(digests), Failure(unit.photos[0].name, error.code, error.detail))
        except MemoryError:
            detail = "There was not enough memory for this photo."
            return Outcome(unit.key, (), Failure(unit.photos[0].name, "out-of-memory", detail))

    def _answer(self, unit: Unit, contents: list[bytes]) -> Answer:
        """The only place that asks the Identifier."""
        if unit.conflict:
            raise BadEvidenceError(unit.conflict)
        asked, identifier = self._asked, self._identifier
        seen = identifier.watch(thumbnail=asked.review)
        found = identifier.identify(
            contents,
            name=[photo.name for photo in unit.photos],
            evidence=Evidence.of(unit.evidence) if unit.evidence else None,
            top=asked.top,
            among=asked.among,
            lang=asked.lang,
            specimen=unit.specimen or None,
            thorough=asked.thorough,
        )
        answer = found.as_dict()
        logits = fuse(np.stack([scores.logits[0] for scores in seen.scores]))
        return Answer(
            document=json.dumps(answer),
            name=answer["decision"]["name"],
            rank=answer["decision"]["rank"],
            probability=answer["decision"]["probability"],
            unknown_score=answer["unknown_score"],
            scores=_packed(identifier.probabilities(logits)),
            embedding=_packed(_together([scores.embedding[0] for scores in seen.scores])) if asked.index else b"",
            thumbnail=seen.thumbnail,
        )


@dataclass(slots=True)
class _Seen:
    """What went through an Identifier while it answered one unit."""

    wants_thumbnail: bool
    scores: list[Scores]
    thumbnail: bytes = b""


class _Watched(Identifier):
    """An Identifier that also tells, to the thread that asks, what the network said and what the photo looks like.

    One photo at a time is decoded and one is in the network, whatever number of threads ask: memory stays bounded.
    """

    def __init__(self, *given: object, **named: object) -> None:
        self._asking = local()
        self._decoding, self._scoring = Lock(), Lock()
        super().__init__(*given, **named)  # type: ignore[arg-type]

    def watch(self, *, thumbnail: bool) -> _Seen:
        """What the next answer to this thread goes through."""
        self._asking.seen = seen = _Seen(thumbnail, [])
        return seen

    @property
    def viewer(self) -> Viewer:
        return _WatchedViewer(super().viewer, self._asking.seen)

    def look(self, photo: PhotoSource, **asked: Any) -> Look:
        with self._decoding:
            return super().look(photo, **asked)

    def score(self, views: NDArray[np.uint8], more: NDArray[np.uint8] | None = None) -> Scores:
        with self._scoring:
            scores = super().score(views, more)
        self._asking.seen.scores.append(scores)
        return scores


class _WatchedViewer(Viewer):
    """A viewer that keeps a small picture of the first photo, so that no photo is decoded twice."""

    def __init__(self, viewer: Viewer, seen: _Seen) -> None:
        self._viewer, self._seen = viewer, seen

    def specimen(self, rgb: NDArray[np.uint8]) -> Specimen:
        return self._viewer.specimen(rgb)

    def views(
        self,
        rgb: NDArray[np.uint8],
        specimen: Specimen | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> NDArray[np.uint8]:
        views = self._viewer.views(rgb, specimen, preprocessing)
        if self._seen.wants_thumbnail and not self._seen.thumbnail:
            self._seen.thumbnail = _thumbnail(rgb)
        return views


def _content(photo: PhotoRef, digests: list[str]) -> bytes:
    content = read(photo)
    digests.append(hashlib.sha256(content).hexdigest())
    return content


def _thumbnail(rgb: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(rgb)
    picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    encoded = io.BytesIO()
    # WebP is no smaller at this size and takes thrice as long.
    picture.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return encoded.getvalue()


def _together(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The direction of the mean of several photos' embeddings, as of length 1; zeros where they cancel out."""
    mean = np.mean([one / max(float(np.linalg.norm(one)), 1e-12) for one in embeddings], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def _packed(numbers: NDArray[np.floating]) -> bytes:
    return numbers.astype("<f2").tobytes()
