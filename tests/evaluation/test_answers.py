"""Settings of the decision from held-out predictions, and what decisions and sets are then worth."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.drawn_predictions import held_out_of, well_calibrated
from handlens.bundle import Thresholds
from handlens.decision import Taxonomy, decide, softmax
from handlens.evaluation.answers import (
    COVERAGE,
    PRECISION,
    WIDER_COVERAGE,
    AnswerSettings,
    calibrate,
    decisions,
    is_right,
    sets,
)
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
LABELS = ("agate", "almandine", "amethyst", "calcite", "drawn zigzag", "garnet", "quartz")


@pytest.mark.parametrize(
    ("name", "label", "right"),
    [
        ("quartz", "amethyst", True),
        ("silica group", "amethyst", True),
        ("amethyst", "quartz", False),
        ("garnet", "almandine", True),
        ("almandine", "garnet", False),
        ("calcite", "quartz", False),
        ("drawn zigzag", "drawn zigzag", True),
        ("quartz", "drawn zigzag", False),
        ("unknown", "quartz", False),
    ],
)
def test_is_right(name: str, label: str, right: bool) -> None:
    assert is_right(name, label, MINERALS) is right


def test_settings_survive_storing() -> None:
    settings = AnswerSettings(1.23456789, 0.87654321, Thresholds(0.5, 0.612345678, 1.0))
    stored = settings.as_dict()
    assert stored["temperature"] == 1.234568
    again = AnswerSettings.from_dict(stored)
    assert again.thresholds == Thresholds(0.5, 0.612346, 1.0)
    assert again.as_dict() == stored


def test_calibrate_finds_the_temperature_and_keeps_the_promises() -> None:
    found = well_calibrated(LABELS, photos=6000, temperature=2.5)
    settings = calibrate(found, MINERALS)
    assert settings.temperature == pytest.approx(2.5, rel=0.1)
    fresh = well_calibrated(LABELS, photos=6000, temperature=2.5, seed=1)
    probabilities = softmax(fresh.logits, settings.temperature)
    covered = probabilities[np.arange(6000), fresh.truth] >= 1 - settings.set_quantile
    assert np.mean(covered) == pytest.approx(COVERAGE, abs=0.015)
    # On their own, names of each rank are as often right as wanted.
    taxonomy = Taxonomy.of(LABELS, MINERALS)
    for rank in ("variety", "species", "group"):
        threshold = getattr(settings.thresholds, rank)
        assert 0.5 <= threshold < 1
        nodes = [node for node, its in enumerate(taxonomy.ranks) if its == rank]
        sums = probabilities @ taxonomy.members[nodes].T
        best, passed = sums.argmax(axis=1), sums.max(axis=1) >= threshold
        right = taxonomy.members[nodes][best, fresh.truth]
        assert np.mean(right[passed]) >= PRECISION - 0.02


def test_without_names_of_a_rank_its_threshold_is_one() -> None:
    labels = ("drawn disc", "drawn zigzag")
    found = well_calibrated(labels, photos=300)
    settings = calibrate(found, MINERALS)
    assert settings.thresholds.variety == settings.thresholds.group == 1.0
    assert settings.thresholds.species < 1.0


def test_worthless_predictions_are_never_answered() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(LABELS), 3000).astype(np.intp)
    folds = np.array(["ann", "ben", "cleo"])[np.arange(3000) % 3]
    report = decisions(held_out_of(LABELS, rng.normal(0, 4, (3000, len(LABELS))), truth, folds), MINERALS)
    assert report["answered"] < 0.02


def test_decisions_are_counted_as_they_are_made() -> None:
    found = well_calibrated(LABELS, photos=900)
    report = decisions(found, MINERALS)
    taxonomy = Taxonomy.of(LABELS, MINERALS)
    named, right = dict.fromkeys(("variety", "species", "group"), 0), 0
    for fold in ("ann", "ben", "cleo"):
        here = found.folds == fold
        settings = calibrate(found, MINERALS, ~here)
        for row, place in zip(softmax(found.logits[here], settings.temperature), found.truth[here], strict=True):
            answer = decide(row, taxonomy, settings.thresholds)
            if answer.rank != "unknown":
                named[answer.rank] += 1
                right += answer.name in (MINERALS.ancestors(LABELS[place]) if place != 4 else ("drawn zigzag",))
    answered = sum(named.values())
    assert 0.3 < report["answered"] < 1
    assert report["answered"] == pytest.approx(answered / 900, abs=1e-4)
    assert report["right_when_answered"] == pytest.approx(right / answered, abs=1e-4)
    assert {rank: row["photos"] for rank, row in report["ranks"].items()} == named
    assert report["photos"] == 900


def test_decisions_that_can_be_read_by_eye() -> None:
    # Sure answers: amethyst for amethyst, quartz for amethyst (right, less exact), calcite for quartz (wrong).
    named = ["amethyst"] * 60 + ["quartz"] * 20 + ["calcite"] * 4
    truth = ["amethyst"] * 80 + ["quartz"] * 4
    logits = np.zeros((84, len(LABELS)))
    logits[np.arange(84), [LABELS.index(name) for name in named]] = 12
    folds = np.array(["ann", "ben"])[np.arange(84) % 2]
    report = decisions(
        held_out_of(LABELS, logits, np.array([LABELS.index(name) for name in truth], np.intp), folds), MINERALS
    )
    assert report["answered"] == 1.0
    assert report["right_when_answered"] == pytest.approx(80 / 84, abs=1e-4)
    assert report["ranks"]["variety"] == {"photos": 60, "right": 1.0}
    assert report["ranks"]["species"] == {"photos": 24, "right": pytest.approx(20 / 24, abs=1e-4)}
    assert report["ranks"]["group"] == {"photos": 0, "right": None}


def test_a_fold_is_not_judged_with_settings_of_its_own() -> None:
    found = well_calibrated(LABELS, photos=900)
    before = sets(found)["folds"]
    here = found.folds == "ann"
    truth = found.truth.copy()
    truth[here] = found.logits[here].argmin(axis=1)  # as wrong as can be
    after = sets(held_out_of(LABELS, found.logits, truth, found.folds))["folds"]
    assert after["ann"]["size"] == before["ann"]["size"]
    assert after["ann"]["coverage"] < 0.3
    assert after["ben"]["size"] > before["ben"]["size"]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_sets_cover_what_they_promise(temperature: float) -> None:
    report = sets(well_calibrated(LABELS, photos=4500, temperature=temperature, spread=2.0, seed=3))
    assert report["wanted"] == COVERAGE == 0.9
    assert report["coverage"] == pytest.approx(0.9, abs=0.02)
    assert 1.2 < report["size"] < 4
    assert report["coverage"] == pytest.approx(np.mean([row["coverage"] for row in report["folds"].values()]), abs=1e-3)
    for row in report["folds"].values():
        assert row["coverage"] == pytest.approx(0.9, abs=0.04)


def test_a_label_that_training_lacked_counts_as_not_covered() -> None:
    found = well_calibrated(LABELS, photos=1500)
    logits = found.logits.copy()
    logits[:, 3] = np.where(found.folds == "ann", -np.inf, logits[:, 3])
    report = sets(held_out_of(LABELS, logits, found.truth, found.folds))
    lacking = np.mean(found.truth[found.folds == "ann"] == 3)
    assert lacking > 0.1
    assert report["folds"]["ann"]["coverage"] < 0.9 - lacking / 2


def test_one_fold_has_nothing_to_be_calibrated_on() -> None:
    found = well_calibrated(LABELS, photos=60)
    alone = held_out_of(LABELS, found.logits, found.truth, np.array(["ann"] * 60))
    assert sets(alone)["coverage"] == 1.0
    assert sets(alone)["size"] == len(LABELS)
    assert decisions(alone, MINERALS)["answered"] < 1.0


def test_sets_of_a_wider_coverage_and_of_each_label() -> None:
    found = well_calibrated(LABELS, photos=4500, spread=2.0, seed=5)
    narrow, wide = sets(found), sets(found, WIDER_COVERAGE)
    assert (narrow["wanted"], wide["wanted"]) == (COVERAGE, WIDER_COVERAGE)
    assert wide["coverage"] == pytest.approx(WIDER_COVERAGE, abs=0.012)
    assert wide["size"] > narrow["size"]
    photos = np.bincount(found.truth, minlength=len(LABELS))
    by_label = [narrow["per_label"][label] for label in LABELS]
    assert np.average(by_label, weights=photos) == pytest.approx(narrow["coverage"], abs=1e-4)
