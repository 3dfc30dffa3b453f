"""The origin's mask pipeline: photos a second against a plain OpenCV rendition, and of two processes against one.

    python benchmarks/origin_mask.py [--photos 300] [--staged 3000] [--rounds 5]

First ratio, one core (OpenCV at one thread, this process pinned to one core, processor time): pictures decoded
beforehand, so that both sides start from the same arrays; they take turns at every picture, and each must come out the
same, pixel for pixel.

    handlens   `origin_picture`: components measured all at once
    plain      straight OpenCV and NumPy with a Python loop over components

Second ratio: the stage `prepare` on files (decode, mask, encode, write, journal) with two worker processes against one,
start of the processes included, in turns, by the clock: of use only on a machine that does nothing else.

Must reach: handlens at least 1.8 times plain, two processes at least 1.8 times one. Takes the photos of
../shared/data/photos where they are, else draws some.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from handlens.dataset.files import file_digest, link_or_copy
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.prepare import PrepareSettings, prepare
from handlens.dataset.prepare.origin_mask import origin_picture
from handlens.dataset.workspace import Workspace
from handlens.photo import read_photo

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "data" / "photos" / "train"

Picture = NDArray[np.uint8]


def plain(rgb: Picture) -> Picture:
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = Image.fromarray(rgb[top : top + side, left : left + side].copy())
    pixels = np.array(image.resize((256, 256), Image.Resampling.LANCZOS))
    edges = cv2.Canny(pixels, 100, 75)
    edges = cv2.GaussianBlur(edges, (3, 3), 0)
    contours, _ = cv2.findContours(edges, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    mask = np.zeros((256, 256), np.uint8)
    cv2.drawContours(mask, contours, -1, 1, cv2.FILLED)
    if not mask.any():
        return np.zeros((96, 96, 3), np.uint8)
    scaled = pixels / 255
    references = [scaled[mask == 1].mean(axis=0), np.zeros(3), np.ones(3)]
    if (mask == 0).any():
        references.append(scaled[mask == 0].mean(axis=0))
    count, labels = cv2.connectedComponents(1 - mask, connectivity=8)
    for number in range(1, count):
        component = labels == number
        if component.sum() < mask.size / 3:
            mean = scaled[component].mean(axis=0)
            if mean.var() > 0.01:
                distances = [np.linalg.norm(mean - reference) for reference in references]
                if distances[0] < min(distances[1:]):
                    mask[component] = 1
    count, labels = cv2.connectedComponents(mask, connectivity=4)
    for number in range(1, count):
        component = labels == number
        if component.sum() < mask.size / 32:
            mask[component] = 0
    picture = Image.fromarray(pixels * mask[:, :, None])
    return np.array(picture.resize((96, 96), Image.Resampling.LANCZOS))


def decoded(count: int) -> list[Picture]:
    if PHOTOS.is_dir():
        files = sorted(PHOTOS.rglob("*.jpg"))
        places = np.random.default_rng(1).permutation(len(files))[:count]
        return [read_photo(files[place], needed_side=20_000).rgb for place in sorted(places)]
    return [np.asarray(drawn(seed)) for seed in range(count)]


def drawn(seed: int) -> Image.Image:
    """A lump of crystals on a shaded background with specks on it."""
    rng = np.random.default_rng(seed)
    shade = np.linspace(40, 200, 416)[:, None, None] * rng.uniform(0.5, 1, 3)
    picture = Image.fromarray((shade + rng.normal(0, 4, (416, 416, 3))).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = rng.normal(208, 70, 2)
        corners = [(x + dx, y + dy) for dx, dy in rng.normal(0, 25, (4, 2))]
        pen.polygon(corners, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return picture


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    cores, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    os.sched_setaffinity(0, {min(cores)})
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(threads)


def seconds_each(ways: dict[str, Callable[[Picture], Picture]], photos: list[Picture]) -> dict[str, float]:
    spent = dict.fromkeys(ways, 0.0)
    for photo in photos:
        for name, make in ways.items():
            start = time.process_time()
            make(photo)
            spent[name] += time.process_time() - start
    return spent


def against_plain(count: int, rounds: int) -> float:
    photos = decoded(count)
    ways: dict[str, Callable[[Picture], Picture]] = {"handlens": origin_picture, "plain": plain}
    with one_core():
        for number, photo in enumerate(photos):  # the first run of each, too
            if not np.array_equal(origin_picture(photo), plain(photo)):
                raise SystemExit(f"photo {number} comes out different")
        runs = [seconds_each(ways, photos) for _ in range(rounds)]
    print(f"one core, {len(photos)} decoded photos, all the same in both; {rounds} rounds")
    for name in ways:
        rates = sorted(len(photos) / run[name] for run in runs)
        print(f"  {name:<14} median {statistics.median(rates):6.1f} photos/s   ({rates[0]:.1f} to {rates[-1]:.1f})")
    return statistics.median(run["plain"] / run["handlens"] for run in runs)


def staged(folder: Path, count: int) -> Workspace:
    """A workspace whose stage before `prepare` is done."""
    workspace = Workspace(folder)
    rows = []
    files = sorted(PHOTOS.rglob("*.jpg")) if PHOTOS.is_dir() else []
    if not files:
        for seed in range(200):
            files.append(folder / "drawn" / f"{seed}.jpg")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            drawn(seed).save(files[-1])
    for number in range(count):
        source = files[number % len(files)]
        file = f"images/{number:05d}.jpg"
        link_or_copy(source, folder / file)
        digest = file_digest(source)
        rows.append(Row(f"{number:016x}", source.parent.name, "kept", file=file, sha256=digest, split="train"))
    workspace.write(rows, TableInfo("split", {}))
    return workspace


def two_against_one(count: int, rounds: int) -> float:
    settings = PrepareSettings(mode="origin-mask")
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as parent:
        workspace = staged(Path(parent), count)
        for _ in range(rounds):
            for workers in rates:
                shutil.rmtree(workspace.processed, ignore_errors=True)
                for left in workspace.stages.glob("prepare*"):
                    left.unlink()
                start = time.perf_counter()
                summary = prepare(workspace, settings, workers=workers)
                rates[workers].append(count / (time.perf_counter() - start))
                if summary.made != count:
                    raise SystemExit(f"{summary.made} of {count} photos were made: {summary.unprepared}")
    print(f"the stage, {count} photo files; {rounds} paired runs")
    for workers, found in rates.items():
        name = f"{workers} process{'es' if workers > 1 else ''}"
        print(f"  {name:<14} median {statistics.median(found):6.1f} photos/s   ({min(found):.1f} to {max(found):.1f})")
    return statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))


def main() -> int:
    # Not above: worker processes import this file, and would load a training framework with it.
    from handlens.evaluation.machine import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--staged", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; {'photographs' if PHOTOS.is_dir() else 'drawn pictures'}")
    faster = against_plain(options.photos, options.rounds)
    print(f"handlens / plain       {faster:5.2f}   (must be at least 1.8)")
    wider = two_against_one(options.staged, options.rounds)
    print(f"two processes / one    {wider:5.2f}   (must be at least 1.8)")
    return 0 if faster >= 1.8 and wider >= 1.8 else 1


if __name__ == "__main__":
    sys.exit(main())
