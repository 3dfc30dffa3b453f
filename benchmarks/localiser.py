"""How fast the specimen localiser is, and how well it agrees with its teacher on photographers it never saw.

    python benchmarks/localiser.py [--photos FOLDER] [--runs 200]
    python benchmarks/localiser.py --manifest M --masks D --run R      with the held-out figures of a training run

    network       the localiser's graph alone, on one stretched photo
    locate        from the upright photo to box and mask
    with decode   from the file to box and mask
    identify      the default bundle's whole answer, from the file: the peer of the times
    ellipse       the same ellipse in the middle for every photo, of the best of nine sizes: the peer of the masks

Times are medians over photos, all in one process on all processors. Must reach: locate at most 20 ms, and the mean IoU
on held-out photographers (split "train") at least 0.85. Without --photos drawn pictures are used.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from handlens.evaluation.machine import machine
from handlens.identifier import Identifier
from handlens.photo import read_photo
from handlens.photo_files import photos_in
from handlens.specimen import MASK_SIDE, Specimen
from handlens.specimen_localiser import GRAPH, Localiser, stretched

ROOT = Path(__file__).resolve().parent.parent
MOST_MILLISECONDS = 20
LEAST_IOU = 0.85


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def read_and_locate(localiser: Localiser, path: Path) -> Specimen:
    return localiser.locate(read_photo(path).rgb)


def times(files: list[Path], runs: int) -> bool:
    localiser, identifier = Localiser.load(), Identifier.load()
    rows: dict[str, list[float]] = {"network": [], "locate": [], "with decode": [], "identify": []}
    for number in range(-5, runs):  # the first ones only warm up
        path = files[number % len(files)]
        rgb = read_photo(path).rgb
        square = stretched(rgb, localiser.settings.side)[np.newaxis]
        taken = {
            "network": milliseconds(partial(localiser.run, square)),
            "locate": milliseconds(partial(localiser.locate, rgb)),
            "with decode": milliseconds(partial(read_and_locate, localiser, path)),
            "identify": milliseconds(partial(identifier.identify, path)),
        }
        if number >= 0:
            for name, value in taken.items():
                rows[name].append(value)
    size = (ROOT / "src" / "handlens" / "localiser" / GRAPH).stat().st_size
    print(f"{machine()}; {len(files)} photos, {runs} runs; the graph has {size / 1e6:.2f} MB")
    for name, values in rows.items():
        low, high = np.quantile(values, [0.1, 0.9])
        print(f"{name:<12} median {statistics.median(values):7.2f} ms   (80 % from {low:.2f} to {high:.2f})")
    locate = statistics.median(rows["locate"])
    print(f"identify / locate {statistics.median(rows['identify']) / locate:5.2f}")
    print(f"locate            {locate:5.2f} ms (must be at most {MOST_MILLISECONDS})")
    return locate <= MOST_MILLISECONDS


def agreement(manifest: Path, masks: Path, folder: Path) -> bool:
    from handlens.training.localiser.data import read_masked_photos, teacher_mask
    from handlens.training.localiser.figures import figures_table
    from handlens.training.localiser.fit import EMPTY_AREA
    from handlens.training.localiser.report import report
    from handlens.training.localiser.run import LocaliserRun

    run = LocaliserRun(folder, tuple(read_masked_photos(manifest, masks)))
    found = report(run)
    print(f"\n{found.thresholds}\n{figures_table(found.rows)}")
    teachers = [teacher_mask(photo) >= 128 for photo in run.photos if photo.split == "train"]
    judged = np.stack([mask for mask in teachers if mask.mean() >= EMPTY_AREA])
    y, x = np.mgrid[0:MASK_SIDE, 0:MASK_SIDE] / (MASK_SIDE - 1) * 2 - 1
    best = 0.0
    for radius in np.linspace(0.5, 1.3, 9):
        ellipse = x**2 + y**2 <= radius**2
        best = max(best, float(np.mean((judged & ellipse).sum((1, 2)) / (judged | ellipse).sum((1, 2)))))
    iou = found.rows["train, all"].iou
    print(f"localiser / ellipse {iou / best:5.2f}   ({iou:.3f} and {best:.3f}; the first must be at least {LEAST_IOU})")
    return iou >= LEAST_IOU


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of photos to time with")
    parser.add_argument("--runs", type=int, default=200)
    for name in ("--manifest", "--masks", "--run"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    files = [Path(path) for path in photos_in(options.photos or ROOT / "examples")]
    chosen = np.random.default_rng(0).permutation(len(files))[: options.runs]
    passed = times([files[place] for place in chosen], options.runs)
    if options.run:
        passed &= agreement(options.manifest, options.masks, options.run)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
