"""Whether the map of `handlens explain` is faithful: the deletion test, against chance and against the middle first.

    python benchmarks/explain.py MANIFEST.csv [--bundle DIR] [--photos 60] [--seed 0]

MANIFEST: of photos; so many of its split "train" that are marked usable are drawn, and each is explained for the label
that the bundle finds most probable. Then its cells are covered five by five: the warmest of the map first, at random
(the mean of three orders), from the centre outward, and the coldest first. Told is the label's mean probability while
they are covered, as a share of what it is at first. Must reach: the warmest first take it sooner than chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from handlens import Identifier
from handlens.evaluation.deletion import centre_first, deletion_area, random_order, warmest_first
from handlens.explain import Coverable, explain
from handlens.photo import PhotoError
from handlens.training.samples import read_samples, with_split

ORDERS = ("warmest first", "at random", "centre first", "coldest first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--bundle")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    identifier, rng = Identifier.load(options.bundle), np.random.default_rng(options.seed)
    samples = [sample for sample in with_split(read_samples(options.manifest), "train") if sample.usable]
    rows: list[list[float]] = []
    for place in rng.permutation(len(samples)):
        try:
            rows.append(areas(identifier, samples[place].path, rng))
        except PhotoError:
            continue
        if len(rows) == options.photos:
            break
    found = np.array(rows)
    print(f"{identifier.bundle.name}, {len(found)} photos")
    for name, values in zip(ORDERS, found.T, strict=True):
        print(f"{name}: {values.mean():.3f} of the probability on average")
    for name, values in zip(ORDERS[1:], found.T[1:], strict=True):
        gain = values - found[:, 0]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        print(
            f"less than {name} by {gain.mean():.3f} (standard error {error:.3f}), for {np.mean(gain > 0):.0%} of them"
        )
    raise SystemExit(0 if (found[:, 1] - found[:, 0]).mean() > 0 else 1)


def areas(identifier: Identifier, photo: Path, rng: np.random.Generator) -> list[float]:
    explanation = explain(identifier, photo)
    coverable, place = Coverable(identifier, explanation.rgb), identifier.bundle.labels.index(explanation.label)

    def area(order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float:
        return deletion_area(lambda covered: float(coverable.probabilities(covered)[place]), order)

    warm = warmest_first(explanation.heat)
    chance = float(np.mean([area(random_order(rng)) for _ in range(3)]))
    return [area(warm), chance, area(centre_first()), area(warm[::-1])]


if __name__ == "__main__":
    main()
