"""The deletion test tells a map that knows from one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundles import COLOURS, PREPROCESSING, solid, write_bundle
from handlens.evaluation.deletion import centre_first, deletion_area, random_order, warmest_first
from handlens.explain import CELLS, Coverable, explain
from handlens.identifier import Identifier
from handlens.views import Preprocessing, View


def test_by_hand() -> None:
    """All of the probability is in one cell, which is covered with the third look of ten."""
    seen = np.arange(CELLS * CELLS)

    def probability(covered: NDArray[np.bool_]) -> float:
        return 0.0 if covered.ravel()[25] else 0.4

    assert deletion_area(probability, seen, at_once=10) == pytest.approx(2 / 9)
    assert deletion_area(probability, seen[::-1], at_once=10) == pytest.approx(7 / 9)


def test_orders_are_of_all_cells() -> None:
    heat = np.zeros((CELLS, CELLS))
    heat[2, 7], heat[4, 4] = 2.0, 1.0
    rng = np.random.default_rng(0)
    for order in (warmest_first(heat), random_order(rng), centre_first()):
        assert sorted(order) == list(range(CELLS * CELLS))
    assert warmest_first(heat)[:2].tolist() == [27, 44]
    assert set(centre_first()[:4]) == {44, 45, 54, 55}
    assert set(centre_first()[-4:]) == {0, 9, 90, 99}
    assert random_order(rng).tolist() != random_order(rng).tolist()


def test_the_map_of_a_patch_takes_its_label_sooner_than_chance(tmp_path: Path) -> None:
    preprocessing = Preprocessing(PREPROCESSING.side, (View("padded"),))
    identifier = Identifier.load(write_bundle(tmp_path / "b", preprocessing=preprocessing, temperature=10.0), threads=1)
    rgb = solid(COLOURS["quartz"], 100, 100)
    rgb[10:30, 60:90] = COLOURS["almandine"]
    found = explain(identifier, rgb, label="almandine")
    coverable, place = Coverable(identifier, rgb), identifier.bundle.labels.index("almandine")

    def area(order: NDArray[np.intp]) -> float:
        return deletion_area(lambda covered: float(coverable.probabilities(covered)[place]), order)

    warm, rng = warmest_first(found.heat), np.random.default_rng(0)
    assert area(warm) < np.mean([area(random_order(rng)) for _ in range(3)])
    assert area(warm) < area(centre_first())
    assert area(warm) < area(warm[::-1])
