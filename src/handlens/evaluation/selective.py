"""What answers are worth when only the surest photos are answered: risk against coverage.

Source: Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks" (NeurIPS 2017); the area under
the curve as in Geifman, Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation" (ICLR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.evaluation.describe import at_species
from handlens.evaluation.protocol import HeldOut
from handlens.minerals import KnowledgeBase

__all__ = ["COVERAGES", "RiskCurve", "risk_curve", "selective"]

COVERAGES: Final = (0.5, 0.8, 0.95)
"""Shares of photos answered that reports name."""


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """`coverage` (n,) rising to 1, and the share of wrong answers `risk` (n,) among so many of the surest photos."""

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    @property
    def area(self) -> float:
        """The mean risk over all coverages (AURC); less is better."""
        return float(self.risk.mean())

    def right_at(self, coverage: float) -> float:
        """The share of right answers when `coverage` (0 to 1) of the photos, the surest, are answered."""
        answered = max(1, round(coverage * len(self.risk)))
        return 1 - float(self.risk[answered - 1])


def risk_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> RiskCurve:
    """The curve of answers with `confidence` (n,), of which `right` (n,) are right.

    Equally sure answers share what they come to, as no threshold parts them.
    """
    order = np.argsort(-confidence, kind="stable")
    _, place, count = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    wrong = (np.bincount(place, ~right[order]) / count)[place]
    answered = np.arange(1, len(order) + 1)
    return RiskCurve(answered / len(order), np.cumsum(wrong) / answered)


def selective(found: HeldOut, minerals: KnowledgeBase) -> dict[str, Any]:
    """The share of right first answers at each of COVERAGES and the area, for labels and at species rank.

    Confidence is the calibrated probability of the answer; temperatures come from other folds than the photo's.
    """
    probabilities = found.probabilities
    species, of, _ = at_species(probabilities, found.truth, found.labels, minerals)
    figures = {}
    for name, table, truth in (("flat", probabilities, found.truth), ("species", species, of)):
        curve = risk_curve(table.max(axis=1), table.argmax(axis=1) == truth)
        right = {f"{coverage:.2f}": round(curve.right_at(coverage), 4) for coverage in COVERAGES}
        figures[name] = {"right_at": right, "area": round(curve.area, 4)}
    return figures
