"""Labels that are probably wrong, by confident learning.

Source: C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 70,
2021): the suspects are the off-diagonal entries of the confident joint. It supposes that the probabilities come
from a model that did not learn from these labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConfidentLearning"]


class ConfidentLearning:
    """Two passes over the labelled photos: first `add` each, then ask `suspected` of each. Memory: a number a label."""

    def __init__(self, labels: int) -> None:
        self._sums, self._counts = np.zeros(labels), np.zeros(labels, np.int64)

    def add(self, given: int, probabilities: NDArray[np.floating]) -> None:
        """A photo's label (its place) and the probabilities (labels,) of all labels."""
        self._sums[given] += float(probabilities[given])
        self._counts[given] += 1

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Of each label the mean probability, 0 to 1, that photos with it give to it; above 1 where there are none."""
        return np.where(self._counts > 0, self._sums / np.maximum(self._counts, 1), 2.0)

    def suspected(self, given: int, probabilities: NDArray[np.floating]) -> int | None:
        """The place of the label that the photo more probably has; None where its own is not in doubt."""
        confident = np.flatnonzero(probabilities >= self.thresholds)
        if not confident.size:
            return None
        best = int(confident[np.argmax(probabilities[confident])])
        return None if best == given else best

    @staticmethod
    def margin(given: int, other: int, probabilities: NDArray[np.floating]) -> float:
        """How much more probable the other label is than the given one, -1 to 1: suspects are ranked by it."""
        return float(probabilities[other]) - float(probabilities[given])
