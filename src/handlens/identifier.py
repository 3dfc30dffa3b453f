"""The façade: photos of one specimen and evidence in, one Identification out.

Every door calls it, so every door gives the same answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from handlens.answerer import DEFAULT_TOP, ORIGIN_TEN, Answerer, UnknownLabelError, check
from handlens.bundle import Bundle, open_bundle
from handlens.errors import UsageError
from handlens.fusion import fuse
from handlens.identification import Identification
from handlens.minerals import Language
from handlens.model import Model, Scores
from handlens.open_set import Novelty
from handlens.photo import Crop, PhotoError, PhotoSource, read_photo
from handlens.viewer import Viewer

if TYPE_CHECKING:
    from handlens.evidence import Evidence
    from handlens.references import Reference, References

__all__ = [
    "DEFAULT_TOP",
    "MOST_PHOTOS",
    "ORIGIN_TEN",
    "Fused",
    "Identification",
    "Identifier",
    "Look",
    "UnknownLabelError",
    "identify",
]

MOST_PHOTOS: Final = 5
"""Photos of one specimen that are looked at together."""
_READ_AHEAD: Final = 4
"""Photos that are decoded ahead of the one being scored: enough to overlap, few enough to bound memory."""


@dataclass(frozen=True, slots=True)
class Look:
    """One photo as the network takes it: its name, its views, uint8 (V, side, side, 3), whether it shows several
    specimens apart from each other, where the bundle's views depend on where the specimen is, and the views of a
    thorough look's K other looks, uint8 (K * V, side, side, 3) of perhaps another side, where it was asked for.
    """

    name: str
    views: NDArray[np.uint8]
    several: bool
    more: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Fused:
    """What the photos of one specimen come to: their names, its logits (labels,), how far it is from all labels, where
    the bundle can tell, and whether some photo shows several specimens.
    """

    names: tuple[str, ...]
    logits: NDArray[np.floating]
    novelty: Novelty | None
    several: bool


class Identifier(Answerer):
    """A loaded bundle with the knowledge base; may be shared between threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, wait: bool = True) -> None:
        """`threads` and `wait`: as in `load`."""
        # Readying the network takes as long as reading a photo, and neither holds the interpreter's lock for long.
        with_network = ThreadPoolExecutor(max_workers=2, thread_name_prefix="handlens-network")
        self._viewer = with_network.submit(_viewer, bundle, threads)  # first, as a photo's first step needs it
        self._model = with_network.submit(Model, bundle, threads=threads)
        with_network.shutdown(wait=False)
        super().__init__(bundle)
        if wait:
            self._viewer.result()
            self._model.result()

    @property
    def model(self) -> Model:
        """The network, once it is ready."""
        return self._model.result()

    @property
    def viewer(self) -> Viewer:
        """What makes the views, once it is ready."""
        return self._viewer.result()

    @classmethod
    def load(
        cls, bundle: str | os.PathLike[str] | None = None, *, threads: int | None = None, wait: bool = True
    ) -> Identifier:
        """Opens a bundle (by default the one that ships, or that of HANDLENS_BUNDLE) and readies its network.

        `threads`: those of the network, by default as many as there are processors. `wait=False` returns while the
        network is still being made ready, so that a first photo can be read meanwhile; an error of the network then
        comes with its first use. Raises BadBundleError; MissingExtraError where the bundle needs more than is
        installed. Its `bundle` has no graphs any more, which are tens of megabytes: the sessions have them.
        """
        opened = open_bundle(bundle)
        identifier = cls(opened, threads=threads, wait=wait)
        identifier.bundle = opened.without_graphs()
        return identifier

    def identify(
        self,
        photo: PhotoSource | Sequence[PhotoSource],
        *,
        evidence: Evidence | None = None,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        crop: Crop | None = None,
        rotate: int = 0,
        name: str | Sequence[str] | None = None,
        lang: Language = "en",
        specimen: str | None = None,
        thorough: bool = False,
    ) -> Identification:
        """Names the mineral in one photo, or in 1 to 5 photos of one specimen, given as a list or tuple.

        `photo`, `crop`, `rotate`, `name`: as in `handlens.photo.read_photo`; crop and rotation are of each photo, and
        several photos have a name each. `evidence`: what simple tests said of the specimen. `top`: how many candidates
        to give, 1 or more. `among`: names of the labels to choose from. `lang`: of the sentence that advises the next
        test. `specimen`: an id to pass through. `thorough`: look at each photo in more ways, which takes longer and is
        right more often. Raises PhotoError for a photo that cannot be read, UnknownLabelError for a name in `among`
        that is no label, UsageError for the other parameters and for `thorough` where the bundle has no more ways.
        """
        check(top, lang)
        chosen = self.label_indices(among)
        self.check_thorough(thorough)
        looks = self._read(photo, crop=crop, rotate=rotate, name=name, thorough=thorough)
        self._use_the_wait(evidence)
        found = self._fused(looks)
        return self.answer(
            found.names,
            found.logits,
            top=top,
            chosen=chosen,
            novelty=found.novelty,
            evidence=evidence,
            lang=lang,
            specimen=specimen,
            several=found.several,
        )

    def identify_each(
        self,
        photos: Iterable[PhotoSource],
        *,
        evidence: Evidence | None = None,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        crop: Crop | None = None,
        rotate: int = 0,
        lang: Language = "en",
        thorough: bool = False,
    ) -> Iterator[Identification | PhotoError]:
        """Identifies many photos in their order; a photo that cannot be read gives its error and stops nothing.

        Each photo is a specimen of its own, and the evidence is of each. Photos are decoded ahead on other threads
        while the network works. Parameters and other errors are those of `identify`.
        """
        # Not in the generator: a wrong parameter is an error of this call, not of its first answer.
        check(top, lang)
        self.check_thorough(thorough)
        answer = partial(self.answer, top=top, chosen=self.label_indices(among), evidence=evidence, lang=lang)
        look = partial(self.look, crop=crop, rotate=rotate, thorough=thorough)
        return self._each(iter(photos), look, evidence, answer)

    def _each(
        self,
        source: Iterator[PhotoSource],
        look: Callable[[PhotoSource], Look],
        evidence: Evidence | None,
        answer: Callable[..., Identification],
    ) -> Iterator[Identification | PhotoError]:
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="handlens-decode") as pool:
            waiting = [pool.submit(look, photo) for photo in islice(source, _READ_AHEAD)]
            try:
                self._use_the_wait(evidence)
                while waiting:
                    future = waiting.pop(0)
                    waiting.extend(pool.submit(look, photo) for photo in islice(source, 1))
                    try:
                        seen = future.result()
                    except PhotoError as error:
                        yield error
                    else:
                        found = self._fused([seen])
                        yield answer(seen.name, found.logits, novelty=found.novelty, several=found.several)
            finally:  # closed early or interrupted: what was read ahead is not wanted any more
                pool.shutdown(wait=False, cancel_futures=True)

    def look(
        self,
        photo: PhotoSource,
        *,
        crop: Crop | None = None,
        rotate: int = 0,
        name: str | None = None,
        thorough: bool = False,
    ) -> Look:
        """What there is to see in a photo."""
        own, more = self.bundle.preprocessing, self.bundle.thorough if thorough else None
        needed = own.needed_side if more is None else max(own.needed_side, more.preprocessing.needed_side)
        read = read_photo(photo, name=name, crop=crop, rotate=rotate, needed_side=needed)
        viewer = self.viewer
        specimen = viewer.specimen(read.rgb)
        others = None if more is None else viewer.views(read.rgb, specimen, more.preprocessing)
        return Look(read.name, viewer.views(read.rgb, specimen), specimen.pieces > 1, others)

    def views(
        self, photo: PhotoSource, *, crop: Crop | None = None, rotate: int = 0, name: str | None = None
    ) -> tuple[str, NDArray[np.uint8]]:
        """The photo's name and its views, uint8 (V, side, side, 3), as the network takes them."""
        seen = self.look(photo, crop=crop, rotate=rotate, name=name)
        return seen.name, seen.views

    def fused(
        self,
        photo: PhotoSource | Sequence[PhotoSource],
        *,
        crop: Crop | None = None,
        rotate: int = 0,
        name: str | Sequence[str] | None = None,
        thorough: bool = False,
    ) -> Fused:
        """What `identify` answers from; parameters and errors as there."""
        self.check_thorough(thorough)
        return self._fused(self._read(photo, crop=crop, rotate=rotate, name=name, thorough=thorough))

    def _read(
        self,
        photo: PhotoSource | Sequence[PhotoSource],
        *,
        crop: Crop | None,
        rotate: int,
        name: str | Sequence[str] | None,
        thorough: bool,
    ) -> list[Look]:
        """All photos before any is scored, so that one that cannot be read is told early."""
        photos, names = _specimen_photos(photo, name)
        look = partial(self.look, crop=crop, rotate=rotate, thorough=thorough)
        return [look(one, name=its) for one, its in zip(photos, names, strict=True)]

    def _fused(self, photos: Sequence[Look]) -> Fused:
        scores = [self.score(one.views, one.more) for one in photos]
        logits, open_set = fuse(np.stack([one.logits[0] for one in scores])), self.bundle.open_set
        novelty = None
        if open_set is not None:
            novelty = Novelty.of_photos([open_set.novelty(one.embedding[0]) for one in scores])
        return Fused(tuple(one.name for one in photos), logits, novelty, any(one.several for one in photos))

    def score(self, views: NDArray[np.uint8], more: NDArray[np.uint8] | None = None) -> Scores:
        """The scores of one photo's views, and of those of a thorough look's other looks (`Look.more`): logits
        (1, labels), and the network's own embedding (1, D).
        """
        own = self.model.run(views[np.newaxis])
        if more is None:
            return own
        assert self.bundle.thorough is not None
        count = len(views)
        # One at a time, as the network's numbers in 8 bits have one scale for all that runs together.
        others = [self.model.run(more[np.newaxis, at : at + count]) for at in range(0, len(more), count)]
        logits, embeddings = (
            np.concatenate(part) for part in zip(*((o.logits, o.embedding) for o in others), strict=True)
        )
        found = self.bundle.thorough.logits(own.logits[0], logits, embeddings)
        return Scores(found[np.newaxis], own.embedding)

    def nearest(self, scores: Scores) -> tuple[Reference, ...]:
        """The reference specimens that a photo of these `scores` looks most like; none where the bundle has none.

        Raises BadBundleError where they are damaged.
        """
        if self._references is None or self.bundle.open_set is None:
            return ()
        return self._references.nearest(scores.embedding[0], self.bundle.open_set)

    @cached_property
    def _references(self) -> References | None:
        return self.bundle.references()

    def _use_the_wait(self, evidence: Evidence | None) -> None:
        """Makes the tables while the network is not ready yet: they then add nothing to the time of an answer."""
        if not self._model.done():
            field_evidence, _ = self._tables()
            if evidence:
                _ = field_evidence.others


def _viewer(bundle: Bundle, threads: int | None) -> Viewer:
    if bundle.localiser is None:
        return Viewer(bundle.preprocessing)
    from handlens.specimen_localiser import Localiser

    return Viewer(bundle.preprocessing, Localiser.of(bundle.localiser, threads=threads))


def _specimen_photos(
    photo: PhotoSource | Sequence[PhotoSource], name: str | Sequence[str] | None
) -> tuple[Sequence[PhotoSource], Sequence[str | None]]:
    """The photos of one specimen and the name given to each."""
    photos: Sequence[PhotoSource] = photo if isinstance(photo, list | tuple) else (photo,)
    if not 1 <= len(photos) <= MOST_PHOTOS:
        raise UsageError(f"{len(photos)} photos: one specimen has 1 to {MOST_PHOTOS}")
    names: Sequence[str | None] = [None] * len(photos) if name is None else (name,) if isinstance(name, str) else name
    if len(names) != len(photos):
        raise UsageError(f"{len(names)} names for {len(photos)} photos")
    return photos, names


def identify(
    photo: PhotoSource | Sequence[PhotoSource],
    *,
    evidence: Evidence | None = None,
    top: int = DEFAULT_TOP,
    among: Sequence[str] | None = None,
    lang: Language = "en",
) -> Identification:
    """Names the mineral in one specimen's photos with the default bundle. For many photos load an Identifier once."""
    return Identifier.load().identify(photo, evidence=evidence, top=top, among=among, lang=lang)
