"""How much of a figure is chance: intervals from groups of photos drawn anew."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.evaluation.metrics import ranks_of_truth

__all__ = ["group_intervals"]

_DRAWS: Final = 2000
_LEVEL: Final = 0.95


def group_intervals(
    probabilities: NDArray[np.float64], truth: NDArray[np.intp], groups: NDArray[np.str_], *, seed: int = 0
) -> dict[str, list[float]]:
    """95 % intervals [low, high] of `top1`, `top5` and `balanced`: probabilities (n, labels) against true columns (n,).

    Photos of one group (n,) are of one specimen or one page and no evidence apart from each other, so whole groups are
    drawn, with replacement, 2,000 times. Source: percentile bootstrap, Efron and Tibshirani, "An Introduction to the
    Bootstrap" (1993), over clusters as in Field and Welsh, "Bootstrapping clustered data" (JRSS B 2007).
    """
    rank = ranks_of_truth(probabilities, truth)
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(truth, return_inverse=True)
    shape = (int(group.max()) + 1, int(label.max()) + 1)

    def counted(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(group * shape[1] + label, weight, shape[0] * shape[1]), float).reshape(shape)

    photos, first, five = (counted(kept.astype(float)) for kept in (rank >= 0, rank < 1, rank < 5))
    drawn = np.random.default_rng(seed).multinomial(shape[0], np.full(shape[0], 1 / shape[0]), _DRAWS)
    of_label, hits = drawn @ photos, drawn @ first
    # A label none of whose groups was drawn has no recall in that draw.
    recall = np.divide(hits, of_label, where=of_label > 0, out=np.full(hits.shape, np.nan))
    figures = {
        "top1": hits.sum(axis=1) / of_label.sum(axis=1),
        "top5": (drawn @ five).sum(axis=1) / of_label.sum(axis=1),
        "balanced": np.nanmean(recall, axis=1),
    }
    low, high = (1 - _LEVEL) / 2, (1 + _LEVEL) / 2
    return {
        name: [round(float(bound), 4) for bound in np.quantile(values, (low, high))] for name, values in figures.items()
    }
