"""The error models are distributions, and those that their descriptions say."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens import field_tests
from handlens.field_tests import CHOICES, MISTAKE, TOOLS, Likelihood, PropertyTable
from handlens.minerals.properties import Properties, properties_from

CALCITE = properties_from(
    {
        "mohs": [3, 3],
        "gravity": [2.71, 2.71],
        "streak": ["white"],
        "lustre": ["vitreous", "pearly"],
        "transparency": ["transparent", "translucent"],
        "cleavage": [["perfect", 3]],
        "magnetism": "none",
        "acid": "vigorous",
        "fluorescence": "sometimes",
    }
)
HEMATITE = properties_from(
    {
        "mohs": [5.5, 6.5],
        "gravity": [4.9, 5.3],
        "streak": ["red", "brown"],
        "lustre": ["metallic", "dull"],
        "transparency": ["opaque"],
        "cleavage": [],
        "magnetism": "weak",
        "acid": "none",
        "fluorescence": "none",
    }
)
TABLE = PropertyTable.of([CALCITE, HEMATITE, Properties()])


@pytest.mark.parametrize("test", CHOICES)
def test_answers_are_a_distribution_and_unknown_is_unknown(test: str) -> None:
    found = field_tests.chosen(TABLE, test)
    assert found.values.shape == (3, len(CHOICES[test]))
    np.testing.assert_allclose(found.values[:2].sum(axis=1), 1, atol=1e-9)
    assert found.values[:2].min() >= found.floor - 1e-12
    assert found.floor == pytest.approx(MISTAKE / len(CHOICES[test]))
    assert np.isnan(found.values[2]).all()


@pytest.mark.parametrize(
    ("test", "calcite", "hematite"),
    [
        ("streak", "white", "red"),
        ("lustre", "vitreous", "metallic"),
        ("cleavage", "perfect", "none"),
        ("magnet", "none", "weak"),
        ("acid", "vigorous", "none"),
        ("heft", "medium", "heavy"),
        ("nail", "no", "no"),
        ("coin", "yes", "no"),
        ("knife", "yes", "no"),
        ("glass", "no", "yes"),
        ("file", "yes", "yes"),
        ("fluorescence", "no", "no"),
    ],
)
def test_the_likeliest_answer_is_the_right_one(test: str, calcite: str, hematite: str) -> None:
    best = field_tests.chosen(TABLE, test).values[:2].argmax(axis=1)
    if test == "heft":  # 4.9 to 5.3 is at the border of very heavy
        assert CHOICES[test][best[1]] in ("heavy", "very heavy")
        best = best[:1]
        hematite = calcite
    assert [CHOICES[test][one] for one in best] == [calcite, hematite][: len(best)]


def simulated(low: float, high: float, sd: float, count: int = 200_000) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.uniform(low, high, count) + rng.normal(0, sd, count)


def test_a_measured_hardness_is_the_density_of_a_simulated_one() -> None:
    for place, (low, high) in enumerate(((3, 3), (5.5, 6.5))):
        found, edges = np.histogram(simulated(low, high, 0.5), bins=np.arange(1, 10.05, 0.1), density=True)
        middle = (edges[:-1] + edges[1:]) / 2
        ours = np.array([field_tests.hardness_near(TABLE, x, 0.5).values[place] for x in middle])
        np.testing.assert_allclose(ours, (1 - MISTAKE) * found + MISTAKE / 9, atol=0.02)
    assert math.isnan(field_tests.hardness_near(TABLE, 3, 0.5).values[2])


@pytest.mark.parametrize(("low", "high"), [(2.5, 3.5), (5.0, 5.6), (1.0, 10.0), (7.0, 8.0)])
def test_a_bracketed_hardness_is_the_share_of_a_simulated_one(low: float, high: float) -> None:
    ours = field_tests.hardness_between(TABLE, low, high)
    for place, (least, most) in enumerate(((3, 3), (5.5, 6.5))):
        measured = simulated(least, most, field_tests.EDGE_SD)
        share = np.mean((measured >= low) & (measured <= high))
        assert ours.values[place] == pytest.approx((1 - MISTAKE) * share + MISTAKE * (high - low) / 9, abs=0.005)
    assert ours.floor == pytest.approx(MISTAKE * (high - low) / 9)


@pytest.mark.parametrize("tool", [name for name in TOOLS if name != "glass"])
def test_a_tool_scratches_as_often_as_a_simulated_one(tool: str) -> None:
    yes = field_tests.chosen(TABLE, tool).values[:, CHOICES[tool].index("yes")]
    for place, (least, most) in enumerate(((3, 3), (5.5, 6.5))):
        share = np.mean(simulated(least, most, field_tests.SCRATCH_SD) < TOOLS[tool])
        assert yes[place] == pytest.approx((1 - MISTAKE) * share + MISTAKE / 2, abs=0.005)


def test_specific_gravity() -> None:
    near = field_tests.gravity_near(TABLE, 2.7, 0.1)
    assert near.values[0] == pytest.approx(0.95 * 3.97, abs=0.1)
    assert near.values[1] == pytest.approx(near.floor)
    assert field_tests.gravity_between(TABLE, 4.5, 5.5).values[1] > 0.85
    assert field_tests.gravity_between(TABLE, 4.5, 5.5).values[0] < 0.01


@pytest.mark.parametrize(
    ("test", "between", "edges"),
    [
        ("hardness", field_tests.hardness_between, [0.75, 1.25, 3.0, 6.0, 9.75, 10.25]),
        ("gravity", field_tests.gravity_between, [1.5, 2.0, 4.5, 5.5, 19.0]),
    ],
)
def test_bins_are_the_intervals_between_their_edges(
    test: str, between: Callable[..., Likelihood], edges: list[float]
) -> None:
    alone = [between(TABLE, low, high).values for low, high in pairwise(edges)]
    np.testing.assert_allclose(field_tests.binned(TABLE, test, edges), np.stack(alone, axis=1), atol=1e-12)


def test_a_measured_streak_is_that_of_the_names_near_it() -> None:
    red, white = (field_tests.streak_measured(TABLE, rgb).values for rgb in ((150, 50, 40), (250, 250, 245)))
    assert red[1] > 10 * red[0]
    assert white[0] > 10 * white[1]
    named = field_tests.chosen(TABLE, "streak").values[:, CHOICES["streak"].index("red")]
    exact = field_tests.streak_measured(TABLE, (160, 45, 35)).values[1]
    assert 0.7 * named[1] < exact < named[1]  # a colour is never quite that of one name


def test_the_first_word_of_a_property_counts_most() -> None:
    lustre = field_tests.chosen(TABLE, "lustre").values[1]
    names = CHOICES["lustre"]
    assert lustre[names.index("metallic")] > lustre[names.index("dull")] > lustre[names.index("vitreous")]
