"""A linear head over frozen features: balanced multinomial logistic regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from handlens.errors import UsageError
from handlens.training.samples import BadSamplesError

__all__ = ["HeadSettings", "LinearHead", "fit_head"]


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """`strength`: inverse of the L2 penalty on standardised features. `balance`: 0 to 1, the power of the inverse class
    frequency that weighs a sample (1: every label counts the same, 0: every photo does). Raises UsageError for values
    that make no sense.
    """

    strength: float = 1e-3
    balance: float = 1.0
    iterations: int = 300

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise UsageError(f"strength is {self.strength}: it must be more than 0")
        if not 0 <= self.balance <= 1:
            raise UsageError(f"balance is {self.balance}: it must be from 0 to 1")
        if self.iterations < 1:
            raise UsageError(f"iterations is {self.iterations}: it must be 1 or more")


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Logits = features @ `weights` + `bias`; `labels` names the columns, in alphabetical order."""

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, D) → (n, labels)."""
        return features @ self.weights + self.bias


def fit_head(features: NDArray[np.float32], labels: NDArray[np.str_], settings: HeadSettings) -> LinearHead:
    """Fits on features (n, D) and their labels (n,). Raises BadSamplesError for fewer than two labels.

    Features are standardised for the fit only; the scaling is folded into the weights afterwards.
    """
    names, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise BadSamplesError(f"a classifier needs two labels or more; here is {' '.join(names) or 'none'}")
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    weight = (len(labels) / (len(names) * counts)) ** settings.balance
    regression = LogisticRegression(C=settings.strength, max_iter=settings.iterations)
    regression.fit((features - mean) / deviation, places, sample_weight=weight[places])
    coefficients, intercept = regression.coef_, regression.intercept_
    if len(names) == 2:  # one row stands for both labels
        coefficients, intercept = (
            np.concatenate([-coefficients, coefficients]) / 2,
            np.r_[-intercept, intercept] / 2,
        )
    weights = (coefficients / deviation).T
    return LinearHead(
        labels=tuple(str(name) for name in names),
        weights=weights.astype(np.float32),
        bias=(intercept - mean @ weights).astype(np.float32),
    )
