"""Which of the training photos steer the training instead: the validation part."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from handlens.training.fitting.settings import FitSettings
from handlens.training.samples import BadSamplesError, Sample

__all__ = ["VALIDATION", "label_columns", "split_places"]

VALIDATION: Final = "validation"
"""The split that steers training where the data bring one."""


def label_columns(samples: Sequence[Sample], labels: Sequence[str]) -> NDArray[np.intp]:
    """The column of every sample's label."""
    column = {label: place for place, label in enumerate(labels)}
    return np.array([column[sample.label] for sample in samples], np.intp)


def split_places(samples: Sequence[Sample], settings: FitSettings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the samples to train on and of those to validate on.

    Those of the split `validation` where there are any, else a share (`settings.validation`) of the others, by group
    and stratified by label; a label keeps at least one group to train on. Validation photos are usable ones; what
    shares a group with one is not trained on. Raises BadSamplesError where a part would be empty.
    """
    usable = np.array([sample.usable for sample in samples])
    groups = np.array([sample.group for sample in samples])
    labels = np.array([sample.label for sample in samples])
    named = np.array([sample.split == VALIDATION for sample in samples])
    wanted = usable | settings.keep_unusable
    held = named if named.any() else _share(labels, groups, wanted, settings)
    held &= usable
    train = np.flatnonzero(wanted & ~named & ~np.isin(groups, groups[held]))
    valid = np.flatnonzero(held)
    if lost := sorted(set(labels[valid]) - set(labels[train])):
        raise BadSamplesError(f"{lost[0]!r} has photos to validate on and none to train on")
    if not len(train) or not len(valid):
        raise BadSamplesError(f"{len(train)} photos to train on and {len(valid)} to validate on: there must be both")
    return train, valid


def _share(
    labels: NDArray[np.str_], groups: NDArray[np.str_], wanted: NDArray[np.bool_], settings: FitSettings
) -> NDArray[np.bool_]:
    """A stratified share of the groups, as a mask over all samples."""
    places = np.flatnonzero(wanted)
    held = np.zeros(len(labels), bool)
    most = int(np.unique(labels[places], return_counts=True)[1].max(initial=0))
    parts = min(round(1 / settings.validation), most, len(np.unique(groups[places])))
    if parts < 2:
        raise BadSamplesError("there are too few photos to keep some for validation")
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=settings.seed)
    with warnings.catch_warnings():  # of labels with fewer photos than parts: those are dealt with below
        warnings.simplefilter("ignore", UserWarning)
        _, chosen = next(splitter.split(places, labels[places], groups[places]))
    held[places[chosen]] = True
    for label in np.unique(labels[places]):  # one that has a single group cannot spare it
        here = wanted & (labels == label)
        if not (here & ~np.isin(groups, groups[held])).any():
            held &= ~np.isin(groups, groups[here])
    return held
