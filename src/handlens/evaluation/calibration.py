"""Temperature, prediction-set quantile and decision thresholds, fitted on held-out predictions."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from handlens.decision import softmax

__all__ = ["answer_threshold", "fit_temperature", "set_level", "set_quantile"]

_LEVEL_STEP: Final = 0.005


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.intp]) -> float:
    """The temperature (0.05 to 20) with the least negative log-likelihood of the true columns.

    Photos of a label that the logits do not know (-inf) say nothing about it and are left out; 1 when none is left.
    Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).
    """
    rows = np.arange(len(truth))
    known = np.isfinite(logits[rows, truth])
    kept, true = logits[known], truth[known]
    if not len(true):
        return 1.0

    def loss(log_temperature: float) -> float:
        picked = softmax(kept, math.exp(log_temperature))[np.arange(len(true)), true]
        return float(-np.log(np.maximum(picked, 1e-300)).mean())

    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20.0)), method="bounded")
    return math.exp(float(found.x))


def set_quantile(probabilities: NDArray[np.float64], truth: NDArray[np.intp], coverage: float) -> float:
    """The quantile of 1 - p(true label) with which prediction sets hold the truth for `coverage` of new photos.

    With the finite-sample correction of split conformal prediction. Source: Sadinle, Lei and Wasserman (JASA 2019);
    Angelopoulos and Bates, "A Gentle Introduction to Conformal Prediction" (2021).
    """
    return _quantile(np.sort(1.0 - probabilities[np.arange(len(truth)), truth]), coverage)


def _quantile(scores: NDArray[np.float64], coverage: float) -> float:
    rank = math.ceil((len(scores) + 1) * coverage)
    return float(scores[rank - 1]) if rank <= len(scores) else 1.0


def set_level(logits: NDArray[np.floating], truth: NDArray[np.intp], folds: NDArray[np.str_], coverage: float) -> float:
    """The coverage to ask of `set_quantile` so that the sets hold the truth for `coverage` of the photos of a fold that
    was left out; `coverage` itself where there are less than three folds.

    Split conformal prediction keeps its word for photos like those it is fitted on, and photographers differ. So the
    level is raised until it is kept from photographer to photographer among those that are known.
    """
    parts = []
    for fold in np.unique(folds):
        here = folds == fold
        temperature = fit_temperature(logits[~here], truth[~here])
        scores = 1.0 - softmax(logits, temperature)[np.arange(len(truth)), truth]
        parts.append((np.sort(scores[~here]), scores[here]))
    if len(parts) < 3:
        return coverage
    steps = np.append(np.arange(coverage, 1.0, _LEVEL_STEP), 1.0)
    for level in steps:
        covered = sum(int(np.sum(left_out <= _quantile(fitted, level))) for fitted, left_out in parts)
        if covered >= coverage * len(truth):
            break
    return float(level)


def answer_threshold(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], precision: float, *, floor: float
) -> float:
    """The least threshold, not below `floor`, from which answers are right with at least `precision`.

    `confidence` (n,) is the summed probability of the answer, `correct` (n,) whether it is right. 1.0 when no
    threshold reaches the precision.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    shares = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A threshold lets all answers of equal confidence through, so only the last of them tells its precision.
    last = np.append(sorted_confidence[1:] != sorted_confidence[:-1], True)[: len(order)]
    good = np.flatnonzero(last & (shares >= precision) & (sorted_confidence >= floor))
    return float(sorted_confidence[good[-1]]) if len(good) else 1.0
