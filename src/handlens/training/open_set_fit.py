"""What a bundle's unknown score is made of, fitted on embeddings: see `handlens.open_set`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from handlens.open_set import OpenSet

__all__ = ["PRIOR", "Judged", "calibrated", "fit_open_set"]

PRIOR: Final = 0.2
"""How often a specimen that people photograph is taken to be of a mineral that is no label; nobody knows."""
_DIRECTIONS: Final = 256
_PHOTOS_A_DIRECTION: Final = 4
_STRENGTH: Final = 3e-4
_ITERATIONS: Final = 300
_FLOOR: Final = 1e-6
_LEAST: Final = 5
"""Photos of either kind from one collection that a comparison within it needs."""
_HALF_AT, _QUARTER_AT = 0.975, 0.95
_QUARTER: Final = math.log(3)


@dataclass(frozen=True, slots=True)
class Judged:
    """Photos that the statistics have not seen: residuals and linear scores (n,) of photos of labels, and what is
    known of unknown minerals, whose collections `theirs` (m,) are compared with `ours` (n,) of the same name.
    """

    residual: NDArray[np.float64]
    linear: NDArray[np.float64]
    ours: NDArray[np.str_]
    unknown: NDArray[np.float64]
    theirs: NDArray[np.str_]


def fit_open_set(known: NDArray[np.float32], alike: NDArray[np.float32], others: NDArray[np.float32]) -> OpenSet:
    """Statistics of the embeddings of photos of labels `known` (n, D), and a linear score that tells their small copies
    `alike` from those of unknown minerals `others` (m, D); none where either is empty. Not calibrated yet.
    """
    everything = np.concatenate([known, alike])
    mean, deviation = everything.mean(axis=0), everything.std(axis=0) + _FLOOR
    shown = (everything - mean) / deviation
    count = max(1, min(_DIRECTIONS, len(shown) // _PHOTOS_A_DIRECTION, shown.shape[1] // 2))
    # Half precision is how a bundle has them.
    directions = PCA(count, random_state=0).fit(shown).components_.astype(np.float16).astype(np.float32)
    weights, bias = np.zeros(len(mean), np.float32), -math.inf
    if len(alike) and len(others):
        both = np.concatenate([(alike - mean) / deviation, (others - mean) / deviation])
        regression = LogisticRegression(C=_STRENGTH, max_iter=_ITERATIONS, class_weight="balanced")
        regression.fit(both, np.arange(len(both)) >= len(alike))
        weights, bias = regression.coef_[0].astype(np.float32), float(regression.intercept_[0])
    return OpenSet(mean, deviation, directions, 0.0, 1.0, weights, bias)


def calibrated(raw: OpenSet, judged: Judged) -> OpenSet:
    """The same with probabilities that follow from photos that it has not seen.

    A photo is as likely no specimen as one where its residual is that of the 2.5 % oddest photos of specimens, and
    three times less likely where it is that of the 5 % oddest: what is no specimen need not be seen for that. The
    linear score's slope is that of a logistic regression with an intercept for every collection, since collections
    differ more than minerals do; the chance of an unknown mineral is PRIOR before the photo is seen.
    """
    half, quarter = np.quantile(judged.residual, (_HALF_AT, _QUARTER_AT))
    width = max(float(half - quarter) / _QUARTER, _FLOOR)
    slope, offset = _slope(judged) if math.isfinite(raw.bias) else (0.0, 0.0)
    bias = -math.inf
    if slope > 0:
        bias = slope * raw.bias + offset + math.log(PRIOR / (1 - PRIOR))
    weights = (raw.weights * slope if slope > 0 else np.zeros_like(raw.weights)).astype(np.float32)
    return OpenSet(raw.mean, raw.deviation, raw.directions, float(half), width, weights, bias)


def _slope(judged: Judged) -> tuple[float, float]:
    """By what to multiply the linear score, and what to add, to have the logarithm of a likelihood ratio."""
    names = [
        name
        for name in np.unique(judged.ours)
        if min(np.sum(judged.ours == name), np.sum(judged.theirs == name)) >= _LEAST
    ]
    if not names:
        return 0.0, 0.0
    ours, theirs = np.isin(judged.ours, names), np.isin(judged.theirs, names)
    scores = np.concatenate([judged.linear[ours], judged.unknown[theirs]])
    whose = np.concatenate([judged.ours[ours], judged.theirs[theirs]])
    unknown = np.arange(len(scores)) >= ours.sum()
    centre, spread = scores.mean(), scores.std() + _FLOOR
    design = np.column_stack([(scores - centre) / spread, *(whose == name for name in names)])
    found = LogisticRegression(C=1e3, fit_intercept=False, max_iter=_ITERATIONS).fit(design, unknown).coef_[0]
    slope = float(found[0] / spread)
    counts = np.array([np.sum(judged.ours == name) for name in names])
    ratios = np.array([np.sum(judged.theirs == name) / np.sum(judged.ours == name) for name in names])
    offsets = found[1:] - np.log(ratios) - slope * centre
    return slope, float(np.average(offsets, weights=counts))
