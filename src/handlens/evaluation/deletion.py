"""Whether an explanation is faithful: its warm cells covered first must take a label's probability first.

Source: V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (BMVC
2018), the deletion metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.explain import CELLS

__all__ = ["centre_first", "deletion_area", "random_order", "warmest_first"]

_AT_ONCE: Final = 5
"""Cells covered from one look to the next: 20 looks at a photo."""


def deletion_area(
    probability: Callable[[NDArray[np.bool_]], float], order: NDArray[np.intp], at_once: int = _AT_ONCE
) -> float:
    """The mean of `probability` of the covered cells (10, 10) while they are covered in `order`, as a share of what it
    is with none covered; the less, the sooner what mattered was covered.

    `order`: all cells by their places in a row, the first to be covered first. The photo with nothing left is not
    looked at: it says nothing about the order.
    """
    covered = np.zeros(CELLS * CELLS, bool)
    whole = probability(covered.reshape(CELLS, CELLS))
    found = []
    for start in range(0, len(order) - at_once, at_once):
        covered[order[start : start + at_once]] = True
        found.append(probability(covered.reshape(CELLS, CELLS)))
    return float(np.mean(found)) / whole


def warmest_first(heat: NDArray[np.float64]) -> NDArray[np.intp]:
    """The order of an explanation's `heat` (10, 10)."""
    return np.argsort(-heat.ravel(), kind="stable")


def random_order(rng: np.random.Generator) -> NDArray[np.intp]:
    """Chance."""
    return rng.permutation(CELLS * CELLS)


def centre_first() -> NDArray[np.intp]:
    """What a guess does that knows only that specimens are in the middle: from the centre outward."""
    away = np.abs(np.arange(CELLS) - (CELLS - 1) / 2)
    return np.argsort((away[:, np.newaxis] ** 2 + away**2).ravel(), kind="stable")
