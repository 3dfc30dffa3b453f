"""From held-out predictions to what the bundle decides with, and what those decisions are worth.

Every figure here is of settings fitted on the other folds than the one they are judged on; only `calibrate`, whose
result goes into the bundle, uses all folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import Thresholds
from handlens.decision import UNKNOWN, Taxonomy, decide, prediction_set, softmax
from handlens.evaluation.calibration import answer_threshold, fit_temperature, set_level, set_quantile
from handlens.evaluation.protocol import HeldOut
from handlens.minerals import KnowledgeBase

__all__ = ["COVERAGE", "PRECISION", "WIDER_COVERAGE", "AnswerSettings", "calibrate", "decisions", "is_right", "sets"]

COVERAGE: Final = 0.9
"""The share of photos whose prediction set shall hold the truth."""
WIDER_COVERAGE: Final = 0.95
"""Of sets that are judged beside those."""
PRECISION: Final = 0.75
"""The share of right answers that the thresholds of the decision are set for."""
_FLOOR: Final = 0.5  # no name is the answer that is less likely than all others together


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What a bundle answers with: see `handlens.bundle.Bundle`."""

    temperature: float
    set_quantile: float
    thresholds: Thresholds

    def as_dict(self) -> dict[str, Any]:
        """Rounded to 6 decimals, as bundle.json has it."""
        return {
            "temperature": round(self.temperature, 6),
            "set_quantile": round(self.set_quantile, 6),
            "thresholds": {rank: round(getattr(self.thresholds, rank), 6) for rank in ("variety", "species", "group")},
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> AnswerSettings:
        """Reads what `as_dict` wrote."""
        return cls(stored["temperature"], stored["set_quantile"], Thresholds(**stored["thresholds"]))


def calibrate(found: HeldOut, minerals: KnowledgeBase, kept: NDArray[np.bool_] | None = None) -> AnswerSettings:
    """Temperature, quantile and thresholds from held-out photos, those that are `kept`, or all."""
    rows = np.ones(len(found.truth), bool) if kept is None else kept
    logits, truth, labels = found.logits[rows], found.truth[rows], found.labels
    temperature = fit_temperature(logits, truth)
    probabilities = softmax(logits, temperature)
    taxonomy = Taxonomy.of(labels, minerals)
    return AnswerSettings(
        temperature,
        set_quantile(probabilities, truth, set_level(logits, truth, found.folds[rows], COVERAGE)),
        Thresholds(
            **{rank: _threshold(rank, probabilities, truth, taxonomy) for rank in ("variety", "species", "group")}
        ),
    )


def _threshold(
    rank: Literal["variety", "species", "group"],
    probabilities: NDArray[np.float64],
    truth: NDArray[np.intp],
    taxonomy: Taxonomy,
) -> float:
    nodes = [node for node, node_rank in enumerate(taxonomy.ranks) if node_rank == rank]
    if not nodes:
        return 1.0
    sums = probabilities @ taxonomy.members[nodes].T
    best = sums.argmax(axis=1)
    right = taxonomy.members[nodes][best, truth]
    return answer_threshold(sums.max(axis=1), right, PRECISION, floor=_FLOOR)


def is_right(name: str, label: str, minerals: KnowledgeBase) -> bool:
    """Whether the answer `name` is true of a specimen of `label`: the label itself or a name above it."""
    return name in (minerals.ancestors(label) if label in minerals else (label,))


def decisions(found: HeldOut, minerals: KnowledgeBase) -> dict[str, Any]:
    """How often each rank is answered and how often rightly, with settings fitted on the other folds."""
    taxonomy = Taxonomy.of(found.labels, minerals)
    count = {rank: [0, 0] for rank in ("variety", "species", "group", UNKNOWN)}
    for fold in np.unique(found.folds):
        here = found.folds == fold
        settings = calibrate(found, minerals, ~here)
        for row, place in zip(softmax(found.logits[here], settings.temperature), found.truth[here], strict=True):
            answer = decide(row, taxonomy, settings.thresholds)
            count[answer.rank][0] += 1
            count[answer.rank][1] += is_right(answer.name, found.labels[place], minerals)
    named = [row for rank, row in count.items() if rank != UNKNOWN]
    answered, right = sum(row[0] for row in named), sum(row[1] for row in named)
    return {
        "photos": len(found.truth),
        "answered": round(answered / len(found.truth), 4),
        "right_when_answered": round(right / answered, 4) if answered else None,
        "ranks": {
            rank: {"photos": row[0], "right": round(row[1] / row[0], 4) if row[0] else None}
            for rank, row in count.items()
            if rank != UNKNOWN
        },
    }


def sets(found: HeldOut, wanted: float = COVERAGE) -> dict[str, Any]:
    """Coverage and size of the prediction sets made for the coverage `wanted`, each fold's with the level and the
    quantile of the other folds; `per_label`: the coverage of the photos of each label.
    """
    size = np.zeros(len(found.truth))
    covered = np.zeros(len(found.truth), bool)
    for fold in np.unique(found.folds):
        here = found.folds == fold
        logits, truth = found.logits[~here], found.truth[~here]
        temperature = fit_temperature(logits, truth)
        level = set_level(logits, truth, found.folds[~here], wanted)
        quantile = set_quantile(softmax(logits, temperature), truth, level)
        for place in np.flatnonzero(here):
            members = prediction_set(softmax(found.logits[place], temperature), quantile)
            covered[place], size[place] = int(found.truth[place]) in members, len(members)

    def figures(kept: NDArray[np.bool_]) -> dict[str, float]:
        return {"coverage": round(float(covered[kept].mean()), 4), "size": round(float(size[kept].mean()), 2)}

    return {
        "wanted": wanted,
        **figures(np.ones(len(covered), bool)),
        "folds": {str(fold): figures(found.folds == fold) for fold in np.unique(found.folds)},
        "per_label": {
            found.labels[place]: round(float(covered[found.truth == place].mean()), 4)
            for place in np.unique(found.truth)
        },
    }
