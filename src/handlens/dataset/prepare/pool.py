"""Jobs over worker processes: results in the order of the rows, few of them in memory, and no end by a crash.

Processes are spawned, not forked: the parent has threads of Arrow and of the progress bar, whose locks a fork would
copy as they happen to be.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

from handlens.dataset.errors import DatasetError
from handlens.dataset.manifest import Row
from handlens.dataset.prepare.settings import PrepareSettings
from handlens.dataset.prepare.work import Job, Outcome, start_worker, work

__all__ = ["CRASHED", "Pool", "WorkersError"]

CRASHED: Final = "decoder-crashed"
_JOBS: Final = 16
"""Photos that go to a worker at once."""
_ROWS: Final = 512
"""Rows held at most for one parcel of jobs."""
_AHEAD: Final = 3
"""Parcels under way for each worker."""

_Pair = tuple[Row, Job | None]
_Parcel = tuple[list[_Pair], "Future[list[Outcome]] | None"]


class WorkersError(DatasetError):
    """No worker process can be started (`no-workers`)."""

    code = "no-workers"


class Pool:
    """Worker processes for one workspace, started when the first job comes."""

    def __init__(self, root: Path, settings: PrepareSettings, workers: int) -> None:
        self._root, self._settings, self._workers = root, settings, workers
        self._executor: ProcessPoolExecutor | None = None

    def run(self, pairs: Iterable[_Pair]) -> Iterator[tuple[Row, Outcome | None]]:
        """Every row with the outcome of its job, in order; None where it has no job. Raises what a worker raises."""
        parcels: deque[_Parcel] = deque()
        try:
            for parcel in _parcels(pairs):
                parcels.append((parcel, self._submit(parcel)))
                if len(parcels) > self._workers * _AHEAD:
                    yield from self._finish(parcels)
            while parcels:
                yield from self._finish(parcels)
        finally:
            self._close()

    def _submit(self, parcel: list[_Pair]) -> Future[list[Outcome]] | None:
        jobs = [job for _, job in parcel if job is not None]
        if not jobs:
            return None
        if self._executor is None:
            self._executor = self._start(self._workers)
        try:
            return self._executor.submit(work, jobs)
        except BrokenProcessPool as error:  # told in its turn
            broken: Future[list[Outcome]] = Future()
            broken.set_exception(error)
            return broken

    def _start(self, workers: int) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, spawn, start_worker, (self._root, self._settings))

    def _finish(self, parcels: deque[_Parcel]) -> Iterator[tuple[Row, Outcome | None]]:
        parcel, future = parcels.popleft()
        try:
            outcomes: Iterator[Outcome] = iter(future.result() if future else [])
        except BrokenProcessPool:
            self._close()
            outcomes = self._one_by_one([job for _, job in parcel if job is not None])
            waiting = [others for others, _ in parcels]
            parcels.clear()
            parcels.extend((others, self._submit(others)) for others in waiting)
        for row, job in parcel:
            yield row, None if job is None else next(outcomes)

    def _one_by_one(self, jobs: list[Job]) -> Iterator[Outcome]:
        """Jobs that were under way when a worker died, to see which one it is. Raises WorkersError."""
        while jobs:
            with self._start(1) as executor:
                try:
                    executor.submit(work, []).result()
                except BrokenProcessPool as error:  # not the photo's doing
                    raise WorkersError("worker processes cannot be started here") from error
                try:
                    while jobs:
                        yield executor.submit(work, jobs[:1]).result()[0]
                        jobs = jobs[1:]
                except BrokenProcessPool:
                    yield Outcome(reason=CRASHED)
                    jobs = jobs[1:]

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def _parcels(pairs: Iterable[_Pair]) -> Iterator[list[_Pair]]:
    parcel: list[_Pair] = []
    jobs = 0
    for row, job in pairs:
        parcel.append((row, job))
        jobs += job is not None
        if jobs == _JOBS or len(parcel) == _ROWS:
            yield parcel
            parcel, jobs = [], 0
    if parcel:
        yield parcel
