"""Field tests as evidence: p(mineral | photo, tests) is proportional to p(mineral | photo) times each p(test | it).

No I/O. The error model of each test is in `field_tests`, what the minerals are like in the knowledge base. A property
that the base does not know of a mineral is neutral: it gets the mean likelihood of all minerals of which it is known.

Minerals that are no label of the model can win, too: they are taken together as one alternative, OTHERS_SHARE of all
photos before any test, with the mean likelihood of the species and varieties of the base that are no label. Where the
tests speak for them, `unknown_score` rises and the names lose what they won.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens import field_tests
from handlens.errors import HandlensError
from handlens.field_tests import CHOICES, Likelihood, PropertyTable
from handlens.minerals import KnowledgeBase
from handlens.minerals.properties import Properties

__all__ = [
    "OTHERS_SHARE",
    "BadEvidenceError",
    "Contradiction",
    "Evidence",
    "FieldEvidence",
    "Gravity",
    "Hardness",
    "Weighed",
]

OTHERS_SHARE: Final = 0.1
"""The share of photos that show no label of the model, before any test."""
_CLOSE: Final = 2.0
"""An observation does not fit a mineral whose likelihood is below so many times that of a mistake."""
_IN_QUESTION: Final = 0.05
"""The least probability by the photo of a label whose contradiction is told."""
_NUMBER: Final = r"\d{1,3}(?:[.,]\d{1,4})?"
_NEAR: Final = re.compile(rf"({_NUMBER})(?:\s*(?:±|\+/?-)\s*({_NUMBER}))?")
_BETWEEN: Final = re.compile(rf"({_NUMBER})\s*(?:-|–|to|a)\s*({_NUMBER})")
_COLOUR: Final = re.compile(r"#([0-9a-fA-F]{6})")


class BadEvidenceError(HandlensError):
    """An observation makes no sense (`bad-evidence`); the detail names the test."""

    code = "bad-evidence"


@dataclass(frozen=True, slots=True)
class _Measured:
    """From `low` to `high` where they differ, else the value with the standard deviation `sd`."""

    low: float
    high: float
    sd: float

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class Hardness(_Measured):
    """Mohs hardness, 1 to 10. Make it with `near`, `between` or `parse`; they raise BadEvidenceError."""

    @classmethod
    def near(cls, value: float, sd: float = 0.5) -> Hardness:
        """Measured with a scratch kit or points: `value`, with a standard deviation (0.05 to 3)."""
        return cls(*_near("hardness", value, sd, (1, 10), (0.05, 3)))

    @classmethod
    def between(cls, low: float, high: float) -> Hardness:
        """Bracketed: harder than one thing, softer than another."""
        return cls(*_between("hardness", low, high, (0, 11)))

    @classmethod
    def parse(cls, text: str) -> Hardness:
        """`3`, `3±0.5` (or `3+-0.5`), `2.5-3.5`."""
        low, high, sd = _parsed("hardness", text)
        return cls.between(low, high) if high is not None else cls.near(low, 0.5 if sd is None else sd)


@dataclass(frozen=True, slots=True)
class Gravity(_Measured):
    """Specific gravity, 1 to 20. Make it with `near`, `between` or `parse`; they raise BadEvidenceError."""

    @classmethod
    def near(cls, value: float, sd: float = 0.1) -> Gravity:
        """Weighed in air and in water: `value`, with a standard deviation (0.005 to 3)."""
        return cls(*_near("gravity", value, sd, (1, 20), (0.005, 3)))

    @classmethod
    def between(cls, low: float, high: float) -> Gravity:
        """From `low` to `high`."""
        return cls(*_between("gravity", low, high, (0.9, 23)))

    @classmethod
    def parse(cls, text: str) -> Gravity:
        """`2.7`, `2.7±0.1`, `2.6-2.8`."""
        low, high, sd = _parsed("gravity", text)
        return cls.between(low, high) if high is not None else cls.near(low, 0.1 if sd is None else sd)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about one specimen.

    `streak`: a colour of CHOICES or a measured one, sRGB 0 to 255. `tests`: the answers to the other tests of CHOICES,
    by name. Raises BadEvidenceError.
    """

    hardness: Hardness | None = None
    streak: str | tuple[int, int, int] | None = None
    gravity: Gravity | None = None
    tests: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.streak, str):
            _choice("streak", self.streak)
        for name, answer in self.tests.items():
            if name not in CHOICES or name == "streak":
                known = ", ".join(one for one in CHOICES if one != "streak")
                raise BadEvidenceError(f"there is no test {name!r}: choose from hardness, streak, gravity, {known}")
            _choice(name, answer)

    def __bool__(self) -> bool:
        return bool(self.names)

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Evidence:
        """From texts by test, as every door takes them: `{"hardness": "3±0.5", "streak": "white", "acid": "none"}`.

        A streak can be a measured colour, `#c8b46e`. Raises BadEvidenceError.
        """
        texts = {name: text.strip() for name, text in given.items() if text.strip()}
        hardness, streak, gravity = (texts.pop(name, None) for name in ("hardness", "streak", "gravity"))
        return cls(
            hardness=None if hardness is None else Hardness.parse(hardness),
            streak=None if streak is None else _streak(streak),
            gravity=None if gravity is None else Gravity.parse(gravity),
            tests={name: text.casefold() for name, text in texts.items()},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The tests that were done."""
        measured = [name for name in ("hardness", "streak", "gravity") if getattr(self, name) is not None]
        return (*measured, *self.tests)

    def as_dict(self) -> dict[str, str]:
        """By test, as `of` takes it."""
        found: dict[str, str] = {}
        for name in ("hardness", "gravity"):
            if (one := getattr(self, name)) is not None:
                found[name] = f"{one}±{one.sd:g}" if one.low == one.high else str(one)
        if self.streak is not None:
            found["streak"] = self.streak if isinstance(self.streak, str) else f"#{bytes(self.streak).hex()}"
        return found | dict(self.tests)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An observation that does not fit a mineral which the photo speaks for; `text`: the same in a sentence, where one
    was made (see `contradiction_text`).
    """

    test: str
    observed: str
    mineral: str
    text: str = ""

    def as_dict(self) -> dict[str, str]:
        """By name, for JSON."""
        return {"test": self.test, "observed": self.observed, "mineral": self.mineral, "text": self.text}


@dataclass(frozen=True, slots=True)
class Weighed:
    """`probabilities` (labels,) sum to 1. `kept`: the factor, 0 to 1, by which every name is less likely than that,
    since the tests speak for minerals that are no label.
    """

    probabilities: NDArray[np.float64]
    kept: float
    contradictions: tuple[Contradiction, ...]


class FieldEvidence:
    """Weighs evidence for the labels of one model; may be shared between threads."""

    def __init__(self, labels: Sequence[str], minerals: KnowledgeBase) -> None:
        self.labels = tuple(labels)
        self._minerals = minerals

    def properties(self, label: str) -> Properties:
        """What a label is like; nothing is known of one that the knowledge base does not have."""
        return self._minerals.properties(label) if label in self._minerals else Properties()

    @cached_property
    def table(self) -> PropertyTable:
        """Properties of the labels, in their order."""
        return PropertyTable.of([self.properties(label) for label in self.labels])

    @cached_property
    def others(self) -> PropertyTable | None:
        """Properties of the species and varieties that are no label; None where there are none."""
        names = [one.name for one in self._minerals if one.rank != "group" and one.name not in self.labels]
        return PropertyTable.of([self._minerals.properties(name) for name in names]) if names else None

    def weigh(self, probabilities: NDArray[np.float64], evidence: Evidence) -> Weighed:
        """The calibrated probabilities (labels,) of a photo after the tests."""
        log_own, log_others = np.zeros(len(self.labels)), 0.0
        contradictions = []
        best = int(np.argmax(probabilities))
        for test, observed in evidence.as_dict().items():
            own, others, floor = self.likelihood(test, evidence)
            log_own += np.log(own)
            log_others += math.log(others)
            contradictions += [
                Contradiction(test, observed, self.labels[place])
                for place in np.flatnonzero(own < _CLOSE * floor)
                if probabilities[place] >= _IN_QUESTION or place == best
            ]
        largest = log_own.max()
        weighed = probabilities * np.exp(log_own - largest)
        total = float(weighed.sum())
        if not total > 0:  # a photo that is quite sure of what the tests exclude by more than numbers can hold
            return Weighed(probabilities, 0.0, tuple(contradictions))
        # Relative to what it was before the tests, so that tests which say nothing change nothing.
        others_weight = OTHERS_SHARE * math.exp(min(log_others - largest, 700))
        kept = min(1.0, total / (others_weight + (1 - OTHERS_SHARE) * total))
        return Weighed(weighed / total, kept, tuple(contradictions))

    def likelihood(self, test: str, evidence: Evidence) -> tuple[NDArray[np.float64], float, float]:
        """Of what was observed in one test: for every label (labels,), the mean of all others, and the floor."""
        own = _observed(self.table, test, evidence)
        others = np.zeros(0) if self.others is None else _observed(self.others, test, evidence).values
        known = np.concatenate([own.values, others])
        neutral = float(np.nanmean(known)) if np.isfinite(known).any() else 1.0
        mean = float(np.where(np.isnan(others), neutral, others).mean()) if len(others) else neutral
        return np.where(np.isnan(own.values), neutral, own.values), mean, own.floor


def _observed(table: PropertyTable, test: str, evidence: Evidence) -> Likelihood:
    if test == "hardness" and evidence.hardness is not None:
        one = evidence.hardness
        if one.low == one.high:
            return field_tests.hardness_near(table, one.low, one.sd)
        return field_tests.hardness_between(table, one.low, one.high)
    if test == "gravity" and evidence.gravity is not None:
        found = evidence.gravity
        if found.low == found.high:
            return field_tests.gravity_near(table, found.low, found.sd)
        return field_tests.gravity_between(table, found.low, found.high)
    if test == "streak" and isinstance(evidence.streak, tuple):
        return field_tests.streak_measured(table, evidence.streak)
    answer = evidence.streak if test == "streak" else evidence.tests[test]
    every = field_tests.chosen(table, test)
    return Likelihood(every.values[:, CHOICES[test].index(str(answer))], every.floor)


def _near(
    name: str, value: float, sd: float, values: tuple[float, float], sds: tuple[float, float]
) -> tuple[float, float, float]:
    if not (math.isfinite(value) and values[0] <= value <= values[1]):
        raise BadEvidenceError(f"{name} {value:g}: it must be from {values[0]:g} to {values[1]:g}")
    if not (math.isfinite(sd) and sds[0] <= sd <= sds[1]):
        raise BadEvidenceError(f"{name} ±{sd:g}: the error must be from {sds[0]:g} to {sds[1]:g}")
    return float(value), float(value), float(sd)


def _between(name: str, low: float, high: float, values: tuple[float, float]) -> tuple[float, float, float]:
    if not (math.isfinite(low) and math.isfinite(high) and values[0] <= low < high <= values[1]):
        raise BadEvidenceError(f"{name} {low:g}-{high:g}: it must rise within {values[0]:g} to {values[1]:g}")
    return float(low), float(high), 0.0


def _parsed(name: str, text: str) -> tuple[float, float | None, float | None]:
    """Value, None and error (None where not given); or both ends and None."""
    if found := _BETWEEN.fullmatch(text.strip()):
        return _value(found[1]), _value(found[2]), None
    if found := _NEAR.fullmatch(text.strip()):
        return _value(found[1]), None, None if found[2] is None else _value(found[2])
    raise BadEvidenceError(f"{name} {text[:40]!r}: write it as 3, 3±0.5 or 2.5-3.5")


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def _streak(text: str) -> str | tuple[int, int, int]:
    if found := _COLOUR.fullmatch(text):
        red, green, blue = bytes.fromhex(found[1])
        return red, green, blue
    return text.casefold()


def _choice(name: str, answer: str) -> None:
    if answer not in CHOICES[name]:
        raise BadEvidenceError(f"{name} {answer[:40]!r}: it must be one of {', '.join(CHOICES[name])}")
