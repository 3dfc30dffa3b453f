"""Field tests done on made-up specimens of a known mineral, with the errors that `field_tests` states; no I/O.

A specimen is drawn from what the knowledge base says of its mineral: hardness and gravity uniformly within their
ranges, one word each for streak, lustre and transparency, the first ones more often. All tests are then done on that
specimen: nail, knife and scratch kit meet the same hardness, each with an error of its own. At last a share of the
answers is replaced by any answer alike. With a share of `field_tests.MISTAKE` the answers to each test follow the
likelihoods that `FieldEvidence` weighs them with, but for measured numbers beyond the ends of their scales, which are
put on the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.field_tests import CHOICES, MISTAKE, PropertyTable, chosen

__all__ = ["GRAVITY_SD", "HARDNESS_SD", "TESTS", "Answers", "simulate", "specimens"]

HARDNESS_SD: Final = 0.5
"""Of a scratch kit, in steps of Mohs."""
GRAVITY_SD: Final = 0.1
"""Of a specimen weighed in air and in water."""
TESTS: Final = ("hardness", "gravity", *CHOICES)
_SEVERAL_WORDS: Final = ("streak", "lustre", "transparency")
_MOHS: Final = (1.0, 10.0)
_GRAVITY: Final = (1.0, 20.0)

Answers = Mapping[str, NDArray[np.str_]]
"""By test (n,), written as `Evidence.of` takes them; "" where the base does not know the property: no test is done.
Numbers are read to a tenth."""


def simulate(
    table: PropertyTable, truth: NDArray[np.intp], rates: Sequence[float], rng: np.random.Generator
) -> tuple[Answers, ...]:
    """Every test on a new specimen of each row `truth` (n,) of the table, once for each share of mistakes, 0 to 1.

    The specimens, the errors and what is answered by mistake are the same for all `rates`.
    """
    found = specimens(table, truth, rng)
    answers: tuple[dict[str, NDArray[np.str_]], ...] = tuple({} for _ in rates)
    for test in TESTS:
        meant, wrong, known = _done(found, test, rng)
        mistaken = rng.random(len(truth))
        for rate, into in zip(rates, answers, strict=True):
            into[test] = np.where(known, np.where(mistaken < rate, wrong, meant), "")
    return answers


def specimens(table: PropertyTable, rows: NDArray[np.intp], rng: np.random.Generator) -> PropertyTable:
    """A specimen of each of the `rows` (n,) of the table: one value or word where its mineral has several."""
    words = {}
    for test, weights in table.words.items():
        known = weights[rows]
        if test in _SEVERAL_WORDS:
            one = np.zeros_like(known)
            one[np.arange(len(rows)), _picked(known, rng)] = 1
            known = np.where(known.sum(axis=1, keepdims=True) > 0, one, known)
        words[test] = known
    return PropertyTable(_within(table.mohs[rows], rng), _within(table.gravity[rows], rng), words)


def _done(
    found: PropertyTable, test: str, rng: np.random.Generator
) -> tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.bool_]]:
    """What is answered, what would be by mistake, and whether the property is known, (n,) each."""
    if test in CHOICES:
        every = chosen(found, test)
        known = np.isfinite(every.values[:, 0])
        # Mistakes are added by `simulate`, at a rate of its own.
        model = np.where(known[:, np.newaxis], (every.values - every.floor) / (1 - MISTAKE), 1.0)
        words = np.array(CHOICES[test])
        return words[_picked(model, rng)], words[rng.integers(len(words), size=len(known))], known
    true, sd, scale = (found.mohs, HARDNESS_SD, _MOHS) if test == "hardness" else (found.gravity, GRAVITY_SD, _GRAVITY)
    known = np.isfinite(true[:, 0])
    measured = np.where(known, true[:, 0], scale[0]) + sd * rng.standard_normal(len(true))
    share = rng.random(len(true))
    # As `field_tests` has it: any hardness alike, any logarithm of a specific gravity alike.
    anything = scale[0] + share * (scale[1] - scale[0])
    if test == "gravity":
        anything = np.exp(share * math.log(scale[1] / scale[0])) * scale[0]
    texts = [
        np.array([f"{value:.1f}±{sd:g}" for value in np.clip(values, *scale).tolist()], dtype=np.str_)
        for values in (measured, anything)
    ]
    return texts[0], texts[1], known


def _within(ranges: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    low, high = ranges.T
    value = low + rng.random(len(low)) * (high - low)
    return np.stack([value, value], axis=1)


def _picked(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """A column of each row (n,), as often as its weight says; any one for a row of zeros."""
    steps = weights.cumsum(axis=1)
    drawn = rng.random((len(weights), 1)) * steps[:, -1:]
    return np.asarray((drawn >= steps).sum(axis=1).clip(0, weights.shape[1] - 1), dtype=np.intp)
