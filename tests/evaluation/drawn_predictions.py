"""Held-out predictions drawn from a known distribution, so that what calibration should find is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handlens.decision import softmax
from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.protocol import HeldOut

__all__ = ["alone", "held_out_of", "well_calibrated"]


def alone(found: HeldOut) -> NDArray[np.str_]:
    """Groups of which each photo is one."""
    return found.places.astype(str)


def held_out_of(
    labels: Sequence[str], logits: NDArray[np.float64], truth: NDArray[np.intp], folds: NDArray[np.str_]
) -> HeldOut:
    """As `held_out` would give it, each fold's temperature fitted on the others."""
    temperatures = np.ones(len(truth))
    for fold in np.unique(folds):
        temperatures[folds == fold] = fit_temperature(logits[folds != fold], truth[folds != fold])
    return HeldOut(tuple(labels), logits, truth, folds, np.arange(len(truth)), temperatures)


def well_calibrated(
    labels: Sequence[str], *, photos: int = 3000, temperature: float = 2.0, spread: float = 3.0, seed: int = 0
) -> HeldOut:
    """Labels drawn from the softmax of normal logits (standard deviation `spread` x `temperature`) at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread * temperature, (photos, len(labels)))
    steps = softmax(logits, temperature).cumsum(axis=1)
    truth = (rng.uniform(size=(photos, 1)) > steps).sum(axis=1).clip(0, len(labels) - 1).astype(np.intp)
    folds = np.array(["ann", "ben", "cleo"])[np.arange(photos) % 3]
    return held_out_of(labels, logits, truth, folds)
