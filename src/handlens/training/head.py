"""A linear head over frozen features: multinomial logistic regression, blind to who took the photo, for which no label
is likelier than another before the photo is seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from handlens.errors import UsageError
from handlens.training.samples import BadSamplesError

__all__ = ["HeadSettings", "LinearHead", "adjusted", "averaged", "fit_head"]

_ENOUGH: Final = 20
"""Photos of one label by one photographer from which on their mean is as sure as it gets."""
_NOTHING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """`strength`: inverse of the L2 penalty on standardised features. `balance`: 0 to 1, the power of the inverse class
    frequency that weighs a sample (1: every label counts the same, 0: every photo does). `adjust`: how much of a
    label's frequency is taken out of its logit afterwards (`adjusted`). `nuisance`: how many directions to leave out in
    which photos of one label differ from photographer to photographer. `trained`: the share that the head which was
    trained together with a tuned network has of the logits, the fitted one having the rest; a taught network answers
    with the trained one alone. Raises UsageError for values that make no sense.
    """

    strength: float = 1e-3
    balance: float = 1.0
    adjust: float = 0.0
    nuisance: int = 0
    iterations: int = 300
    trained: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise UsageError(f"strength is {self.strength}: it must be more than 0")
        if not 0 <= self.balance <= 1:
            raise UsageError(f"balance is {self.balance}: it must be from 0 to 1")
        if not (math.isfinite(self.adjust) and self.adjust >= 0):
            raise UsageError(f"adjust is {self.adjust}: it must be 0 or more")
        if self.nuisance < 0:
            raise UsageError(f"nuisance is {self.nuisance}: it must be 0 or more")
        if self.iterations < 1:
            raise UsageError(f"iterations is {self.iterations}: it must be 1 or more")
        if not 0 <= self.trained < 1:
            raise UsageError(f"the trained head's share is {self.trained}: it must be from 0 to less than 1")


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Logits = features @ `weights` + `bias`; `labels` names the columns, in alphabetical order."""

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, D) → (n, labels)."""
        return features @ self.weights + self.bias


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.str_],
    settings: HeadSettings,
    photographers: NDArray[np.str_] | None = None,
) -> LinearHead:
    """Fits on features (n, D) and their labels (n,). Raises BadSamplesError for fewer than two labels.

    `photographers` (n,): who took each photo; without it, and where nobody's label is another's too, no direction is
    left out. Features are standardised for the fit only; the scaling is folded into the weights afterwards.
    """
    names, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise BadSamplesError(f"a classifier needs two labels or more; here is {' '.join(names) or 'none'}")
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    weight = (len(labels) / (len(names) * counts)) ** settings.balance
    shown = (features - mean) / deviation
    left_out = np.zeros((features.shape[1], 0), np.float32)
    if settings.nuisance and photographers is not None:
        left_out = _nuisance(shown, places, photographers, settings.nuisance)
        shown = shown - (shown @ left_out) @ left_out.T
    regression = LogisticRegression(C=settings.strength, max_iter=settings.iterations)
    regression.fit(shown, places, sample_weight=weight[places])
    coefficients, intercept = regression.coef_, regression.intercept_
    if len(names) == 2:  # one row stands for both labels
        coefficients, intercept = (
            np.concatenate([-coefficients, coefficients]) / 2,
            np.r_[-intercept, intercept] / 2,
        )
    coefficients = coefficients - (coefficients @ left_out) @ left_out.T
    weights = (coefficients / deviation).T
    head = LinearHead(
        labels=tuple(str(name) for name in names),
        weights=weights.astype(np.float32),
        bias=(intercept - mean @ weights).astype(np.float32),
    )
    return adjusted(head, labels, settings.adjust)


def adjusted(head: LinearHead, labels: NDArray[np.str_], times: float) -> LinearHead:
    """The same with logits that lose `times` the logarithm of their label's share among `labels` (n,), those of the
    photos it was fitted on, every one of the head's among them.

    Source: A. Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021).
    """
    counts = np.bincount(np.searchsorted(head.labels, labels), minlength=len(head.labels))
    return replace(head, bias=(head.bias - times * np.log(counts / len(labels))).astype(np.float32))


def averaged(first: LinearHead, second: LinearHead, share: float) -> LinearHead:
    """The one whose logits are the means of theirs, `share` of the second; of the same labels."""
    assert first.labels == second.labels
    parts = ((first.weights, second.weights), (first.bias, second.bias))
    weights, bias = (((1 - share) * one + share * other).astype(np.float32) for one, other in parts)
    return LinearHead(first.labels, weights, bias)


def _nuisance(
    shown: NDArray[np.float32], places: NDArray[np.intp], photographers: NDArray[np.str_], most: int
) -> NDArray[np.float32]:
    """At most `most` orthonormal directions (D, k) in which the photos of one label differ most between photographers.

    Source: nuisance attribute projection, A. Solomonoff, C. Quillen and W. Campbell, "Channel Compensation for SVM
    Speaker Recognition" (Odyssey 2004).
    """
    rows = []
    for place in np.unique(places):
        whose = photographers[places == place]
        names, counts = np.unique(whose, return_counts=True)
        if len(names) > 1:
            of_label = shown[places == place]
            means = np.stack([of_label[whose == name].mean(axis=0) for name in names])
            weight = np.sqrt(np.minimum(counts, _ENOUGH))[:, np.newaxis]
            rows.append((means - means.mean(axis=0)) * weight)
    if not rows:
        return np.zeros((shown.shape[1], 0), np.float32)
    spread = np.concatenate(rows).astype(np.float64)
    _, sizes, axes = np.linalg.svd(spread, full_matrices=False)
    return np.asarray(axes[: min(most, int((sizes > _NOTHING * sizes[0]).sum()))].T, np.float32)
