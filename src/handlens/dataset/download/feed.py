"""The jobs of one host while they are worked off."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from handlens.dataset.download.saving import Saver
from handlens.dataset.download.state import Job, State

__all__ = ["Feed"]

_JOBS_AT_ONCE: Final = 200
"""Jobs read from the state at once: those in memory are this many times the hosts at work."""


class Feed:
    """Gives the jobs of a host in order and each to one worker; reads them from the state a few at a time.

    `index`, `count`: the part of the jobs that this process works off.
    """

    def __init__(self, host: str, state: State, saver: Saver, index: int, count: int) -> None:
        self.host = host
        self._part = (index, count)
        self._left: set[int] = set()
        self._state = state
        self._saver = saver
        self._line = asyncio.Lock()
        self._ready: list[Job] = []
        self._taken: set[int] = set()
        self._one_done = asyncio.Event()

    async def next(self) -> Job | None:
        """The next job when it is due, or None when none waits and none can come back."""
        async with self._line:
            while True:
                if not self._ready:
                    self._one_done.clear()
                    most = _JOBS_AT_ONCE + len(self._taken) + len(self._left)
                    found = await self._saver.call(self._state.jobs, self.host, most, *self._part)
                    others = self._taken | self._left
                    self._ready = [job for job in reversed(found) if job.number not in others]
                    if not self._ready:
                        if not self._taken:
                            return None
                        await self._one_done.wait()
                        continue
                wait = self._ready[-1].due - time.time()
                if wait <= 0:
                    job = self._ready.pop()
                    self._taken.add(job.number)
                    return job
                # One that becomes due earlier may come back meanwhile.
                self._one_done.clear()
                try:
                    await asyncio.wait_for(self._one_done.wait(), wait)
                except TimeoutError:
                    continue
                self._ready.clear()

    def leave(self, job: Job) -> None:
        """Leaves a job that is for another process as it is."""
        self._left.add(job.number)

    def done(self, job: Job) -> None:
        """Takes note that a job has ended, or waits again."""
        self._taken.discard(job.number)
        self._one_done.set()
