"""What the head shall say of each photo in training: its label, or what a teacher says of it. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlens.decision import softmax

__all__ = ["Lesson", "Targets", "of_labels", "of_teacher"]


@dataclass(frozen=True, slots=True)
class Targets:
    """`probabilities` (n, labels), which sum to 1 a row, and `weights` (n,): how much a photo counts."""

    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]

    def followed_by(self, others: Targets) -> Targets:
        """These photos and then those."""
        return Targets(
            np.concatenate([self.probabilities, others.probabilities]), np.concatenate([self.weights, others.weights])
        )


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher says, in the order of `labels`: `learnt`, of photos that have a label, of whose targets `share` is
    the teacher's; `more`, of those at `rows` among photos without one.
    """

    labels: tuple[str, ...]
    learnt: Targets
    share: float
    rows: NDArray[np.intp]
    more: Targets

    def targets(self, labelled: Targets) -> Targets:
        """Those of the photos with a label, as `labelled` has them without a teacher, and then of the others."""
        mixed = (1 - self.share) * labelled.probabilities + self.share * self.learnt.probabilities
        return Targets(mixed, labelled.weights).followed_by(self.more)


def of_labels(labels: NDArray[np.str_], names: Sequence[str], smoothing: float, balance: float = 1.0) -> Targets:
    """Of photos with these labels (n,), all of them in `names`, in alphabetical order.

    `smoothing`: the share of a target that is spread over all labels. `balance`: the power of the inverse class
    frequency that weighs a photo, 1: every label counts the same.
    """
    truth = np.searchsorted(names, labels)
    counts = np.bincount(truth, minlength=len(names))
    target = np.full((len(labels), len(names)), smoothing / len(names), np.float32)
    target[np.arange(len(labels)), truth] += 1 - smoothing
    weights = (len(labels) / (len(names) * np.maximum(counts, 1))) ** balance
    return Targets(target, weights.astype(np.float32)[truth])


def of_teacher(logits: NDArray[np.floating], temperature: float = 1.0) -> Targets:
    """What a teacher says of photos, from its logits (n, labels); each counts 1.

    Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network" (2015).
    """
    return Targets(softmax(logits, temperature).astype(np.float32), np.ones(len(logits), np.float32))
