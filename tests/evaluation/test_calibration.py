"""Temperature, quantile and thresholds: known answers recovered, corners decided."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.decision import prediction_set, softmax
from handlens.evaluation.calibration import answer_threshold, fit_temperature, set_level, set_quantile


def drawn(
    temperature: float, *, photos: int = 6000, labels: int = 8, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Logits, and labels drawn from their softmax at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (photos, labels))
    steps = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.uniform(size=(photos, 1)) > steps).sum(axis=1).clip(0, labels - 1).astype(np.intp)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 8.0])
def test_temperature_recovers_the_one_labels_were_drawn_at(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.1)


def test_temperature_makes_overconfident_answers_likelier() -> None:
    logits, truth = drawn(3.0)
    rows = np.arange(len(truth))

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits, temperature)[rows, truth]).mean())

    found = fit_temperature(logits, truth)
    assert loss(found) < loss(1.0)
    assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05))


def test_temperature_keeps_to_its_bounds() -> None:
    logits = np.eye(4) * 0.3
    assert fit_temperature(logits, np.arange(4)) == pytest.approx(0.05, rel=0.01)
    assert fit_temperature(logits, np.array([1, 2, 3, 0])) == pytest.approx(20, rel=0.01)


def test_labels_the_logits_do_not_know_say_nothing_of_the_temperature() -> None:
    logits, truth = drawn(2.0)
    known = fit_temperature(logits, truth)
    with_lacking = np.concatenate([logits, logits[:1000]])
    with_lacking[len(logits) :, 3] = -np.inf
    again = fit_temperature(with_lacking, np.concatenate([truth, np.full(1000, 3)]))
    assert again == pytest.approx(known, rel=1e-3)


def test_columns_that_are_lacking_elsewhere_do_no_harm() -> None:
    logits, truth = drawn(2.0, labels=5)
    wider = np.concatenate([logits, np.full((len(logits), 2), -np.inf)], axis=1)
    assert fit_temperature(wider, truth) == pytest.approx(fit_temperature(logits, truth), rel=1e-6)


@pytest.mark.parametrize("rows", [0, 3])
def test_without_any_known_photo_the_temperature_is_one(rows: int) -> None:
    logits = np.zeros((rows, 4))
    logits[:, 2] = -np.inf
    assert fit_temperature(logits, np.full(rows, 2, np.intp)) == 1.0


def columns(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Two-label probabilities whose 1 - p(true label) are `scores`."""
    return np.stack([1 - scores, scores], axis=1), np.zeros(len(scores), np.intp)


@pytest.mark.parametrize(
    ("photos", "coverage", "rank"),
    [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.9, 90), (100, 0.9, 91), (1000, 0.9, 901), (3, 0.5, 2)],
)
def test_quantile_has_the_finite_sample_rank(photos: int, coverage: float, rank: int) -> None:
    scores = np.arange(1, photos + 1) / (photos + 1)
    shuffled = np.random.default_rng(1).permutation(scores)
    assert set_quantile(*columns(shuffled), coverage) == pytest.approx(scores[rank - 1])


@pytest.mark.parametrize("photos", [0, 1, 8])
def test_too_few_photos_for_the_coverage_put_every_label_in_the_set(photos: int) -> None:
    quantile = set_quantile(*columns(np.linspace(0.1, 0.3, photos)), 0.9)
    assert quantile == 1.0
    assert len(prediction_set(np.array([0.9, 0.1, 0.0]), quantile)) == 3


def test_rank_is_not_one_too_high_by_rounding() -> None:
    # (n + 1) * 0.9 in floating point may stand a hair above the whole number.
    for photos in range(9, 3000, 10):
        scores = np.arange(photos) / photos
        assert set_quantile(*columns(scores), 0.9) == pytest.approx(scores[(photos + 1) * 9 // 10 - 1])


def test_new_photos_are_covered_as_promised() -> None:
    logits, truth = drawn(1.0, photos=12_000, seed=4)
    probabilities = softmax(logits, 1.0)
    quantile = set_quantile(probabilities[:2000], truth[:2000], 0.9)
    hits = [
        label in prediction_set(row, quantile) for row, label in zip(probabilities[2000:], truth[2000:], strict=True)
    ]
    assert np.mean(hits) == pytest.approx(0.9, abs=0.015)


def folds_drawn_at(*temperatures: float) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.str_]]:
    """Five hundred photos a fold, whose labels follow the logits the less the hotter the fold is."""
    parts = [drawn(temperature, photos=500, seed=place) for place, temperature in enumerate(temperatures)]
    folds = np.repeat([f"fold {place}" for place in range(len(parts))], 500)
    return np.concatenate([logits for logits, _ in parts]), np.concatenate([truth for _, truth in parts]), folds


def left_out(
    logits: NDArray[np.float64], truth: NDArray[np.intp], folds: NDArray[np.str_], level: float | None
) -> float:
    """The share of photos of left-out folds that sets hold, whose level is `level` or fitted on the other folds."""
    hits = []
    for fold in np.unique(folds):
        here = folds == fold
        temperature = fit_temperature(logits[~here], truth[~here])
        asked = set_level(logits[~here], truth[~here], folds[~here], 0.9) if level is None else level
        quantile = set_quantile(softmax(logits[~here], temperature), truth[~here], asked)
        hits.append(1 - softmax(logits[here], temperature)[np.arange(here.sum()), truth[here]] <= quantile)
    return float(np.mean(np.concatenate(hits)))


def test_folds_that_are_alike_need_no_other_level() -> None:
    assert set_level(*folds_drawn_at(1, 1, 1, 1, 1, 1), 0.9) == pytest.approx(0.9, abs=0.011)


def test_folds_that_differ_raise_the_level_until_it_is_kept() -> None:
    found = folds_drawn_at(0.5, 0.5, 1, 1, 4, 4)
    assert left_out(*found, 0.9) < 0.89
    assert set_level(*found, 0.9) > 0.9
    assert left_out(*found, 0.9) < left_out(*found, None) < 0.93
    assert left_out(*found, set_level(*found, 0.9)) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("temperatures", [(1,), (1, 4)])
def test_one_or_two_folds_say_nothing_of_others(temperatures: tuple[float, ...]) -> None:
    assert set_level(*folds_drawn_at(*temperatures), 0.9) == 0.9


def threshold(pairs: list[tuple[float, bool]], precision: float = 0.75, floor: float = 0.5) -> float:
    confidence, correct = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], bool)
    return answer_threshold(confidence, correct, precision, floor=floor)


def test_threshold_is_the_least_that_keeps_the_precision() -> None:
    # Right shares from the top: 1, 1/2, 2/3, 3/4, 3/5.
    pairs = [(0.9, True), (0.85, False), (0.8, True), (0.7, True), (0.6, False)]
    assert threshold(pairs) == 0.7
    assert threshold(pairs[::-1]) == 0.7
    assert threshold(pairs, precision=0.9) == 0.9
    assert threshold(pairs, precision=0.5) == 0.6


def test_threshold_is_one_when_the_precision_is_never_reached() -> None:
    assert threshold([(0.9, False), (0.8, True), (0.7, False)]) == 1.0
    assert threshold([]) == 1.0


def test_threshold_is_never_below_the_floor() -> None:
    pairs = [(0.9, True), (0.6, True), (0.4, True), (0.3, True)]
    assert threshold(pairs) == 0.6
    assert threshold(pairs, floor=0.2) == 0.3
    assert threshold([(0.4, True)]) == 1.0


def test_answers_of_equal_confidence_are_let_through_together() -> None:
    # Only in this order is the first of the four right; a threshold of 0.8 lets all of them through.
    assert threshold([(0.8, True), (0.8, False), (0.8, False), (0.8, False)]) == 1.0
    pairs = [(0.9, True), (0.8, True), (0.8, False), (0.8, False)]
    assert threshold(pairs) == threshold(pairs[::-1]) == 0.9


@pytest.mark.parametrize("precision", [0.6, 0.75, 0.9])
def test_threshold_by_trying_every_one(precision: float) -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        confidence = rng.integers(40, 100, 60) / 100
        correct = rng.uniform(size=60) < confidence
        fits = [
            value
            for value in np.unique(confidence)
            if value >= 0.5 and correct[confidence >= value].mean() >= precision
        ]
        assert answer_threshold(confidence, correct, precision, floor=0.5) == (min(fits) if fits else 1.0)
