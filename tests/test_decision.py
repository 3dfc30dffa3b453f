"""The pure functions from scores to an answer, on probabilities made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.bundle import Thresholds
from handlens.decision import Decision, Taxonomy, decide, prediction_set, softmax, unknown_score
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
HALF = Thresholds(variety=0.5, species=0.5, group=0.5)


def decided(thresholds: Thresholds = HALF, **shares: float) -> Decision:
    """The decision over these labels ("_" for a space) with these probabilities; the rest goes to "other"."""
    given = {name.replace("_", " "): share for name, share in shares.items()}
    given["other"] = 1 - math.fsum(given.values())
    probabilities = np.array(list(given.values()))
    return decide(probabilities, Taxonomy.of(list(given), MINERALS), thresholds)


def check(decision: Decision, name: str, rank: str, probability: float) -> None:
    assert (decision.name, decision.rank) == (name, rank)
    assert decision.probability == pytest.approx(probability, abs=1e-12)


def test_a_sure_variety() -> None:
    check(decided(quartz=0.2, amethyst=0.7, calcite=0.05), "amethyst", "variety", 0.7)


def test_a_variety_that_is_not_sure_adds_to_its_species() -> None:
    check(decided(quartz=0.3, amethyst=0.3, calcite=0.2), "quartz", "species", 0.6)


def test_quartz_as_a_leaf_stands_beside_amethyst() -> None:
    """The leaf `quartz` is the species without a name of its own; the species has the sum of both."""
    check(decided(quartz=0.9, amethyst=0.08, calcite=0.02), "quartz", "species", 0.98)
    check(decided(amethyst=0.45, citrine=0.45), "quartz", "species", 0.9)


def test_a_species_that_is_not_sure_adds_to_its_group() -> None:
    check(decided(garnet=0.2, almandine=0.25, pyrope=0.25), "garnet", "group", 0.7)
    check(decided(garnet=0.6, almandine=0.1, pyrope=0.1), "garnet", "group", 0.8)
    check(decided(garnet=0.2, almandine=0.6, pyrope=0.1), "almandine", "species", 0.6)


def test_unknown_says_how_likely_the_best_name_would_be_wrong() -> None:
    check(decided(quartz=0.2, amethyst=0.2, calcite=0.3, pyrite=0.25), "unknown", "unknown", 0.6)


def test_nested_varieties_give_the_most_exact_that_passes() -> None:
    assert MINERALS.ancestors("agate") == ("agate", "chalcedony", "quartz", "silica group")
    check(decided(agate=0.6, chalcedony=0.3), "agate", "variety", 0.6)
    check(decided(agate=0.4, chalcedony=0.3), "chalcedony", "variety", 0.7)
    check(decided(agate=0.3, chalcedony=0.15, amethyst=0.4), "quartz", "species", 0.85)
    # Amethyst is the more probable, but agate and chalcedony stand in one line and amethyst beside it.
    thirds = Thresholds(variety=0.3, species=0.5, group=0.5)
    check(decided(thirds, agate=0.31, chalcedony=0.02, amethyst=0.4), "amethyst", "variety", 0.4)


def test_nested_groups_give_the_most_exact_that_passes() -> None:
    wide = MINERALS.ancestors("albite")
    assert wide[:2] == ("albite", "plagioclase")
    assert "feldspar" in wide
    check(decided(albite=0.4, plagioclase=0.3, orthoclase=0.2), "plagioclase", "group", 0.7)
    check(decided(albite=0.3, plagioclase=0.1, orthoclase=0.4), "feldspar", "group", 0.8)


def test_of_two_names_over_the_same_labels_the_lower_one_is_given() -> None:
    """However the sums are rounded: the tree decides, not the last bit of a sum."""
    labels = ("albite", "labradorite", "oligoclase")
    known = [label for label in labels if label in MINERALS]
    taxonomy = Taxonomy.of(known, MINERALS)
    assert {"plagioclase", "feldspar"} <= set(taxonomy.names)
    sure = Thresholds(variety=0.99, species=0.99, group=0.5)
    shares = np.full(len(known), 1 / len(known))
    check(decide(shares, taxonomy, sure), "plagioclase", "group", 1.0)

    class Rounded(np.ndarray[Any, Any]):
        """Membership whose sums grow by a rounding error with the place of the name."""

        def __matmul__(self, other: Any) -> Any:
            sums = np.asarray(self) @ other
            return sums + np.arange(len(sums)) * 1e-16 * 4

    noisy = Taxonomy(taxonomy.names, taxonomy.ranks, taxonomy.members.view(Rounded))
    assert decide(shares, noisy, sure).name == "plagioclase"


def test_between_names_of_a_rank_the_more_probable_wins_and_ties_go_to_the_first() -> None:
    low = Thresholds(variety=0.2, species=0.2, group=0.2)
    check(decided(low, calcite=0.3, pyrite=0.4, galena=0.25), "pyrite", "species", 0.4)
    check(decided(low, pyrite=0.4, calcite=0.4), "pyrite", "species", 0.4)
    check(decided(low, calcite=0.4, pyrite=0.4), "calcite", "species", 0.4)


@pytest.mark.parametrize(
    ("thresholds", "name"),
    [
        (Thresholds(0.3, 0.6, 0.6), "amethyst"),
        (Thresholds(0.3 + 1e-9, 0.6, 0.6), "quartz"),
        (Thresholds(0.4, 0.6 + 1e-9, 0.6), "silica group"),
        (Thresholds(0.4, 0.7, 0.7), "unknown"),
    ],
)
def test_each_rank_has_its_own_threshold_and_reaching_it_is_enough(thresholds: Thresholds, name: str) -> None:
    labels = ["amethyst", "quartz", "calcite", "pyrite"]
    shares = np.array([0.3, 0.3, 0.2, 0.2])
    assert decide(shares, Taxonomy.of(labels, MINERALS), thresholds).name == name


def test_a_label_that_nobody_knows_is_a_species_of_its_own() -> None:
    assert "moonrock" not in MINERALS
    check(decided(moonrock=0.8, quartz=0.1), "moonrock", "species", 0.8)
    taxonomy = Taxonomy.of(["moonrock", "quartz"], MINERALS)
    assert taxonomy.members[taxonomy.names.index("moonrock")].tolist() == [True, False]


def test_the_taxonomy_over_a_few_labels() -> None:
    taxonomy = Taxonomy.of(["quartz", "amethyst", "almandine", "garnet"], MINERALS)
    rows = dict(zip(taxonomy.names, taxonomy.members.tolist(), strict=True))
    ranks = dict(zip(taxonomy.names, taxonomy.ranks, strict=True))
    assert rows["quartz"] == rows["silica group"] == [True, True, False, False]
    assert rows["amethyst"] == [False, True, False, False]
    assert rows["almandine"] == [False, False, True, False]
    assert rows["garnet"] == [False, False, True, True]
    assert (ranks["quartz"], ranks["amethyst"], ranks["garnet"]) == ("species", "variety", "group")
    sums = taxonomy.sums(np.array([0.1, 0.2, 0.3, 0.4]))
    assert sums["quartz"] == pytest.approx(0.3)
    assert sums["garnet"] == pytest.approx(0.7)


def test_the_sums_agree_with_the_tree_for_every_label_of_the_knowledge_base() -> None:
    labels = [mineral.name for mineral in MINERALS]
    shares = np.random.default_rng(0).dirichlet(np.ones(len(labels)))
    by_label = dict(zip(labels, shares, strict=True))
    sums = Taxonomy.of(labels, MINERALS).sums(shares)
    assert len(sums) == len(labels)
    for name, total in sums.items():
        assert total == pytest.approx(math.fsum(by_label[label] for label in MINERALS.descendants(name)))


def test_a_decision_never_names_what_does_not_pass() -> None:
    chance = np.random.default_rng(1)
    labels = ["quartz", "amethyst", "agate", "chalcedony", "garnet", "almandine", "calcite", "albite", "plagioclase"]
    taxonomy = Taxonomy.of(labels, MINERALS)
    seen = set()
    for _ in range(500):
        shares = chance.dirichlet(np.full(len(labels), 0.3))
        thresholds = Thresholds(*chance.uniform(0.2, 0.95, 3))
        decision, sums = decide(shares, taxonomy, thresholds), taxonomy.sums(shares)
        seen.add(decision.rank)
        if decision.rank == "unknown":
            for name, rank in zip(taxonomy.names, taxonomy.ranks, strict=True):
                assert sums[name] < getattr(thresholds, rank)
            assert decision.probability == pytest.approx(1 - max(sums.values()))
        else:
            assert decision.probability == pytest.approx(sums[decision.name])
            assert sums[decision.name] >= getattr(thresholds, decision.rank)
    assert seen == {"variety", "species", "group", "unknown"}


# Prediction sets


def test_the_set_holds_what_reaches_the_limit_best_first() -> None:
    shares = np.array([0.1, 0.5, 0.05, 0.35])
    assert prediction_set(shares, 0.9) == [1, 3, 0]
    assert prediction_set(shares, 0.64) == [1]
    assert prediction_set(shares, 0.65) == [1, 3]


def test_a_label_on_the_limit_belongs_to_the_set() -> None:
    for share in np.random.default_rng(2).uniform(0.001, 0.999, 300):
        # The quantile is computed as 1 - share; taking it from 1 again need not give share back.
        assert 1 in prediction_set(np.array([2.0, share]), 1.0 - share)
    assert prediction_set(np.array([0.7, 0.3 - 1e-9]), 0.7) == [0]


def test_the_set_is_never_empty_and_can_be_whole() -> None:
    shares = np.array([0.2, 0.3, 0.3, 0.2])
    assert prediction_set(shares, 0.0) == [1]
    assert prediction_set(shares, 1.0) == [1, 2, 0, 3]
    assert prediction_set(np.array([0.0, 1.0]), 0.0) == [1]


# Softmax and the unknown score


def plain_softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in logits]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_softmax_is_that_of_the_definition(temperature: float) -> None:
    logits = [1.0, -2.0, 0.5, 3.0]
    np.testing.assert_allclose(softmax(np.array(logits), temperature), plain_softmax(logits, temperature), rtol=1e-12)


def test_softmax_of_several_photos_is_that_of_each() -> None:
    logits = np.random.default_rng(3).normal(size=(5, 7)).astype(np.float32)
    together = softmax(logits, 0.9)
    assert together.dtype == np.float64
    for row, alone in zip(together, logits, strict=True):
        np.testing.assert_array_equal(row, softmax(alone, 0.9))


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e4, 0.0, -1e4], [1, 0, 0]),
        ([3e38, 3e38], [0.5, 0.5]),
        ([-1e30, -1e30, -1e30, -1e30], [0.25] * 4),
        ([0.0, -np.inf], [1, 0]),
        ([2.0, 2.0, -np.inf], [0.5, 0.5, 0]),
    ],
)
def test_softmax_of_extremes(logits: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(softmax(np.array(logits, np.float32), 1.0), expected, atol=1e-12)


def test_the_unknown_score_is_what_the_best_label_lacks() -> None:
    shares: NDArray[np.float64] = np.array([0.2, 0.7, 0.1])
    assert unknown_score(shares) == pytest.approx(0.3)
    assert unknown_score(np.array([1.0, 0.0])) == 0
    assert type(unknown_score(shares)) is float
