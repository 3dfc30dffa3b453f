"""Inspection in several processes, none of which can end the run: a photo that kills its process is flagged."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Final

import cv2

from handlens.dataset.check.inspect import READER_DIED, Inspection, inspect_file
from handlens.processors import processors

__all__ = ["Inspect", "inspect_files"]

Task = tuple[str, Path]
"""sha256 of a file, and where it is."""
Inspect = Callable[[str, Path], Inspection]

_AT_ONCE: Final = 8
"""Files handed to a process at once: enough to hide the hand-over, few enough to try again one by one."""
_AHEAD: Final = 3
"""Portions given out for each process, so that none waits and memory stays bounded."""


def inspect_files(
    files: Iterable[Task], *, workers: int | None = None, inspect: Inspect = inspect_file
) -> Iterator[Inspection]:
    """Inspects files in `workers` processes (default: one a core), each once, in the order in which they are done.

    When a process dies, the files it may have been at are inspected again, one at a time; one of which a process dies
    again is answered with the code `reader-died`. `inspect` must be importable by its name.
    """
    count = workers or processors()
    portions = _portions(files)
    while True:
        lost: list[Task] = []
        with _pool(count) as pool:
            yield from _until_broken(pool, count, portions, inspect, lost)
        if not lost:
            return
        yield from _one_by_one(lost, inspect)


def _until_broken(
    pool: ProcessPoolExecutor, count: int, portions: Iterator[list[Task]], inspect: Inspect, lost: list[Task]
) -> Iterator[Inspection]:
    """Results until the portions are used up or a process dies; then what had been given out is added to `lost`."""
    running: dict[Future[list[Inspection]], list[Task]] = {}
    while True:
        if not lost:
            for portion in islice(portions, count * _AHEAD - len(running)):
                try:
                    running[pool.submit(_inspect_portion, portion, inspect)] = portion
                except BrokenProcessPool:
                    lost += portion
                    break
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            portion = running.pop(future)
            try:
                yield from future.result()
            except BrokenProcessPool:
                lost += portion


def _one_by_one(tasks: list[Task], inspect: Inspect) -> Iterator[Inspection]:
    """Inspects files in one process at a time, so that the one a process dies of is known."""
    left = iter(tasks)
    while True:
        with _pool(1) as pool:
            for task in left:
                try:
                    yield from pool.submit(_inspect_portion, [task], inspect).result()
                except BrokenProcessPool:
                    yield Inspection(task[0], READER_DIED, "The process that read the photo died, twice.")
                    break
            else:
                return


def _pool(count: int) -> ProcessPoolExecutor:
    # Not forked: the process that runs a stage has threads of other libraries.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _settle)


def _settle() -> None:
    """In a new process: one thread each, and an interrupt from the keyboard is the parent's to answer."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _inspect_portion(portion: list[Task], inspect: Inspect) -> list[Inspection]:
    return [inspect(sha256, path) for sha256, path in portion]


def _portions(files: Iterable[Task]) -> Iterator[list[Task]]:
    files = iter(files)
    while portion := list(islice(files, _AT_ONCE)):
        yield portion
