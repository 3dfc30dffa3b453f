"""Whether the temperature of a photo's logits is still right once tests are weighed in: softmax(logits / T + log L).

A temperature is fitted on photos alone. With tests the same logits are one of several voices, and too sure a photo
outweighs them: the temperature that is best with evidence need not be the one that is best without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from handlens.decision import softmax
from handlens.evaluation.metrics import calibration_error
from handlens.evaluation.protocol import HeldOut

__all__ = ["Tempered", "fit_evidence_temperature", "tempered"]


@dataclass(frozen=True, slots=True)
class Tempered:
    """Of one kind of evidence, with the photo's temperature, with its own, and with one for all kinds, each fitted on
    the other folds: mean temperature, ECE of the top answer, and negative log-likelihood of the truth in nats.
    """

    temperature_before: float
    ece_before: float
    nll_before: float
    temperature_own: float
    ece_own: float
    nll_own: float
    temperature_shared: float
    ece_shared: float
    nll_shared: float


def fit_evidence_temperature(
    logits: NDArray[np.float64], log_likelihoods: NDArray[np.floating], truth: NDArray[np.intp]
) -> float:
    """The temperature (0.05 to 20) with the least negative log-likelihood after the evidence.

    `logits` (n, labels), `log_likelihoods` (n, draws, labels), `truth` (n,). Photos of a label that the logits do not
    know (-inf) are left out; 1 when none is left.
    """
    known = np.isfinite(logits[np.arange(len(truth)), truth])
    kept, weights, true = logits[known], log_likelihoods[known], truth[known]
    if not len(true):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = kept / math.exp(log_temperature)
        return float(np.mean(_losses(scaled, weights, true)))

    found = minimize_scalar(
        loss, bounds=(math.log(0.05), math.log(20.0)), method="bounded", options={"xatol": 1e-3, "maxiter": 30}
    )
    return math.exp(float(found.x))


def tempered(
    held: HeldOut,
    log_likelihoods: Mapping[str, NDArray[np.floating]],
    shared: Sequence[str],
    members: NDArray[np.float64],
) -> dict[str, Tempered]:
    """By the keys of `log_likelihoods`, (n, draws, labels) each; one temperature is fitted for all keys in `shared`.

    `members` (labels, names): the probabilities of labels are added up to those of names.
    """
    together = np.concatenate([log_likelihoods[key] for key in shared], axis=1)
    for_all = _by_fold(held, together)
    found = {}
    for key, weights in log_likelihoods.items():
        own = _by_fold(held, weights)
        before, after, common = (
            _judged(held, weights, temperatures, members) for temperatures in (held.temperatures, own, for_all)
        )
        found[key] = Tempered(
            *(float(held.temperatures.mean()), *before),
            *(float(own.mean()), *after),
            *(float(for_all.mean()), *common),
        )
    return found


def _by_fold(held: HeldOut, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """A temperature for each photo (n,), fitted on the other folds than its own."""
    temperatures = np.ones(len(held.truth))
    for fold in np.unique(held.folds):
        others = held.folds != fold
        temperatures[~others] = fit_evidence_temperature(held.logits[others], weights[others], held.truth[others])
    return temperatures


def _judged(
    held: HeldOut, weights: NDArray[np.floating], temperatures: NDArray[np.float64], members: NDArray[np.float64]
) -> tuple[float, float]:
    """ECE and negative log-likelihood."""
    scaled = held.logits / temperatures[:, np.newaxis]
    now = softmax(scaled[:, np.newaxis] + weights, 1.0) @ members
    true = members[held.truth].argmax(axis=1)
    right = now.argmax(axis=-1) == true[:, np.newaxis]
    picked = np.take_along_axis(now, true[:, np.newaxis, np.newaxis], axis=-1)
    return calibration_error(now.max(axis=-1).ravel(), right.ravel()), float(-np.log(np.maximum(picked, 1e-12)).mean())


def _losses(scaled: NDArray[np.float64], weights: NDArray[np.floating], truth: NDArray[np.intp]) -> NDArray[np.float64]:
    summed = (scaled[:, np.newaxis] + weights).astype(np.float32)
    largest = summed.max(axis=-1)
    total = largest + np.log(np.exp(summed - largest[..., np.newaxis]).sum(axis=-1))
    return np.asarray(total - np.take_along_axis(summed, truth[:, np.newaxis, np.newaxis], axis=-1)[..., 0])
