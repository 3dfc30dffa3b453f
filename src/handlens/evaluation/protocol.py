"""Held-out predictions: every photo scored by a model that saw neither it nor its group nor, in leave-one-fold-out,
anything by its photographers.

Training may use photos marked unusable (a setting); they are never scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from handlens.decision import softmax
from handlens.evaluation.calibration import fit_temperature
from handlens.training.samples import BadSamplesError, Sample

__all__ = ["Fit", "HeldOut", "grouped_folds", "held_out", "photographer_folds"]

Fit = Callable[[NDArray[np.intp], NDArray[np.intp]], tuple[Sequence[str], NDArray[np.float32]]]
"""Given places of training and of held-out samples: the labels and the held-out logits (n, labels)."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Logits (n, labels) of n held-out photos, their true columns and folds, and their places among the samples.

    A label that the training part of a fold lacked has logit -inf there. `temperatures` (n,): fitted on the other
    folds than the photo's own.
    """

    labels: tuple[str, ...]
    logits: NDArray[np.float64]
    truth: NDArray[np.intp]
    folds: NDArray[np.str_]
    places: NDArray[np.intp]
    temperatures: NDArray[np.float64]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated on other folds, (n, labels)."""
        return softmax(self.logits / self.temperatures[:, None], 1.0)


def photographer_folds(samples: Sequence[Sample]) -> NDArray[np.str_]:
    """The fold of every sample as the manifest gives it. Raises BadSamplesError unless there are two or more."""
    folds = np.array([sample.fold for sample in samples])
    if "" in folds or len(np.unique(folds)) < 2:
        raise BadSamplesError("leave-one-fold-out needs a fold for every photo, and two folds or more")
    return folds


def grouped_folds(samples: Sequence[Sample], *, folds: int = 5, seed: int = 0) -> NDArray[np.str_]:
    """Random folds, stratified by label, that cut no group. Raises BadSamplesError for too few photos or groups."""
    labels, groups = [sample.label for sample in samples], [sample.group for sample in samples]
    if max(Counter(labels).values(), default=0) < folds or len(set(groups)) < folds:
        raise BadSamplesError(f"{folds} folds need {folds} groups of photos, and {folds} photos of some label")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    assigned = np.zeros(len(samples), dtype="<U8")
    for number, (_, held) in enumerate(splitter.split(np.zeros(len(samples)), labels, groups)):
        assigned[held] = f"part {number + 1}"
    return assigned


def held_out(samples: Sequence[Sample], folds: NDArray[np.str_], fit: Fit, *, keep_unusable: bool) -> HeldOut:
    """Predictions for every usable sample from models fitted without its fold and its group.

    Raises BadSamplesError where no sample is usable or a training part has fewer than two labels.
    """
    labels = tuple(sorted({sample.label for sample in samples if sample.usable or keep_unusable}))
    column = {label: index for index, label in enumerate(labels)}
    groups = np.array([sample.group for sample in samples])
    usable = np.array([sample.usable for sample in samples])
    logits, places = [], []
    for fold in np.unique(folds):
        here = folds == fold
        elsewhere = ~here & ~np.isin(groups, groups[here]) & (usable | keep_unusable)
        judged = np.flatnonzero(here & usable)
        if not len(judged):
            continue
        names, found = fit(np.flatnonzero(elsewhere), judged)
        spread = np.full((len(judged), len(labels)), -np.inf)
        spread[:, [column[name] for name in names]] = found
        logits.append(spread)
        places.append(judged)
    if not places:
        raise BadSamplesError("there is no usable photo to judge")
    order = np.concatenate(places)
    stacked = np.concatenate(logits)
    truth = np.array([column[samples[place].label] for place in order], dtype=np.intp)
    own = folds[order]
    temperatures = np.ones(len(order))
    for fold in np.unique(own):
        temperatures[own == fold] = fit_temperature(stacked[own != fold], truth[own != fold])
    return HeldOut(labels, stacked, truth, own, order, temperatures)
