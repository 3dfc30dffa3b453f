"""Metrics against values worked out by hand, and intervals against published ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.evaluation.metrics import (
    balanced_accuracy,
    brier_score,
    calibration_error,
    calibration_floor,
    macro_f1,
    measure,
    per_label,
    ranks_of_truth,
    top_k,
    wilson_interval,
)

PROBABILITIES = np.array(
    [
        [0.5, 0.3, 0.2],
        [0.1, 0.6, 0.3],
        [0.2, 0.5, 0.3],
        [0.7, 0.2, 0.1],
        [0.4, 0.35, 0.25],
        [0.1, 0.1, 0.8],
    ]
)
TRUTH = np.array([0, 0, 1, 1, 1, 2], np.intp)
PREDICTED = np.array([0, 1, 1, 0, 0, 2], np.intp)


def places(*values: int) -> NDArray[np.intp]:
    return np.array(values, np.intp)


@pytest.mark.parametrize(("k", "share"), [(1, 3 / 6), (2, 5 / 6), (3, 1.0), (5, 1.0)])
def test_top_k(k: int, share: float) -> None:
    assert top_k(PROBABILITIES, TRUTH, k) == pytest.approx(share)


def test_balanced_accuracy() -> None:
    assert balanced_accuracy(PREDICTED, TRUTH) == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)


def test_balanced_accuracy_counts_only_labels_that_occur() -> None:
    # Label 3 is named once and never true: it makes label 0 worse and has no share of its own.
    assert balanced_accuracy(places(0, 3, 1), places(0, 0, 1)) == pytest.approx((1 / 2 + 1) / 2)


def test_macro_f1() -> None:
    # TP, FP, FN of the three labels: 1 2 1, 1 1 2, 1 0 0.
    assert macro_f1(PREDICTED, TRUTH) == pytest.approx((2 / 5 + 2 / 5 + 2 / 2) / 3)
    assert macro_f1(places(1, 1), places(0, 0)) == 0.0


def test_measure_holds_them_all() -> None:
    found = measure(PROBABILITIES, TRUTH)
    assert found.photos == 6
    assert found.top1 == pytest.approx(1 / 2)
    assert found.top3 == found.top5 == 1.0
    assert found.balanced == pytest.approx(11 / 18)
    assert found.macro_f1 == pytest.approx(0.6)
    assert found.nll == pytest.approx(-sum(map(math.log, (0.5, 0.1, 0.5, 0.2, 0.35, 0.8))) / 6)
    assert found.brier == brier_score(PROBABILITIES, TRUTH)
    assert found.ece_floor == calibration_floor(PROBABILITIES.max(axis=1))
    assert found.as_dict()["balanced"] == 0.6111
    assert found.as_dict()["photos"] == 6


def test_an_impossible_truth_does_not_make_the_likelihood_infinite() -> None:
    found = measure(np.array([[1.0, 0.0], [0.5, 0.5]]), places(1, 0))
    assert found.nll == pytest.approx((-math.log(1e-12) - math.log(0.5)) / 2)


def test_calibration_error_by_hand() -> None:
    # Two bins of two: confidence 0.3 and 0.5 with one right, 0.8 and 0.9 with both right.
    confidence, correct = np.array([0.9, 0.3, 0.8, 0.5]), np.array([True, False, True, True])
    assert calibration_error(confidence, correct, bins=2) == pytest.approx(0.5 * abs(0.4 - 0.5) + 0.5 * abs(0.85 - 1.0))
    assert calibration_error(confidence, correct, bins=1) == pytest.approx(abs(0.625 - 0.75))


def test_calibration_error_bins_have_equal_mass_not_equal_width() -> None:
    # Equal widths would put all of it into one bin and find nothing wrong.
    confidence = np.array([0.91, 0.92, 0.98, 0.99])
    correct = np.array([True, True, True, False])
    low, high = abs(0.915 - 1), abs(0.985 - 0.5)
    assert calibration_error(confidence, correct, bins=2) == pytest.approx((low + high) / 2)


def test_calibration_error_with_fewer_photos_than_bins_weighs_each_once() -> None:
    confidence, correct = np.array([0.6, 0.8, 0.7]), np.array([True, True, False])
    assert calibration_error(confidence, correct) == pytest.approx((0.4 + 0.2 + 0.7) / 3)


def test_calibration_error_of_calibrated_answers_is_small() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.2, 1.0, 20_000)
    correct = rng.uniform(size=20_000) < confidence
    assert calibration_error(confidence, correct) < 0.02
    assert calibration_error(np.minimum(1.0, confidence + 0.2), correct) > 0.1


@pytest.mark.parametrize(
    ("hits", "photos", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
        # table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval(hits: int, photos: int, low: float, high: float) -> None:
    assert wilson_interval(hits, photos) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(photos - hits, photos) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_interval_of_nothing_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_interval_at_another_level() -> None:
    low, high = wilson_interval(5, 10, z=1.0)
    assert (low, high) == pytest.approx((0.5 - 0.5 / math.sqrt(11), 0.5 + 0.5 / math.sqrt(11)))


def test_per_label() -> None:
    assert per_label(PROBABILITIES, TRUTH, ("a", "b", "c")) == {
        "a": {"photos": 2, "recall": 0.5, "precision": 0.3333},
        "b": {"photos": 3, "recall": 0.3333, "precision": 0.5},
        "c": {"photos": 1, "recall": 1.0, "precision": 1.0},
    }


def test_per_label_leaves_out_labels_without_photos_and_divides_by_no_zero() -> None:
    found = per_label(np.array([[0.1, 0.0, 0.9]]), places(0), ("a", "b", "c"))
    assert found == {"a": {"photos": 1, "recall": 0.0, "precision": 0.0}}


def test_ranks_of_truth_count_the_more_probable_columns() -> None:
    assert ranks_of_truth(PROBABILITIES, TRUTH).tolist() == [0, 2, 0, 1, 1, 0]


def test_brier_score_by_hand() -> None:
    # Rows 0 and 5: (0.5² + 0.3² + 0.2²) and (0.1² + 0.1² + 0.2²).
    assert brier_score(PROBABILITIES[[0, 5]], TRUTH[[0, 5]]) == pytest.approx((0.38 + 0.06) / 2)
    assert brier_score(np.array([[1.0, 0.0]]), places(1)) == 2.0


def test_the_floor_is_what_calibrated_answers_show() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.1, 0.9, 700)
    shown = [calibration_error(confidence, rng.random(700) < confidence) for _ in range(300)]
    floor = calibration_floor(confidence)
    assert floor == pytest.approx(float(np.mean(shown)), rel=0.1)
    assert floor > 2 * calibration_floor(np.tile(confidence, 16))
