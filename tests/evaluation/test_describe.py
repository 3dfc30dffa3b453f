"""Figures of held-out predictions: flat, at species rank, among fewer labels, and fold by fold."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.drawn_predictions import alone, held_out_of, well_calibrated
from handlens.answerer import Answerer
from handlens.bundle import Bundle
from handlens.decision import softmax
from handlens.evaluation.describe import at_species, describe, restricted, species_of
from handlens.evaluation.protocol import HeldOut
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
LABELS = ("agate", "almandine", "amethyst", "calcite", "drawn zigzag", "garnet", "quartz")


def of_probabilities(rows: list[list[float]], truth: list[str]) -> HeldOut:
    """Held-out predictions with exactly these probabilities."""
    table = np.array(rows, np.float64)
    folds = np.array(["ann", "ben"])[np.arange(len(rows)) % 2]
    with np.errstate(divide="ignore"):
        logits = np.log(table)
    places = np.array([LABELS.index(label) for label in truth], np.intp)
    return HeldOut(LABELS, logits, places, folds, np.arange(len(rows)), np.ones(len(rows)))


@pytest.mark.parametrize(
    ("label", "species"),
    [
        ("amethyst", "quartz"),
        ("agate", "quartz"),
        ("quartz", "quartz"),
        ("calcite", "calcite"),
        ("garnet", "garnet"),
        ("almandine", "almandine"),
        ("drawn zigzag", "drawn zigzag"),
    ],
)
def test_species_of(label: str, species: str) -> None:
    assert species_of(label, MINERALS) == species


def test_at_species_sums_varieties_and_no_groups() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.05, 0.05, 0.1, 0.2]])
    summed, truth, names = at_species(probabilities, np.array([2], np.intp), LABELS, MINERALS)
    assert names == ("almandine", "calcite", "drawn zigzag", "garnet", "quartz")
    np.testing.assert_allclose(summed, [[0.2, 0.05, 0.05, 0.1, 0.6]])
    assert names[truth[0]] == "quartz"


def test_a_variety_named_for_its_species_is_right_at_species_rank() -> None:
    #       agate almandine amethyst calcite zigzag garnet quartz
    rows = [
        [0.00, 0.05, 0.60, 0.05, 0.05, 0.05, 0.20],  # quartz, named amethyst
        [0.00, 0.05, 0.20, 0.05, 0.05, 0.05, 0.60],  # amethyst, named quartz
        [0.00, 0.60, 0.05, 0.05, 0.05, 0.20, 0.05],  # garnet, named almandine: a species is not its group
        [0.00, 0.05, 0.20, 0.40, 0.05, 0.05, 0.25],  # quartz, named calcite; with amethyst, quartz is ahead
    ]
    found = of_probabilities(rows, ["quartz", "amethyst", "garnet", "quartz"])
    figures = describe(found, MINERALS, alone(found))
    assert figures["flat"]["top1"] == 0.0
    assert figures["species"]["top1"] == 0.75
    assert figures["flat"]["photos"] == figures["species"]["photos"] == 4


def test_folds_labels_and_calibration() -> None:
    found = well_calibrated(LABELS, temperature=3.0)
    figures = describe(found, MINERALS, alone(found))
    assert set(figures["folds"]) == {"ann", "ben", "cleo"}
    for fold, part in figures["folds"].items():
        here = found.folds == fold
        assert part["photos"] == here.sum()
        assert part["top1"] == pytest.approx(np.mean((found.logits.argmax(axis=1) == found.truth)[here]), abs=1e-4)
        assert part["temperature"] == pytest.approx(3.0, rel=0.1)
    assert figures["flat"]["top1"] == pytest.approx(
        np.mean([part["top1"] for part in figures["folds"].values()]), abs=1e-3
    )
    assert figures["flat"]["ece"] < 0.03 < 0.1 < figures["ece_before_temperature"]
    assert set(figures["per_label"]) == set(LABELS)
    assert sum(row["photos"] for row in figures["per_label"].values()) == 3000


def test_restricted_keeps_photos_and_columns_of_the_labels() -> None:
    found = well_calibrated(LABELS, photos=300)
    names = ["quartz", "agate", "calcite"]
    part = restricted(found, names)
    assert part.labels == ("agate", "calcite", "quartz")
    kept = np.isin(np.array(found.labels)[found.truth], names)
    assert len(part.truth) == kept.sum()
    np.testing.assert_array_equal(part.places, found.places[kept])
    np.testing.assert_array_equal(part.folds, found.folds[kept])
    assert [part.labels[place] for place in part.truth] == [found.labels[place] for place in found.truth[kept]]
    for label in names:
        np.testing.assert_array_equal(
            part.logits[:, part.labels.index(label)], found.logits[kept, found.labels.index(label)]
        )


def arithmetic(labels: tuple[str, ...], temperature: float) -> Answerer:
    """What an Identifier makes of logits, without a network."""
    from handlens.bundle import Thresholds

    fields: dict[str, Any] = {
        "labels": labels,
        "temperature": temperature,
        "name": "none",
        "set_quantile": 0.9,
        "thresholds": Thresholds(0.5, 0.5, 0.5),
    }
    return Answerer(cast(Bundle, type("Fields", (), fields)()))


def test_restricted_is_what_among_answers() -> None:
    found = well_calibrated(LABELS, photos=120)
    names = ["quartz", "agate", "calcite"]
    part = restricted(found, names)
    for row, place in enumerate(part.places):
        serving = arithmetic(found.labels, float(found.temperatures[place]))
        chosen = serving.label_indices(names)
        answer = serving.answer("photo", found.logits[place], top=3, chosen=chosen)
        expected = {candidate.name: candidate.probability for candidate in answer.candidates}
        assert dict(zip(part.labels, part.probabilities[row], strict=True)) == pytest.approx(expected)


def test_restricted_to_all_labels_changes_nothing() -> None:
    found = well_calibrated(LABELS, photos=100)
    part = restricted(found, LABELS)
    np.testing.assert_array_equal(part.logits, found.logits)
    np.testing.assert_allclose(part.probabilities, found.probabilities)


def test_a_label_that_training_lacked_stays_impossible() -> None:
    found = well_calibrated(LABELS, photos=90)
    logits: NDArray[np.float64] = found.logits.copy()
    logits[np.ix_(found.folds == "ann", [LABELS.index("calcite")])] = -np.inf
    part = restricted(held_out_of(LABELS, logits, found.truth, found.folds), ["calcite", "quartz"])
    here = part.folds == "ann"
    np.testing.assert_allclose(part.probabilities[here], [[0.0, 1.0]] * int(here.sum()))
    np.testing.assert_allclose(part.probabilities, softmax(part.logits / part.temperatures[:, None], 1.0))
