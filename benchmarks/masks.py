"""The origin's mask pipeline beside the specimen localiser, on photos by photographers the localiser never saw.

    python benchmarks/masks.py --manifest M --masks D --run R [--count 600] [--sheet FILE.png --sheet-photos 24]

Both are compared with the teacher's masks of the split "train" on what the origin sees, the centre square, on a grid of
128 x 128; the localiser's masks are the held-out answers of a training run (`python -m handlens.training.localiser`).
Photos whose teacher's mask covers less than 2 % of the square are left out. "ellipse": one and the same ellipse, the
best of nine sizes. Milliseconds are medians on one processor, from the upright photo to the mask, by the shipped
localiser. The sheet shows photo, teacher, origin and localiser side by side; photos may not be passed on, so it belongs
outside the repository.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.dataset.prepare.origin_mask import origin_mask
from handlens.evaluation.machine import machine
from handlens.photo import read_photo
from handlens.specimen import MASK_SIDE, MASK_THRESHOLD
from handlens.specimen_localiser import Localiser
from handlens.specimen_mask import clean_mask
from handlens.training.localiser.data import MaskedPhoto, read_masked_photos, teacher_mask
from handlens.training.localiser.figures import at_threshold
from handlens.training.localiser.report import report
from handlens.training.localiser.run import LocaliserRun, read_answers

LEAST_AREA = 0.02


@dataclass(frozen=True)
class Compared:
    """One photo: its centre square (128, 128, 3), and the three masks of that square (128, 128)."""

    photo: MaskedPhoto
    square: NDArray[np.uint8]
    teacher: NDArray[np.bool_]
    origin: NDArray[np.bool_]
    localiser: NDArray[np.bool_]
    origin_ms: float
    localiser_ms: float


def of_square(mask: NDArray[np.uint8], width: int, height: int) -> NDArray[np.bool_]:
    """The part of a mask (128, 128) over the whole stretched photo that lies over the centre square."""
    side = min(width, height) / np.array([width, height])
    left, top = (1 - side) / 2 * MASK_SIDE
    box = (left, top, left + side[0] * MASK_SIDE, top + side[1] * MASK_SIDE)
    square = Image.fromarray(mask).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BILINEAR, box)
    return np.asarray(square) >= MASK_THRESHOLD


def compare(photo: MaskedPhoto, held_out: NDArray[np.uint8], localiser: Localiser) -> Compared:
    rgb = read_photo(photo.path).rgb
    height, width = rgb.shape[:2]
    start = time.perf_counter()
    mask = origin_mask(rgb)
    middle = time.perf_counter()
    localiser.locate(rgb)
    end = time.perf_counter()
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BILINEAR)
    edge = min(width, height)
    box = ((width - edge) / 2, (height - edge) / 2, (width + edge) / 2, (height + edge) / 2)
    square = Image.fromarray(rgb).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BILINEAR, box)
    return Compared(
        photo,
        np.asarray(square),
        of_square(teacher_mask(photo), width, height),
        np.asarray(small) >= MASK_THRESHOLD,
        of_square(held_out, width, height),
        1e3 * (middle - start),
        1e3 * (end - middle),
    )


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def best_ellipse(judged: list[Compared]) -> list[float]:
    y, x = np.mgrid[0:MASK_SIDE, 0:MASK_SIDE] / (MASK_SIDE - 1) * 2 - 1
    tried = [[iou(x**2 + y**2 <= radius**2, one.teacher) for one in judged] for radius in np.linspace(0.5, 1.3, 9)]
    return max(tried, key=statistics.fmean)


def sheet(compared: list[Compared], path: Path) -> None:
    rows = []
    for one in compared:
        shown = [one.square]
        for mask in (one.teacher, one.origin, one.localiser):
            shown.append(np.where(mask[..., np.newaxis], one.square, 127).astype(np.uint8))
        rows.append(np.concatenate(shown, axis=1))
    columns = [np.concatenate(rows[start::3]) for start in range(3)]
    least = min(map(len, columns))
    Image.fromarray(np.concatenate([column[:least] for column in columns], axis=1)).save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--manifest", "--masks", "--run"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--count", type=int, default=600, help="photos, drawn at random")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (a PNG outside the repository)")
    parser.add_argument("--sheet-photos", type=int, default=24)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = LocaliserRun(options.run, tuple(read_masked_photos(options.manifest, options.masks)))
    threshold, answers = report(run).thresholds.mask, read_answers(run)
    train = np.flatnonzero([run.photos[place].split == "train" for place in answers.places])
    chosen = np.random.default_rng(0).permutation(train)[: options.count]
    localiser = Localiser.load(threads=1)
    compared = [
        compare(run.photos[answers.places[n]], clean_mask(at_threshold(answers.masks[n], threshold))[0], localiser)
        for n in chosen
    ]
    judged = [one for one in compared if one.teacher.mean() >= LEAST_AREA]
    print(f"{machine()}; {len(judged)} of {len(compared)} photos judged")
    print(f"{'':<12} {'mean IoU':>8} {'median':>7} {'10th perc.':>10} {'under 0.5':>9} {'empty':>6} {'ms':>6}")
    scores = {
        "origin": [iou(one.origin, one.teacher) for one in judged],
        "localiser": [iou(one.localiser, one.teacher) for one in judged],
        "ellipse": best_ellipse(judged),
    }
    for name, values in scores.items():
        low, under = np.quantile(values, 0.1), np.mean(np.array(values) < 0.5)
        empty, milliseconds = "-", "-"
        if name != "ellipse":
            empty = f"{np.mean([not getattr(one, name).any() for one in judged]):.1%}"
            milliseconds = f"{statistics.median(getattr(one, f'{name}_ms') for one in judged):.1f}"
        print(
            f"{name:<12} {statistics.fmean(values):>8.3f} {statistics.median(values):>7.3f} {low:>10.3f} {under:>9.1%}"
            f" {empty:>6} {milliseconds:>6}"
        )
    better = np.mean(np.array(scores["localiser"]) > np.array(scores["origin"]))
    print(f"the localiser's mask is the better one for {better:.1%} of the photos")
    if options.sheet:
        sheet(compared[: options.sheet_photos], options.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
