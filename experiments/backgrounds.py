"""Backgrounds exchanged at random while a network is tuned that looks at whole photos, judged leave-one-fold-out.

    python -m experiments.backgrounds RUN OUT [--share 0.5] [--folds fuse-flickr minerobo] [--source MANIFEST]

RUN is a finished run of `handlens train --method tune --look whole`. It is tuned again with a share of its random looks
changed: the specimen, as the localiser finds it, on the background of a photo of half A of `others`, from which its own
specimen was taken (inpainted). Beside it stands RUN itself, tuned on the same photos. OUT keeps tokens and weights.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from experiments.features import MANIFEST
from experiments.labels import report
from handlens.photo import PhotoError, read_photo
from handlens.specimen import MASK_THRESHOLD, Specimen
from handlens.specimen_localiser import Localiser
from handlens.training.run import TrainSettings, load_run, read_split
from handlens.training.samples import read_samples, with_split
from handlens.training.tuning import tokens
from handlens.training.tuning.looks import LARGER, random_looks
from handlens.viewer import Viewer
from handlens.views import Preprocessing

MOST = 300
"""Backgrounds to choose from."""
LEAST_BACKGROUND, MOST_BACKGROUND = 0.4, 0.95
"""Shares of a photo: with less, little of a background is known; with more, the specimen was not found."""
EDGE = 3.0
"""Pixels over which a specimen fades into another background."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the random looks")
    parser.add_argument("--folds", nargs="+", default=["fuse-flickr", "minerobo"])
    parser.add_argument("--source", type=Path, default=MANIFEST)
    options = parser.parse_args()
    run = load_run(options.run)
    settings = run.settings
    assert isinstance(settings, TrainSettings)
    exchanged = Exchanged(settings.preprocessing, options.source, options.share)
    samples = with_split(read_samples(options.source), "train")
    labels = np.array([sample.label for sample in samples])
    folds = np.array([sample.fold for sample in samples])
    groups = np.array([sample.group for sample in samples])
    usable = np.array([sample.usable for sample in samples])
    names = np.unique(labels)
    truth = np.searchsorted(names, labels)
    judged_all = np.flatnonzero(np.isin(folds, options.folds) & usable)
    for title, folder, looks in (("as it is", options.run, random_looks), ("exchanged", options.out, exchanged)):
        tokens.random_looks = looks
        data = read_split(options.source, "train", settings, folder, mirror=False)
        found = np.full((len(labels), len(names)), -np.inf)
        for fold in options.folds:
            here = folds == fold
            train = np.flatnonzero(~here & ~np.isin(groups, groups[here]))
            judged = np.flatnonzero(here & usable)
            seen = data.seen_by(train, settings)
            head = seen.head(train, settings.head)
            found[np.ix_(judged, np.searchsorted(names, head.labels))] = head.logits(seen.plain[judged])
            report(f"{title}, {fold}", found[judged], truth[judged], names)
        report(title, found[judged_all], truth[judged_all], names)


class Exchanged:
    """In place of `random_looks`."""

    def __init__(self, preprocessing: Preprocessing, source: Path, share: float) -> None:
        self._share = share
        self._localiser = Localiser.load(threads=1)
        viewer = Viewer(replace(preprocessing, side=round(LARGER * preprocessing.side)))
        others = [one for one in with_split(read_samples(source), "others") if one.half == "A"]
        self._backgrounds: list[NDArray[np.uint8]] = []
        for place in np.random.default_rng(0).permutation(len(others)):
            try:
                view = viewer.views(read_photo(others[place].path, needed_side=preprocessing.needed_side).rgb)[0]
            except PhotoError:
                continue
            if (mask := self._mask(view)) is not None:
                self._backgrounds.append(without(view, mask))
            if len(self._backgrounds) == MOST:
                break

    def __call__(self, view: NDArray[np.uint8], side: int, count: int, name: str) -> NDArray[np.uint8]:
        """See `random_looks`."""
        rng = np.random.default_rng(zlib.crc32(f"{name} background".encode("utf-8", "surrogateescape")))
        mask = self._mask(view)
        looks = []
        for look in range(count):
            shown = view
            if mask is not None and rng.random() < self._share:
                ground = self._backgrounds[rng.integers(len(self._backgrounds))]
                shown = laid(view, mask, np.ascontiguousarray(ground[:, :: rng.choice([-1, 1])]))
            looks.append(random_looks(shown, side, 1, f"{name} {look}"))
        return np.concatenate(looks)

    def _mask(self, view: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """(H, W), 255 inside the specimen, where there is enough of a background."""
        found: Specimen = self._localiser.locate(view)
        if found.mask is None:
            return None
        inside = np.where(found.mask >= MASK_THRESHOLD, 255, 0).astype(np.uint8)
        if not LEAST_BACKGROUND <= 1 - inside.mean() / 255 <= MOST_BACKGROUND:
            return None
        return np.asarray(Image.fromarray(inside).resize(view.shape[1::-1], Image.Resampling.BILINEAR))


def without(view: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The background alone, what was behind the specimen guessed from around it."""
    side = len(view) // 3
    small = cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA)
    hole = cv2.dilate((cv2.resize(mask, (side, side)) > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    filled = cv2.inpaint(small, hole, 5, cv2.INPAINT_TELEA)
    whole = cv2.resize(filled, view.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    outside = cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0
    return np.where(outside[..., None], view, whole).astype(np.uint8)


def laid(view: NDArray[np.uint8], mask: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The specimen of a view on another background."""
    weight = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(EDGE))
    return np.asarray(Image.composite(Image.fromarray(view), Image.fromarray(ground), weight))


if __name__ == "__main__":
    main()
