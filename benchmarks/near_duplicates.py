"""Near-duplicates: what is found of injected copies, and how fast, against a NumPy scan of all pairs in the same run.

    python benchmarks/near_duplicates.py [--photos ../shared/data/photos] [--count N] [--list FILE]

Quality. Of every photo of the manifest four copies are made: resized (30 to 90 %) and encoded as JPEG again; encoded
again (quality 25 to 90); cropped (each side loses a share of its own, 0 to 5 %) and encoded; in one of the seven other
orientations and encoded. All five go the way of the stage: read, hashed, looked up in all poses, confirmed. Recall is
the share of pairs (photo, copy) that are found. Precision is the share of the found pairs that are copies of one photo,
or of photos that the manifest puts in one group (strict), or that were seen by eye to be one picture (`JUDGED`).

Must reach: recall 99 % (resized, encoded again) and 90 % (cropped), precision 99 %; --count takes the first N photos.
--list writes the found pairs that neither the manifest nor `JUDGED` knows.

Speed. 200,000 hashes of double exposures of two real photos, one in five of them a copy of another by cropping; the
first 100,000 are looked up in an index of themselves, and compared in blocks by NumPy, each pair once. Must reach: 30
times faster, and time growing with less than the power 1.5 from 10,000 to 200,000.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.dataset.check.clusters import guarded_clusters
from handlens.dataset.check.hash_index import RADIUS, near_pairs
from handlens.dataset.check.looks import Looks, look
from handlens.dataset.check.near import confirmed_pairs, proposed_pairs
from handlens.dataset.check.same_picture import Thumbnail
from handlens.dataset.check.settings import CheckSettings
from handlens.evaluation.machine import machine
from handlens.photo import read_photo

ROOT = Path(__file__).resolve().parent.parent
KINDS: Final = ("photo", "resized", "encoded again", "cropped", "turned or mirrored")
NEEDED: Final = {"resized": 0.99, "encoded again": 0.99, "cropped": 0.9}
HASHES: Final = 200_000
SIZES: Final = (10_000, 20_000, 50_000, 100_000, 200_000)
COMPARED: Final = 100_000
SMALL: Final = 64

JUDGED: Final = frozenset(
    frozenset(pair)
    for pair in (
        ("156c14dec51f216d", "a9a2c0a7f54c1403"),
        ("17ed17601b283bda", "66911352e0ce5096"),
        ("2c4557bac806b3c9", "32ee1dd2168713da"),
        ("315d6f2838bc99f1", "573b7c5ab60db2d5"),
        ("3aa6da5d58dc9e56", "bb8ed63b3859c1cd"),
        ("746ecaa5f8b203ef", "f252ebe962cd839c"),
        ("0a89a788e4132bfc", "52ba32eccc92063e"),
        ("1615cf78331bc8d8", "9ea5c956b4a3ea05"),
        ("2335870af1af75e0", "c63ab1ecc072336a"),
    )
)
"""Pairs of files (their names without ending) of different groups that show one specimen from one side, by eye: copies
and mirror images under other watermarks, and in one case another exposure."""


def encoded(im: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    im.save(out, "JPEG", quality=quality)
    return out.getvalue()


def copies(path: Path, seed: int) -> list[bytes]:
    """The file, and its four copies."""
    rng = np.random.default_rng(seed)
    im = Image.open(path).convert("RGB")
    share = rng.uniform(0.3, 0.9)
    small = im.resize((max(16, round(im.width * share)), max(16, round(im.height * share))), Image.Resampling.LANCZOS)
    left, top, right, bottom = rng.uniform(0, 0.05, 4)
    box = im.width * left, im.height * top, im.width * (1 - right), im.height * (1 - bottom)
    turned = im.transpose(Image.Transpose(int(rng.integers(0, 7))))
    return [
        path.read_bytes(),
        encoded(small, int(rng.integers(50, 96))),
        encoded(im, int(rng.integers(25, 91))),
        encoded(im.crop(tuple(round(edge) for edge in box)), int(rng.integers(50, 96))),
        encoded(turned, int(rng.integers(50, 96))),
    ]


def seen(task: tuple[Path, int]) -> tuple[list[bytes], list[bytes], bytes]:
    """Hashes and thumbnails of a photo and its copies, and the photo in 64 x 64."""
    photos = [read_photo(data).rgb for data in copies(*task)]
    small = np.asarray(Image.fromarray(photos[0]).resize((SMALL, SMALL), Image.Resampling.BOX))
    return [look(rgb).to_bytes() for rgb in photos], [Thumbnail.of(rgb).to_bytes() for rgb in photos], small.tobytes()


def exposed(task: tuple[NDArray[np.uint8], int]) -> bytes:
    """Hashes of double exposures of the photos (N, 64, 64, 3); every fifth is a crop of the one before."""
    photos, seed = task
    rng = np.random.default_rng(seed)
    made, last = [], photos[0]
    for number in range(1000):
        if number % 5 == 4:
            left, top, right, bottom = rng.uniform(0, 0.05, 4) * SMALL
            part = Image.fromarray(last).resize(
                (SMALL, SMALL), Image.Resampling.BILINEAR, (left, top, SMALL - right, SMALL - bottom)
            )
            picture = np.asarray(part)
        else:
            one, other = photos[rng.integers(len(photos))], photos[rng.integers(len(photos))]
            share = rng.uniform(0.3, 0.7)
            picture = last = (one * share + other[:, ::-1] * (1 - share)).astype(np.uint8)
        made.append(look(picture).to_bytes())
    return b"".join(made)


def all_pairs(bits: NDArray[np.uint64], radius: int) -> int:
    """How many pairs differ in at most `radius` bits, each pair compared once."""
    found, block = 0, 256
    for first in range(0, len(bits), block):
        rows, columns = bits[first : first + block], bits[first:]
        differing = np.bitwise_count(rows[:, None, 0] ^ columns[None, :, 0])
        differing += np.bitwise_count(rows[:, None, 1] ^ columns[None, :, 1])
        near = np.count_nonzero(differing <= radius)
        own = np.count_nonzero(differing[:, : len(rows)] <= radius)
        found += int(near - own + (own - len(rows)) // 2)
    return found


def best(work: Callable[[], object], runs: int = 3) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def quality(
    rows: list[dict[str, str]], made: list[tuple[list[bytes], list[bytes], bytes]], unknown: Path | None
) -> bool:
    count = len(rows)
    looks = Looks.from_bytes(b"".join(hashes[kind] for kind in range(len(KINDS)) for hashes, _, _ in made))
    thumbnails = [thumbs[kind] for kind in range(len(KINDS)) for _, thumbs, _ in made]
    start = time.perf_counter()
    proposals = proposed_pairs(looks)
    middle = time.perf_counter()
    settings = CheckSettings()
    near = confirmed_pairs(proposals, thumbnails.__getitem__, settings.likeness)
    end = time.perf_counter()
    print(f"{len(thumbnails)} pictures: {len(proposals)} proposals in {middle - start:.1f} s, ", end="")
    print(f"{len(near)} pairs confirmed in {end - middle:.1f} s ({1e3 * (end - middle) / len(proposals):.2f} ms each)")
    found = {(one, other) for one, other in near.pairs.tolist()}
    good = True
    for kind, name in enumerate(KINDS[1:], 1):
        recall = sum((number, number + kind * count) in found for number in range(count)) / count
        must = f"   (must be {100 * NEEDED[name]:.0f})" if name in NEEDED else ""
        print(f"recall, {name:<20} {100 * recall:6.2f} %{must}")
        good &= recall >= NEEDED.get(name, 0)
    groups = [row["group"] for row in rows]
    names = [Path(row["file"]).stem for row in rows]
    foreign = [
        (a % count, b % count) for a, b in found if a % count != b % count and groups[a % count] != groups[b % count]
    ]
    wrong = [(a, b) for a, b in foreign if frozenset((names[a], names[b])) not in JUDGED]
    strict, judged = 1 - len(foreign) / len(found), 1 - len(wrong) / len(found)
    print(f"precision, by the manifest    {100 * strict:6.2f} %   (must be 99)")
    print(f"precision, with pairs judged  {100 * judged:6.2f} %")
    if unknown is not None:
        lines = sorted({tuple(sorted((rows[a]["file"], rows[b]["file"]))) for a, b in wrong})
        unknown.write_text("".join(f"{a}\t{b}\n" for a, b in lines), encoding="utf-8")
    own = near.pairs.max(axis=1) < count
    real = type(near)(near.pairs[own], near.likeness[own])
    sizes = np.bincount(guarded_clusters(count, real, settings.longest_chain).of)
    largest = max(np.unique(groups, return_counts=True)[1])
    print(
        f"real photos alone: {len(real)} pairs, largest cluster {sizes.max()} (largest group of the manifest {largest})"
    )
    return good and strict >= 0.99


def speed(made: list[tuple[list[bytes], list[bytes], bytes]]) -> bool:
    photos = np.stack([np.frombuffer(small, np.uint8).reshape(SMALL, SMALL, 3) for _, _, small in made])
    few = photos[np.random.default_rng(3).permutation(len(photos))[:2000]]
    with ProcessPoolExecutor() as pool:
        parts = list(pool.map(exposed, [(few, seed) for seed in range(HASHES // 1000)]))
    hashes = Looks.from_bytes(b"".join(parts)).whole
    seconds = {size: best(partial(near_pairs, hashes[:size], hashes.bits[:size])) for size in SIZES}
    for size in SIZES:
        print(f"index, {size:>7} hashes  {seconds[size]:7.3f} s")
    power = math.log(seconds[SIZES[-1]] / seconds[SIZES[0]]) / math.log(SIZES[-1] / SIZES[0])
    part = hashes[:COMPARED]
    start = time.perf_counter()
    there = all_pairs(part.bits, RADIUS)
    scan = time.perf_counter() - start
    pairs = near_pairs(part, part.bits)[:, :2]
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    got = len(pairs)
    cropped = (pairs[:, 1] % 5 == 4) & (pairs[:, 0] == pairs[:, 1] - 1)
    hit = cropped.sum() / (COMPARED // 5)
    print(f"all pairs, {COMPARED} hashes  {scan:7.3f} s")
    print(
        f"found {got} of {there} pairs within {RADIUS} bits; of the cropped copies (whole view only) {100 * hit:.1f} %"
    )
    print(f"all pairs / index  {scan / seconds[COMPARED]:6.1f}   (must be at least 30)")
    print(f"growth: power {power:.2f} from {SIZES[0]} to {SIZES[-1]}   (must be under 1.5)")
    return scan >= 30 * seconds[COMPARED] and power < 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "photos")
    parser.add_argument("--count", type=int)
    parser.add_argument("--list", type=Path)
    options = parser.parse_args()
    with (options.photos / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[: options.count]
    with ProcessPoolExecutor() as pool:
        tasks = [(options.photos / row["file"], seed) for seed, row in enumerate(rows)]
        made = list(pool.map(seen, tasks, chunksize=32))
    print(machine())
    good = quality(rows, made, options.list)
    return 0 if speed(made) and good else 1


if __name__ == "__main__":
    sys.exit(main())
