"""The one simple test that would help most: expected information gain over the candidates, no I/O.

For a test with the outcomes o the gain is H(p) - sum of P(o) H(p | o), in bits, by the error models of `field_tests`.
It is weighed by how easy the test is, and left out where its dust would be one not to breathe. Source: D. V. Lindley,
"On a Measure of the Information Provided by an Experiment" (1956).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens import field_tests
from handlens.evidence import FieldEvidence
from handlens.field_tests import CHOICES
from handlens.minerals import KnowledgeBase

__all__ = ["EASE", "Advice", "NextTest", "Side"]

EASE: Final[Mapping[str, float]] = {
    "magnet": 1.0,
    "nail": 1.0,
    "coin": 0.9,
    "knife": 0.9,
    "heft": 0.9,
    "glass": 0.8,
    "streak": 0.8,
    "hardness": 0.7,
    "file": 0.7,
    "transparency": 0.6,
    "cleavage": 0.6,
    "lustre": 0.6,
    "gravity": 0.6,
    "acid": 0.5,
    "fluorescence": 0.5,
}
"""How easy a test is, 0 to 1: what everybody has at hand, what needs a kit, what needs acid or a lamp. What the photo
shows already (lustre, transparency) and what takes practice (cleavage, heft) counts less. This project's choice."""
_DUSTY: Final = frozenset({"nail", "coin", "knife", "glass", "file", "streak", "hardness"})
_HARMFUL_SHARE: Final = 0.02
"""A candidate with a hazardous dust counts from this probability on."""
_LEAST_BITS: Final = 0.03
"""A test that tells less is not worth naming."""
_TELLING: Final = 0.65
"""An outcome is told of a mineral that shows it at least so often."""
_NAMED: Final = 2
_CANDIDATE: Final = 0.02
_HARDNESS_EDGES: Final = np.arange(0.75, 10.5, 0.5)
_GRAVITY_EDGES: Final = np.geomspace(1.5, 20, 24)


@dataclass(frozen=True, slots=True)
class Side:
    """One outcome of a test and the candidates that would show it, the most probable first."""

    outcome: str
    minerals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NextTest:
    """A test, its expected gain in bits, and what two of its outcomes would speak for."""

    test: str
    gain: float
    sides: tuple[Side, ...]


class Advice:
    """Advises for the labels of one model; may be shared between threads."""

    def __init__(self, evidence: FieldEvidence, minerals: KnowledgeBase) -> None:
        self._evidence, self._minerals = evidence, minerals

    def prepare(self) -> None:
        """Makes the tables now that the first advice would otherwise make."""
        _ = self._outcomes, self._asbestos

    @cached_property
    def _outcomes(self) -> Mapping[str, NDArray[np.float64]]:
        """p(outcome | label) by test, (outcomes, labels): the same for every photo."""
        table = self._evidence.table
        found = {test: field_tests.chosen(table, test).values.T for test in CHOICES}
        for test, edges in (("hardness", _HARDNESS_EDGES), ("gravity", _GRAVITY_EDGES)):
            inside = field_tests.binned(table, test, edges.tolist()).T
            found[test] = inside / inside.sum(axis=0)
        return {test: _filled(values) for test, values in found.items()}

    @cached_property
    def _asbestos(self) -> NDArray[np.bool_]:
        labels = self._evidence.labels
        return np.array(["asbestos" in (self._evidence.properties(one).hazards or ()) for one in labels])

    def gains(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        """The expected gain of every test in bits, for the probabilities of the labels (labels,)."""
        before = _entropy(probabilities[np.newaxis])[0]
        gains = {}
        for test, outcomes in self._outcomes.items():
            joint = outcomes * probabilities
            shares = joint.sum(axis=1)
            after = _entropy(joint / np.maximum(shares, 1e-300)[:, np.newaxis])
            gains[test] = float(before - shares @ after)
        return gains

    def best(self, probabilities: NDArray[np.float64], done: Collection[str] = ()) -> NextTest | None:
        """The test to do next, or None where none that is not `done` tells enough."""
        harmful = bool(probabilities[self._asbestos].sum() >= _HARMFUL_SHARE)
        scratched = bool(set(done) & {"hardness", "nail", "coin", "knife", "glass", "file"})
        worth = {}
        gains = self.gains(probabilities)
        for test, gain in gains.items():
            if test in done or (harmful and test in _DUSTY) or (test == "hardness" and scratched):
                continue
            worth[test] = gain * EASE[test]
        if not worth:
            return None
        test = max(worth, key=lambda name: worth[name])
        if gains[test] < _LEAST_BITS:
            return None
        return NextTest(test, gains[test], self._sides(test, probabilities))

    def _sides(self, test: str, probabilities: NDArray[np.float64]) -> tuple[Side, ...]:
        """For numbers each candidate's own value; for words the outcomes that candidates surely show."""
        order = [int(at) for at in np.argsort(-probabilities, kind="stable") if probabilities[at] >= _CANDIDATE]
        labels, sides = self._evidence.labels, dict[str, list[str]]()
        for at in order:
            if (told := self._told(test, at)) is not None:
                sides.setdefault(told, []).append(labels[at])
        return tuple(Side(outcome, tuple(names[:_NAMED])) for outcome, names in list(sides.items())[:_NAMED])

    def _told(self, test: str, at: int) -> str | None:
        if test in ("hardness", "gravity"):
            return _number(self._minerals, self._evidence.labels[at], test)
        return _sure(CHOICES[test], self._outcomes[test][:, at])


def _filled(outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is not known of a label (a column) is the mean of the others; what is known of none says nothing."""
    known = ~np.isnan(outcomes).any(axis=0)
    neutral = outcomes[:, known].mean(axis=1) if known.any() else np.full(len(outcomes), 1 / len(outcomes))
    return np.where(known, outcomes, neutral[:, np.newaxis])


def _sure(answers: tuple[str, ...], shares: NDArray[np.float64]) -> str | None:
    best = int(shares.argmax())
    return answers[best] if shares[best] >= _TELLING else None


def _number(minerals: KnowledgeBase, label: str, test: str) -> str | None:
    if label not in minerals:
        return None
    known = minerals.properties(label)
    found = known.mohs if test == "hardness" else known.gravity
    if found is None:
        return None
    return f"{found.low:g}" if found.low == found.high else f"{found.low:g}-{found.high:g}"


def _entropy(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each row of probabilities."""
    return np.asarray(-np.sum(rows * np.log2(np.maximum(rows, 1e-300)), axis=-1))
