"""The façade: one photo in, one Identification out. Every door calls it, so every door gives the same answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import Bundle, open_bundle
from handlens.decision import (
    Candidate,
    Decision,
    Taxonomy,
    decide,
    prediction_set,
    softmax,
    unknown_score,
)
from handlens.errors import HandlensError, UsageError
from handlens.minerals import KnowledgeBase
from handlens.model import Model, Scores
from handlens.photo import Crop, PhotoError, PhotoSource, read_photo
from handlens.specimen import whole_frame
from handlens.views import make_views

__all__ = ["DEFAULT_TOP", "ORIGIN_TEN", "Identification", "Identifier", "UnknownLabelError", "identify"]

DEFAULT_TOP: Final = 5
ORIGIN_TEN: Final = (
    "copper",
    "pyromorphite",
    "amethyst",
    "malachite",
    "azurite",
    "wulfenite",
    "pyrite",
    "quartz",
    "fluorite",
    "calcite",
)
"""The ten labels of the project this one began as, reserved under the name `origin-ten`."""
_DIGITS: Final = 6
_READ_AHEAD: Final = 4
"""Photos that are decoded ahead of the one being scored: enough to overlap, few enough to bound memory."""


class UnknownLabelError(HandlensError):
    """A name is none of the bundle's labels (`unknown-label`)."""

    code = "unknown-label"


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one photo.

    `candidates`: the most probable labels, best first, cut to `top`; before the cut their probabilities sum to 1.
    `prediction_set`: labels of the 90 % set, best first. `unknown_score`: 0 to 1, higher = less likely any label.
    `model`: the name of the bundle.
    """

    photo: str
    decision: Decision
    candidates: tuple[Candidate, ...]
    prediction_set: tuple[str, ...]
    unknown_score: float
    model: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of every door, numbers rounded to 6 decimals."""
        return {
            "photo": self.photo,
            "decision": {
                "name": self.decision.name,
                "rank": self.decision.rank,
                "probability": round(self.decision.probability, _DIGITS),
            },
            "candidates": [
                {"name": candidate.name, "probability": round(candidate.probability, _DIGITS)}
                for candidate in self.candidates
            ],
            "prediction_set": list(self.prediction_set),
            "unknown_score": round(self.unknown_score, _DIGITS),
            "model": self.model,
        }


class Identifier:
    """A loaded bundle with the knowledge base; may be shared between threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, wait: bool = True) -> None:
        """`threads` and `wait`: as in `load`."""
        self.bundle = bundle
        # Readying the network takes as long as reading a photo, and neither holds the interpreter's lock for long.
        with_network = ThreadPoolExecutor(max_workers=1, thread_name_prefix="handlens-network")
        self._model = with_network.submit(Model, bundle, threads=threads)
        with_network.shutdown(wait=False)
        self.minerals = KnowledgeBase.load()
        self.taxonomy = Taxonomy.of(bundle.labels, self.minerals)
        if wait:
            self._model.result()

    @property
    def model(self) -> Model:
        """The network, once it is ready."""
        return self._model.result()

    @classmethod
    def load(
        cls, bundle: str | os.PathLike[str] | None = None, *, threads: int | None = None, wait: bool = True
    ) -> Identifier:
        """Opens a bundle (by default the one that ships, or that of HANDLENS_BUNDLE) and readies its network.

        `threads`: those of the network, by default as many as there are processors. `wait=False` returns while the
        network is still being made ready, so that a first photo can be read meanwhile; an error of the network then
        comes with its first use. Raises BadBundleError; MissingExtraError where the bundle needs more than is
        installed.
        """
        return cls(open_bundle(bundle), threads=threads, wait=wait)

    def identify(
        self,
        photo: PhotoSource,
        *,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        crop: Crop | None = None,
        rotate: int = 0,
        name: str | None = None,
    ) -> Identification:
        """Names the mineral in one photo.

        `photo`, `crop`, `rotate`, `name`: as in `handlens.photo.read_photo`. `top`: how many candidates to give, 1 or
        more. `among`: names of the labels to choose from. Raises PhotoError for a photo that cannot be read,
        UnknownLabelError for a name in `among` that is no label, UsageError for `top`.
        """
        chosen = self.label_indices(among)
        read_name, views = self.views(photo, crop=crop, rotate=rotate, name=name)
        return self.answer(read_name, self.score(views).logits[0], top=top, chosen=chosen)

    def identify_each(
        self,
        photos: Iterable[PhotoSource],
        *,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        crop: Crop | None = None,
        rotate: int = 0,
    ) -> Iterator[Identification | PhotoError]:
        """Identifies many photos in their order; a photo that cannot be read gives its error and stops nothing.

        Photos are decoded ahead on other threads while the network works. Parameters and other errors are those of
        `identify`.
        """
        # Not in the generator: a wrong parameter is an error of this call, not of its first answer.
        _check_top(top)
        return self._each(iter(photos), top, self.label_indices(among), crop, rotate)

    def _each(
        self, source: Iterator[PhotoSource], top: int, chosen: list[int] | None, crop: Crop | None, rotate: int
    ) -> Iterator[Identification | PhotoError]:
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="handlens-decode") as pool:

            def submit(photo: PhotoSource) -> Future[tuple[str, NDArray[np.uint8]]]:
                return pool.submit(self.views, photo, crop=crop, rotate=rotate)

            waiting = [submit(photo) for photo in islice(source, _READ_AHEAD)]
            try:
                while waiting:
                    future = waiting.pop(0)
                    waiting.extend(submit(photo) for photo in islice(source, 1))
                    try:
                        name, views = future.result()
                    except PhotoError as error:
                        yield error
                    else:
                        yield self.answer(name, self.score(views).logits[0], top=top, chosen=chosen)
            finally:  # closed early or interrupted: what was read ahead is not wanted any more
                pool.shutdown(wait=False, cancel_futures=True)

    def views(
        self, photo: PhotoSource, *, crop: Crop | None = None, rotate: int = 0, name: str | None = None
    ) -> tuple[str, NDArray[np.uint8]]:
        """The photo's name and its views, uint8 (V, side, side, 3), as the network takes them."""
        preprocessing = self.bundle.preprocessing
        read = read_photo(photo, name=name, crop=crop, rotate=rotate, needed_side=preprocessing.needed_side)
        return read.name, make_views(read.rgb, whole_frame(read.rgb), preprocessing)

    def score(self, views: NDArray[np.uint8]) -> Scores:
        """The network's scores of one photo's views: logits (1, labels) and embedding (1, D)."""
        return self.model.run(views[np.newaxis])

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities of all labels, in the bundle's order."""
        return softmax(logits, self.bundle.temperature)

    def label_indices(self, among: Sequence[str] | None) -> list[int] | None:
        """Places of the labels named in `among`, without repeats, or None for all of them.

        Synonyms and Spanish names are understood; `origin-ten` stands for ORIGIN_TEN. Raises UnknownLabelError for a
        name that is no label of this bundle, UsageError for no name at all.
        """
        if among is None:
            return None
        places = {label: index for index, label in enumerate(self.bundle.labels)}
        given_names = (among,) if isinstance(among, str) else among
        names = [name for given in given_names for name in (ORIGIN_TEN if given == "origin-ten" else (given,))]
        if not names:
            raise UsageError("no label is named to choose among")
        indices = dict.fromkeys(places[self._label(name, places.keys())] for name in names)
        return list(indices)

    def _label(self, name: str, labels: Iterable[str]) -> str:
        if name in labels:
            return name
        known = self.minerals.find(name).name
        if known not in labels:
            raise UnknownLabelError(f"{known!r} is a mineral, but no label of the bundle {self.bundle.name}")
        return known

    def answer(
        self,
        photo: str,
        logits: NDArray[np.floating],
        *,
        top: int = DEFAULT_TOP,
        chosen: Sequence[int] | None = None,
    ) -> Identification:
        """The Identification of a photo from its logits (labels,): the same arithmetic for every door.

        `chosen`: places of the labels to choose from (`label_indices`); the unknown score does not depend on it.
        """
        _check_top(top)
        everything = self.probabilities(logits)
        probabilities = everything
        if chosen is not None:
            # Of a softmax over fewer labels, so that the ratios stay even where all of them are tiny.
            probabilities = np.zeros_like(everything)
            probabilities[list(chosen)] = self.probabilities(logits[list(chosen)])
        allowed = range(len(probabilities)) if chosen is None else chosen
        order = sorted(allowed, key=lambda index: -probabilities[index])
        members = [index for index in prediction_set(everything, self.bundle.set_quantile) if index in allowed]
        labels = self.bundle.labels
        return Identification(
            photo=photo,
            decision=decide(probabilities, self.taxonomy, self.bundle.thresholds),
            candidates=tuple(Candidate(labels[index], float(probabilities[index])) for index in order[:top]),
            prediction_set=tuple(labels[index] for index in members),
            unknown_score=unknown_score(everything),
            model=self.bundle.name,
        )


def _check_top(top: int) -> None:
    if top < 1:
        raise UsageError(f"top is {top}: it must be 1 or more")


def identify(photo: PhotoSource, *, top: int = DEFAULT_TOP, among: Sequence[str] | None = None) -> Identification:
    """Names the mineral in one photo with the default bundle. For many photos load an Identifier once."""
    return Identifier.load().identify(photo, top=top, among=among)
