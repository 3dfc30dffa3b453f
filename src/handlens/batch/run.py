"""A whole run: list, compute what is missing, write the results. `journal` describes the files."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from handlens._version import __version__
from handlens.answerer import Answerer
from handlens.batch.journal import FORMAT, Journal, bundle_digest, held, saving
from handlens.batch.labels import Labels
from handlens.batch.plan import Plan
from handlens.batch.progress import Progress
from handlens.batch.records import Record
from handlens.batch.review import Review
from handlens.batch.rows import learn, rows
from handlens.batch.sources import Source, open_source
from handlens.batch.summary import Summary, Tally
from handlens.batch.tables import csv_table, jsonl_table, parquet_table, suspects_table
from handlens.batch.units import Asked, Failure, Outcome, Unit
from handlens.bundle import Bundle, open_bundle
from handlens.bundle_files import ENVIRONMENT
from handlens.dataset.files import write_atomically
from handlens.errors import UsageError
from handlens.processors import processors

__all__ = ["BatchSettings", "EngineName", "run_batch"]

EngineName = Literal["local", "ray"]
DEFAULT_SHARD_SIZE: Final = 256


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What is to be done, and how.

    `source`: as typed, see `sources`. `out`: the folder of the run. `asked`: what every answer depends on. `workers`:
    by default one a processor (with Ray, as many as its cluster has). `shard_size`: rows that are finished together,
    of a new run. `rehash`: read every photo of finished rows, also where size and time of change are as they were.
    """

    source: str
    out: Path
    asked: Asked = field(default_factory=Asked)
    engine: EngineName = "local"
    workers: int | None = None
    shard_size: int = DEFAULT_SHARD_SIZE
    rehash: bool = False

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise UsageError(f"shard size {self.shard_size}: it must be 1 or more")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"{self.workers} workers: there must be 1 or more")
        if self.asked.top < 1:
            raise UsageError(f"top is {self.asked.top}: it must be 1 or more")


class Engine(Protocol):
    """Answers units, in their order."""

    def outcomes(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome a unit."""


def run_batch(settings: BatchSettings, progress: Progress) -> Summary:
    """Begins a run or goes on with it, and writes its results.

    An interrupt (SIGINT, in the main thread) lets the shard in hand be finished, then raises KeyboardInterrupt; a
    second one does so at once. Raises BatchError, UsageError, and what loading the bundle raises.
    """
    asked = replace(settings.asked, bundle=settings.asked.bundle or os.environ.get(ENVIRONMENT) or None)
    bundle = open_bundle(asked.bundle).without_graphs()
    answerer = Answerer(bundle)
    answerer.check_thorough(asked.thorough)
    chosen = answerer.label_indices(asked.among)  # a name that is no label is told before anything is listed
    labels = Labels(bundle.labels, answerer.minerals)
    among = None if chosen is None else [bundle.labels[place] for place in chosen]
    with held(settings.out), contextlib.closing(Plan(settings.out / "plan.sqlite")) as plan:
        source = open_source(settings.source, settings.out)
        parameters = _parameters(source, asked, bundle, among)
        journal = Journal.open(settings.out, parameters)
        with saving(settings.out):
            plan.fill(source.photos(), later_wins=source.later_wins)
        if journal is None:
            journal = Journal.begin(settings.out, parameters, plan.bounds(settings.shard_size))
        progress.start(len(plan))
        _Work(plan, journal, progress, rehash=settings.rehash).do(_engine(settings, asked))
        progress.end()
        return _finish(settings, source, plan, journal, labels, progress)


def _parameters(source: Source, asked: Asked, bundle: Bundle, among: list[str] | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "handlens": __version__,
        "source": source.identity.encode("utf-8", "backslashreplace").decode("utf-8"),
        "bundle": bundle.name,
        "bundle_sha256": bundle_digest(bundle),
        "top": asked.top,
        "among": among,
        "lang": asked.lang,
        "index": asked.index,
        "review": asked.review,
        "thorough": asked.thorough,
    }


def _engine(settings: BatchSettings, asked: Asked) -> Engine:
    if settings.engine == "ray":
        from handlens.batch.ray_engine import RayEngine

        return RayEngine(asked, workers=settings.workers)
    from handlens.batch.local_engine import LocalEngine

    return LocalEngine(asked, workers=settings.workers or processors())


@dataclass(slots=True)
class _Shard:
    """A shard in hand: its units in order, the records of the units that are done, and those of before; by key."""

    number: int
    units: dict[bytes, Unit]
    records: dict[bytes, Record]
    before: dict[bytes, Record]
    waiting: int


class _Work:
    """Computes what the journal lacks."""

    def __init__(self, plan: Plan, journal: Journal, progress: Progress, *, rehash: bool) -> None:
        self._plan, self._journal, self._progress, self._rehash = plan, journal, progress, rehash
        self._in_hand: deque[_Shard] = deque()
        self._stop = threading.Event()

    def do(self, engine: Engine) -> None:
        """Everything, or until it is interrupted."""
        with self._interruptible(), contextlib.closing(_generator(engine.outcomes(self._units()))) as outcomes:
            for outcome in outcomes:
                shard = self._in_hand[0]
                self._take(shard, outcome)
                if not shard.waiting:
                    self._write(self._in_hand.popleft())
        if self._stop.is_set():
            self._progress.end()
            done = f"{self._progress.done:,} of {self._progress.total:,} rows are done"
            self._progress.note(f"interrupted: {done}; the same command goes on with the rest")
            raise KeyboardInterrupt

    def _units(self) -> Iterator[Unit]:
        for number, units in self._plan.shards(self._journal.bounds):
            if self._stop.is_set():
                return
            found = self._journal.records(number)
            before = {record.key: record for record in found or ()}
            standing = {
                unit.key: before[unit.key]
                for unit in units
                if unit.key in before and not self._rehash and before[unit.key].stands(unit)
            }
            self._progress.keep(len(standing))
            missing = [self._known(unit, before) for unit in units if unit.key not in standing]
            shard = _Shard(number, {unit.key: unit for unit in units}, standing, before, len(missing))
            if missing:
                self._in_hand.append(shard)
                yield from missing
            elif found is None or len(found) != len(units):  # empty, or photos were taken away
                self._write(shard)

    def _known(self, unit: Unit, before: dict[bytes, Record]) -> Unit:
        record = before.get(unit.key)
        return replace(unit, known=record.sha256) if record and record.may_stand(unit) else unit

    def _take(self, shard: _Shard, outcome: Outcome) -> None:
        record = Record.of(shard.units[outcome.key], outcome, shard.before.get(outcome.key))
        shard.records[outcome.key] = record
        shard.waiting -= 1
        if outcome.result is None:
            self._progress.keep(1)
        else:
            self._progress.finish(outcome.result if isinstance(outcome.result, Failure) else None)

    def _write(self, shard: _Shard) -> None:
        self._journal.write(shard.number, [shard.records[key] for key in shard.units])

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def stop(*_: object) -> None:
            self._stop.set()
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _generator(outcomes: Iterator[Outcome]) -> Any:
    """As something that can be closed."""
    return outcomes if hasattr(outcomes, "close") else (one for one in outcomes)


def _finish(
    settings: BatchSettings, source: Source, plan: Plan, journal: Journal, labels: Labels, progress: Progress
) -> Summary:
    """Makes the results of the journal."""
    out, tally, seconds = settings.out, Tally(), progress.seconds
    learning = learn(plan, journal, labels) if source.labelled else None
    columns = min(settings.asked.top, len(labels.names))
    review = Review(out / "review", journal.digest[:16], labels.known) if settings.asked.review else None
    with saving(out), contextlib.ExitStack() as files:
        sinks: list[Any] = [
            tally,
            files.enter_context(parquet_table(out / "results.parquet", source.columns)),
            files.enter_context(csv_table(out / "results.csv", source.columns, columns)),
            files.enter_context(jsonl_table(out / "results.jsonl")),
        ]
        if learning is not None:
            sinks.append(files.enter_context(suspects_table(out / "suspects.csv")))
        if review is not None:
            sinks.append(review)
        for row in rows(plan, journal, labels, learning):
            for sink in sinks:
                sink.add(row)
    summary = tally.summary(photos=plan.photos, computed=progress.computed, seconds=seconds)
    with saving(out):
        if review is not None:
            review.finish(summary)
        write_atomically(out / "summary.json", summary.as_json())
    return summary
