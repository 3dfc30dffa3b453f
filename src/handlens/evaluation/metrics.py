"""What a table of predictions is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

__all__ = [
    "Metrics",
    "balanced_accuracy",
    "brier_score",
    "calibration_error",
    "calibration_floor",
    "macro_f1",
    "measure",
    "per_label",
    "ranks_of_truth",
    "top_k",
    "wilson_interval",
]

ECE_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Metrics:
    """Shares from 0 to 1 over `photos` photos; `ece` as `calibration_error` has it, `ece_floor` as `calibration_floor`,
    `nll` in nats, `brier` from 0 to 2.
    """

    photos: int
    top1: float
    top3: float
    top5: float
    balanced: float
    macro_f1: float
    ece: float
    ece_floor: float
    nll: float
    brier: float

    def as_dict(self) -> dict[str, Any]:
        """Rounded to 4 decimals, for reports."""
        return {name: value if name == "photos" else round(value, 4) for name, value in asdict(self).items()}


def measure(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> Metrics:
    """Metrics of probabilities (n, labels) against the true columns (n,)."""
    predicted = probabilities.argmax(axis=1)
    picked = probabilities[np.arange(len(truth)), truth]
    return Metrics(
        photos=len(truth),
        top1=float(np.mean(predicted == truth)),
        top3=top_k(probabilities, truth, 3),
        top5=top_k(probabilities, truth, 5),
        balanced=balanced_accuracy(predicted, truth),
        macro_f1=macro_f1(predicted, truth),
        ece=calibration_error(probabilities.max(axis=1), predicted == truth),
        ece_floor=calibration_floor(probabilities.max(axis=1)),
        # A label that no training photo had gets probability 0; the floor keeps the mean finite.
        nll=float(-np.log(np.maximum(picked, 1e-12)).mean()),
        brier=brier_score(probabilities, truth),
    )


def top_k(probabilities: NDArray[np.float64], truth: NDArray[np.intp], k: int) -> float:
    """Share of rows whose true column is among the k most probable."""
    return float(np.mean(ranks_of_truth(probabilities, truth) < k))


def ranks_of_truth(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> NDArray[np.intp]:
    """The place (n,) of the true column among the columns of its row, 0 for the most probable."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return np.asarray((order == truth[:, None]).argmax(axis=1))


def brier_score(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """The mean squared distance of the probabilities from the truth, summed over the labels, 0 to 2.

    Source: G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability" (Monthly Weather Review, 1950).
    """
    labels = np.arange(probabilities.shape[1])
    return float(brier_score_loss(truth, probabilities, labels=labels, scale_by_half=False))


def balanced_accuracy(predicted: NDArray[np.intp], truth: NDArray[np.intp]) -> float:
    """Mean over the labels that occur in `truth` of the share of their photos that were named."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def macro_f1(predicted: NDArray[np.intp], truth: NDArray[np.intp]) -> float:
    """Mean over the labels that occur in `truth` of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in np.unique(truth):
        hits = np.sum((predicted == label) & (truth == label))
        scores.append(2 * hits / (np.sum(predicted == label) + np.sum(truth == label)))
    return float(np.mean(scores))


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = ECE_BINS) -> float:
    """Expected calibration error of the top answer over equal-mass bins.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017); equal-mass bins as in Nixon et al.,
    "Measuring Calibration in Deep Learning" (2019), since with equal widths most bins would be empty.
    """
    order = np.argsort(confidence, kind="stable")
    gaps = [
        len(part) * abs(float(confidence[part].mean()) - float(correct[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    ]
    return float(sum(gaps) / len(order))


def calibration_floor(confidence: NDArray[np.float64], bins: int = ECE_BINS, *, draws: int = 200) -> float:
    """The mean `calibration_error` of answers that are right exactly as often as they say: what chance alone makes of
    so many photos.
    """
    rng = np.random.default_rng(0)
    right = rng.random((draws, len(confidence))) < confidence
    return float(np.mean([calibration_error(confidence, row, bins) for row in right]))


def wilson_interval(hits: int, photos: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share. Source: E. B. Wilson (JASA 1927)."""
    if photos == 0:
        return 0.0, 1.0
    share = hits / photos
    centre = (share + z * z / (2 * photos)) / (1 + z * z / photos)
    half = z * math.sqrt(share * (1 - share) / photos + z * z / (4 * photos * photos)) / (1 + z * z / photos)
    return max(0.0, centre - half), min(1.0, centre + half)


def per_label(
    probabilities: NDArray[np.float64], truth: NDArray[np.intp], labels: Sequence[str]
) -> Mapping[str, dict[str, float | int]]:
    """For every label that occurs: photos, recall, precision."""
    predicted = probabilities.argmax(axis=1)
    table: dict[str, dict[str, float | int]] = {}
    for place in np.unique(truth):
        hits, named = int(np.sum((predicted == place) & (truth == place))), int(np.sum(predicted == place))
        photos = int(np.sum(truth == place))
        table[labels[place]] = {
            "photos": photos,
            "recall": round(hits / photos, 4),
            "precision": round(hits / named, 4) if named else 0.0,
        }
    return table
