"""Figures of held-out predictions: flat and at species rank, each fold beside the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlens.decision import softmax
from handlens.evaluation.bootstrap import group_intervals
from handlens.evaluation.metrics import calibration_error, measure, per_label
from handlens.evaluation.protocol import HeldOut
from handlens.minerals import KnowledgeBase

__all__ = ["at_species", "describe", "restricted", "species_of"]


def describe(found: HeldOut, minerals: KnowledgeBase, groups: NDArray[np.str_]) -> dict[str, Any]:
    """All figures of one protocol. Probabilities are calibrated on the other folds than the one they are judged on.

    `groups` (n,): photos of one of them are of one specimen or page; intervals are over groups.
    """
    probabilities = found.probabilities
    raw = softmax(found.logits, 1.0)
    species, truth, _ = at_species(probabilities, found.truth, found.labels, minerals)
    return {
        "flat": measure(probabilities, found.truth).as_dict(),
        "species": measure(species, truth).as_dict(),
        "intervals": {
            "flat": group_intervals(probabilities, found.truth, groups),
            "species": group_intervals(species, truth, groups),
        },
        "ece_before_temperature": round(calibration_error(raw.max(axis=1), raw.argmax(axis=1) == found.truth), 4),
        "folds": {
            str(fold): measure(probabilities[found.folds == fold], found.truth[found.folds == fold]).as_dict()
            | {"temperature": round(float(found.temperatures[found.folds == fold][0]), 4)}
            for fold in np.unique(found.folds)
        },
        "per_label": per_label(probabilities, found.truth, found.labels),
    }


def species_of(label: str, minerals: KnowledgeBase) -> str:
    """The species a label counts as, or the label itself where the tree has no species for it."""
    return minerals.species_or_self(label) if label in minerals else label


def at_species(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.intp],
    labels: Sequence[str],
    minerals: KnowledgeBase,
) -> tuple[NDArray[np.float64], NDArray[np.intp], tuple[str, ...]]:
    """Probabilities summed over the labels of one species, the true species, and the species' names."""
    names = [species_of(label, minerals) for label in labels]
    species = tuple(sorted(set(names)))
    column = np.array([species.index(name) for name in names], dtype=np.intp)
    summed = np.zeros((len(probabilities), len(species)))
    np.add.at(summed.T, column, probabilities.T)
    return summed, column[truth], species


def restricted(found: HeldOut, labels: Sequence[str]) -> HeldOut:
    """The predictions of a wider model for the photos of `labels`, chosen among them as `--among` does: a softmax over
    their logits at the temperature of the whole model.
    """
    columns = np.array([found.labels.index(label) for label in sorted(labels)], dtype=np.intp)
    rows = np.flatnonzero(np.isin(found.truth, columns))
    truth = np.searchsorted(columns, found.truth[rows])
    logits, folds = found.logits[np.ix_(rows, columns)], found.folds[rows]
    return HeldOut(tuple(sorted(labels)), logits, truth, folds, found.places[rows], found.temperatures[rows])
