"""A row of the results: the unit, its record, and what follows from its label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from handlens.batch.journal import Journal
from handlens.batch.labels import Labels
from handlens.batch.mislabels import ConfidentLearning
from handlens.batch.plan import Plan
from handlens.batch.records import COLUMNS, Record
from handlens.batch.units import Answer, Failure, Unit

__all__ = ["ResultRow", "Suspicion", "learn", "rows"]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The label that a photo more probably has, and by how much (-1 to 1)."""

    name: str
    margin: float


@dataclass(frozen=True)
class ResultRow:
    """One row. `agrees`: whether label and answer do not contradict each other, None where nothing is compared."""

    unit: Unit
    record: Record
    agrees: bool | None
    suspicion: Suspicion | None

    @property
    def failure(self) -> Failure | None:
        """Why there is no answer."""
        return self.record.result if isinstance(self.record.result, Failure) else None

    @property
    def answer(self) -> Answer | None:
        """The answer."""
        return self.record.result if isinstance(self.record.result, Answer) else None

    @cached_property
    def document(self) -> dict[str, Any]:
        """The JSON object of every door, or that of an error."""
        if self.failure is None:
            assert self.answer is not None
            answer: dict[str, Any] = json.loads(self.answer.document)
            return answer
        error = {"type": self.failure.code, "detail": self.failure.detail}
        specimen = {"specimen": self.unit.specimen} if self.unit.specimen else {}
        return {"photo": self.failure.photo, "error": error} | specimen


def learn(plan: Plan, journal: Journal, labels: Labels) -> ConfidentLearning:
    """The first pass of confident learning, over all labelled rows of a finished run."""
    learning = ConfidentLearning(len(labels.names))
    for unit, record in _finished(plan, journal, ("scores",)):
        place = labels.place(unit.label)
        if place is not None and isinstance(record.result, Answer):
            learning.add(place, _scores(record.result))
    return learning


def rows(plan: Plan, journal: Journal, labels: Labels, learning: ConfidentLearning | None) -> Iterator[ResultRow]:
    """All rows of a finished run, sorted by name; `learning`: where there are labels to look at for mistakes."""
    for unit, record in _finished(plan, journal, COLUMNS):
        result = record.result
        agrees, suspicion = None, None
        if isinstance(result, Answer):
            agrees = labels.agrees(unit.label, result.name)
            if learning is not None:
                suspicion = _suspicion(unit.label, result, labels, learning)
        yield ResultRow(unit, record, agrees, suspicion)


def _suspicion(label: str, answer: Answer, labels: Labels, learning: ConfidentLearning) -> Suspicion | None:
    given = labels.place(label)
    if given is None:
        return None
    scores = _scores(answer)
    other = learning.suspected(given, scores)
    # Who calls an amethyst quartz is right, only less exact.
    if other is None or labels.related(labels.names[given], labels.names[other]):
        return None
    return Suspicion(labels.names[other], learning.margin(given, other, scores))


def _finished(plan: Plan, journal: Journal, columns: tuple[str, ...]) -> Iterator[tuple[Unit, Record]]:
    for number, units in plan.shards(journal.bounds):
        records = journal.records(number, columns) or []
        yield from zip(units, records, strict=True)


def _scores(answer: Answer) -> np.ndarray[tuple[int], np.dtype[np.float16]]:
    return np.frombuffer(answer.scores, "<f2")
