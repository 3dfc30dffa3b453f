"""Simulated answers follow the probabilities that evidence is weighed with, by counting many of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens import field_tests
from handlens.evaluation.simulated_tests import TESTS, Answers, simulate, specimens
from handlens.evidence import Evidence
from handlens.field_tests import CHOICES, MISTAKE, PropertyTable
from handlens.minerals.properties import Properties, properties_from

SOFT = properties_from(
    {
        "mohs": [2.5, 4.5],
        "gravity": [2.4, 4.2],
        "streak": ["white", "yellow", "brown"],
        "lustre": ["vitreous", "pearly"],
        "transparency": ["transparent", "translucent", "opaque"],
        "cleavage": [["good", 1], ["perfect", 3]],
        "magnetism": "weak",
        "acid": "vigorous",
        "fluorescence": "sometimes",
    }
)
HARD = properties_from(
    {
        "mohs": [7, 7],
        "gravity": [5.2, 5.2],
        "streak": ["black"],
        "lustre": ["metallic"],
        "transparency": ["opaque"],
        "cleavage": [],
        "magnetism": "strong",
        "acid": "dissolves",
        "fluorescence": "none",
    }
)
TABLE = PropertyTable.of([SOFT, HARD, Properties()])
PHOTOS = 40_000


def drawn(row: int, *rates: float, photos: int = PHOTOS, seed: int = 1) -> tuple[Answers, ...]:
    return simulate(TABLE, np.full(photos, row), rates, np.random.default_rng(seed))


def numbers(texts: NDArray[np.str_]) -> NDArray[np.float64]:
    return np.array([float(text.split("±")[0]) for text in texts])


@pytest.fixture(scope="module")
def usual() -> tuple[Answers, Answers]:
    """Of the soft and the hard mineral, with the share of mistakes that evidence reckons with."""
    return drawn(0, MISTAKE)[0], drawn(1, MISTAKE)[0]


@pytest.mark.parametrize("test", CHOICES)
def test_words_come_as_often_as_their_likelihood_says(usual: tuple[Answers, Answers], test: str) -> None:
    wanted = field_tests.chosen(TABLE, test).values
    for row, answers in enumerate(usual):
        found = np.array([(answers[test] == word).mean() for word in CHOICES[test]])
        spread = np.sqrt(wanted[row] * (1 - wanted[row]) / PHOTOS)
        assert np.all(np.abs(found - wanted[row]) < 4.5 * spread + 1e-9), (row, found, wanted[row])


@pytest.mark.parametrize(
    ("test", "edges"),
    [("hardness", (1.55, 2.05, 2.55, 3.05, 3.55, 4.05, 4.55, 5.05)), ("gravity", (2.15, 2.45, 2.85, 3.35, 3.95, 4.25))],
)
def test_numbers_come_as_often_as_their_density_says(
    usual: tuple[Answers, Answers], test: str, edges: tuple[float, ...]
) -> None:
    """Between edges that lie in the middle of two readings, the density is summed up in fine steps."""
    density = field_tests.hardness_near if test == "hardness" else field_tests.gravity_near
    found = np.histogram(numbers(usual[0][test]), edges)[0] / PHOTOS
    for share, low, high in zip(found, edges[:-1], edges[1:], strict=True):
        middles = low + (np.arange(40) + 0.5) * (high - low) / 40
        values = [density(TABLE, value, 0.5 if test == "hardness" else 0.1).values[0] for value in middles]
        wanted = float(np.mean(values)) * (high - low)
        assert share == pytest.approx(wanted, abs=4.5 * np.sqrt(wanted / PHOTOS))


def test_without_mistakes_only_the_error_of_the_test_is_left() -> None:
    answers = drawn(1, 0.0)[0]
    hardness = numbers(answers["hardness"])
    assert hardness.mean() == pytest.approx(7, abs=0.02)
    assert hardness.std() == pytest.approx(0.5, abs=0.02)
    assert numbers(answers["gravity"]).std() == pytest.approx(0.1, abs=0.01)
    assert (answers["streak"] == "black").mean() == pytest.approx(0.85, abs=0.01)


def test_a_mistake_is_any_answer_alike() -> None:
    answers = drawn(1, 1.0)[0]
    for test, words in CHOICES.items():
        shares = np.array([(answers[test] == word).mean() for word in words])
        np.testing.assert_allclose(shares, 1 / len(words), atol=0.012)
    hardness = numbers(answers["hardness"])
    np.testing.assert_allclose(np.histogram(hardness, np.arange(1.05, 10, 1.1))[0] / PHOTOS, 1.1 / 9, atol=0.01)
    gravity = np.log(numbers(answers["gravity"]))
    np.testing.assert_allclose(
        np.quantile(gravity, (0.25, 0.5, 0.75)), np.log(20) * np.array([0.25, 0.5, 0.75]), atol=0.04
    )


def test_more_mistakes_are_the_same_ones_and_some_more() -> None:
    none, few, many = drawn(1, 0.0, 0.05, 0.1)
    for test in TESTS:
        changed, more = none[test] != few[test], none[test] != many[test]
        assert not np.any(changed & ~more)
        assert np.all(few[test][changed] == many[test][changed])
        # A mistake can hit on the right answer.
        assert 0 < changed.mean() <= 0.056
        assert changed.mean() < more.mean() <= 0.106


def test_all_tests_are_done_on_one_specimen() -> None:
    found = specimens(TABLE, np.zeros(2000, np.intp), np.random.default_rng(2))
    assert np.all(found.mohs[:, 0] == found.mohs[:, 1])
    assert found.mohs.min() >= 2.5
    assert found.mohs.max() <= 4.5
    assert found.mohs.std() == pytest.approx(2 / np.sqrt(12), rel=0.05)
    # Counted by 1, 1/2 and 1/3: the first word of the record is the most frequent one.
    shares = found.words["streak"].mean(axis=0)[[0, 6, 3]]
    np.testing.assert_allclose(shares, np.array([6, 3, 2]) / 11, atol=0.04)
    answers = drawn(0, 0.0)[0]
    softer = numbers(answers["hardness"]) < 3
    scratched = answers["coin"] == "yes"
    assert scratched[softer].mean() > scratched.mean() + 0.15


def test_what_is_not_known_is_not_tested_and_every_answer_can_be_given() -> None:
    answers = simulate(TABLE, np.tile([0, 1, 2], 200), (0.5,), np.random.default_rng(3))[0]
    assert answers.keys() == set(TESTS)
    for test, texts in answers.items():
        assert np.all((texts == "") == (np.arange(600) % 3 == 2)), test
        for text in np.unique(texts):
            assert (Evidence.of({test: str(text)}).names == (test,)) == (text != "")


def test_a_seed_gives_the_same_answers() -> None:
    one, same, other = (drawn(0, 0.05, photos=200, seed=seed)[0] for seed in (4, 4, 5))
    assert all(np.array_equal(one[test], same[test]) for test in TESTS)
    assert any(not np.array_equal(one[test], other[test]) for test in TESTS)
