"""Units over the processors of this machine: outcomes in the order of the units, few of them in memory.

Processes are spawned, not forked: a fork would copy the locks of the parent's threads as they happen to be. Each has
one Identifier whose network uses one thread, so that they do not wait for one another. A worker ends with its parent,
even one that is killed, and leaves the interrupt of the terminal to it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from threading import Thread
from typing import Final

from handlens.allocator import keep_one_arena
from handlens.batch.answering import Answering
from handlens.batch.errors import WorkersError
from handlens.batch.units import Asked, Outcome, Unit, crashed

__all__ = ["LocalEngine"]

_PARCEL: Final = 8
"""Units that go to a worker at once."""
_AHEAD: Final = 3
"""Parcels under way for each worker."""

_Pending = tuple[list[Unit], "Future[list[Outcome]]"]


class LocalEngine:
    """Worker processes, started when the first unit comes."""

    def __init__(self, asked: Asked, *, workers: int) -> None:
        self._asked, self._workers = asked, workers
        self._executor: ProcessPoolExecutor | None = None

    def outcomes(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome a unit, in their order. Raises WorkersError, and what loading the bundle raises."""
        source, pending = iter(units), deque[_Pending]()
        try:
            while parcel := list(islice(source, _PARCEL)):
                pending.append((parcel, self._submit(parcel)))
                if len(pending) > self._workers * _AHEAD:
                    yield from self._finish(pending)
            while pending:
                yield from self._finish(pending)
        finally:
            self._close()

    def _submit(self, parcel: list[Unit]) -> Future[list[Outcome]]:
        if self._executor is None:
            self._executor = _started(self._asked, self._workers)
        try:
            return _uninterrupted(self._executor, parcel)
        except BrokenProcessPool as error:  # told in its turn
            broken: Future[list[Outcome]] = Future()
            broken.set_exception(error)
            return broken

    def _finish(self, pending: deque[_Pending]) -> Iterator[Outcome]:
        parcel, future = pending.popleft()
        try:
            outcomes: Iterable[Outcome] = future.result()
        except BrokenProcessPool:
            self._close()
            outcomes = self._one_by_one(parcel)
            waiting = [units for units, _ in pending]
            pending.clear()
            yield from outcomes
            pending.extend((units, self._submit(units)) for units in waiting)
            return
        yield from outcomes

    def _one_by_one(self, units: list[Unit]) -> Iterator[Outcome]:
        """Units that were under way when a worker died, to see which one it is."""
        left = list(units)
        while left:
            with _started(self._asked, 1) as executor:
                try:
                    _uninterrupted(executor, []).result()
                except BrokenProcessPool as error:  # not the photo's doing
                    raise WorkersError("worker processes cannot be started here") from error
                try:
                    while left:
                        yield _uninterrupted(executor, left[:1]).result()[0]
                        left = left[1:]
                except BrokenProcessPool:
                    yield crashed(left[0])
                    left = left[1:]

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def _started(asked: Asked, workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (asked,))


def _uninterrupted(executor: ProcessPoolExecutor, parcel: list[Unit]) -> Future[list[Outcome]]:
    """Submits; a process that is started for it begins with interrupts blocked, until it ignores them."""
    if sys.platform == "win32":
        return executor.submit(_work, parcel)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return executor.submit(_work, parcel)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_answering: Answering | None = None
_failure: Exception | None = None


def _start(asked: Asked) -> None:
    global _answering, _failure
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    keep_one_arena()
    try:
        _answering = Answering(asked)
    except Exception as error:  # noqa: BLE001 - an error here would break the pool and say nothing
        _failure = error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # other threads may hang on pipes that nobody reads any more


def _work(units: list[Unit]) -> list[Outcome]:
    if _failure is not None:
        raise _failure
    assert _answering is not None
    return list(_answering.outcomes(units))
