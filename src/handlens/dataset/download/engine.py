"""The run: every host by itself, at its own pace, until nothing waits."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aiohttp.abc import AbstractResolver
from tqdm import tqdm

from handlens.dataset.download.asking import Asker, ElsewhereError, asking
from handlens.dataset.download.feed import Feed
from handlens.dataset.download.fetch import fetch
from handlens.dataset.download.politeness import backoff
from handlens.dataset.download.reasons import NotFetched, reason_of
from handlens.dataset.download.robots import Robots
from handlens.dataset.download.saving import Saver
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import NO_HOST, Job, State
from handlens.dataset.workspace import Workspace

if TYPE_CHECKING:
    from handlens.dataset.download.processes import Helpers

__all__ = ["Ran", "run", "work"]

_HOSTS_AT_ONCE: Final = 256
_SETTLE_EVERY: Final = 30.0
"""Seconds."""
_HELPERS_BATCH: Final = 10**6
"""Nobody is at work for this many times half a minute."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did: photos and bytes it kept, seconds it took, and whether it was interrupted."""

    photos: int
    bytes: int
    seconds: float
    interrupted: bool


def run(
    workspace: Workspace,
    state: State,
    settings: DownloadSettings,
    *,
    progress: bool = False,
    resolver: AbstractResolver | None = None,
    helpers: Helpers | None = None,
) -> Ran:
    """Asks for everything that waits: with `helpers` first the hosts that are divided between them and this process.

    SIGINT ends it cleanly: what has come is kept. Raises OSError and DatasetError where disk or state fail.
    """
    start = time.monotonic()
    with tqdm(total=state.waiting(), unit=" photos", disable=not progress, file=sys.stderr) as bar:
        together = Ran(0, 0, 0.0, False)
        if helpers is not None:
            helpers.begin()
            own = work(workspace, state, settings, bar, share=(0, settings.processes), resolver=resolver)
            theirs = helpers.finish(interrupted=own.interrupted)
            together = Ran(own.photos + theirs.photos, own.bytes + theirs.bytes, 0.0, own.interrupted)
            bar.update(bar.total - bar.n - state.waiting())
        if not together.interrupted:
            rest = work(workspace, state, settings, bar, resolver=resolver)
            together = Ran(together.photos + rest.photos, together.bytes + rest.bytes, 0.0, rest.interrupted)
    return replace(together, seconds=time.monotonic() - start)


def work(
    workspace: Workspace,
    state: State,
    settings: DownloadSettings,
    bar: tqdm[None],
    *,
    share: tuple[int, int] | None = None,
    resolver: AbstractResolver | None = None,
    stop: int | None = None,
) -> Ran:
    """What one process does: all that waits, or part `share` (index from 0, count) of the hosts that are divided.

    It ends early at SIGINT, and when the other end of the file descriptor `stop` is closed.
    """
    engine = _Engine(workspace, state, settings, bar, share)
    try:
        interrupted = asyncio.run(engine.run(resolver, stop))
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return Ran(engine.photos, engine.bytes, 0.0, interrupted)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Engine:
    def __init__(
        self,
        workspace: Workspace,
        state: State,
        settings: DownloadSettings,
        bar: tqdm[None],
        share: tuple[int, int] | None,
    ) -> None:
        self.photos = 0
        self.bytes = 0
        self._workspace = workspace
        self._state = state
        self._settings = settings if share is None else settings.share()
        self._is_divided = settings.is_divided
        self._bar = bar
        self._share = share
        self._missed = 0

    async def run(self, resolver: AbstractResolver | None, stop: int | None) -> bool:
        """Works until nothing waits; whether it was interrupted."""
        work = asyncio.create_task(self._run(resolver))
        loop, handles = asyncio.get_running_loop(), threading.current_thread() is threading.main_thread()
        if handles:
            loop.add_signal_handler(signal.SIGINT, work.cancel)
        if stop is not None:
            loop.add_reader(stop, _cancel, work, stop)
        try:
            await work
        except asyncio.CancelledError:
            if not work.cancelled():  # this task itself is cancelled
                raise
            return True
        finally:
            if handles:
                loop.remove_signal_handler(signal.SIGINT)
            if stop is not None:
                loop.remove_reader(stop)
        return False

    async def _run(self, resolver: AbstractResolver | None) -> None:
        helps = self._share is not None and self._share[0] > 0
        saver = Saver(self._workspace, self._state, self._settings, later=_HELPERS_BATCH if helps else 0)
        only = None if self._share is None else self._is_divided
        try:
            async with asking(self._settings, resolver, only) as asker:
                robots = Robots(asker, self._state, saver, self._settings)
                settling = None if helps else asyncio.create_task(_settle(saver))
                try:
                    await self._run_hosts(saver, asker, robots)
                finally:
                    if settling is not None:
                        settling.cancel()
            if self._share is None:
                await saver.settle()
        finally:
            saver.close()
            self.bytes = saver.bytes

    async def _run_hosts(self, saver: Saver, asker: Asker, robots: Robots) -> None:
        places = asyncio.Semaphore(_HOSTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for host, count in await saver.call(self._state.hosts):
                if self._share is not None and not self._is_divided(host):
                    continue
                if host != NO_HOST and not self._settings.acknowledges(host):
                    await saver.call(self._state.refuse_terms, host)
                    self._ended(count, missed=True)
                    continue
                await places.acquire()
                task = group.create_task(
                    self._run_host(Feed(host, self._state, saver, *(self._share or (0, 1))), saver, asker, robots)
                )
                task.add_done_callback(lambda _: places.release())

    async def _run_host(self, feed: Feed, saver: Saver, asker: Asker, robots: Robots) -> None:
        workers = self._settings.concurrency_of(feed.host) if feed.host != NO_HOST else 1
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(feed, saver, asker, robots))

    async def _work(self, feed: Feed, saver: Saver, asker: Asker, robots: Robots) -> None:
        while (job := await feed.next()) is not None:
            try:
                if job.host == NO_HOST:
                    await saver.bring_in(job)
                else:
                    asked = self._conditional(job)
                    answer = await fetch(asked, saver.part_file(job), asker, robots, self._settings)
                    await saver.keep(asked, answer)
                self.photos += 1
                self._ended(1, missed=False)
            except NotFetched as error:
                await self._missed_one(job, error, saver)
            except ElsewhereError:
                feed.leave(job)
            finally:
                feed.done(job)

    def _conditional(self, job: Job) -> Job:
        """The job without the conditions of its request where the photo they stand for is gone."""
        if job.file is None or (self._workspace.root / job.file).is_file():
            return job
        return replace(job, etag=None, last_modified=None, file=None)

    async def _missed_one(self, job: Job, error: NotFetched, saver: Saver) -> None:
        attempts = job.attempts + 1
        wait = max(backoff(attempts, self._settings), error.retry_after or 0.0)
        is_over = attempts >= self._settings.max_attempts or wait > self._settings.max_wait
        due = None if is_over or reason_of(error.word).again != "this-run" else time.time() + wait
        await saver.call(self._state.missed, job, error, due)
        if due is None:
            self._ended(1, missed=True)

    def _ended(self, rows: int, *, missed: bool) -> None:
        if missed:
            self._missed += rows
            self._bar.set_postfix(missed=self._missed, refresh=False)
        self._bar.update(rows)


def _cancel(work: asyncio.Task[None], stop: int) -> None:
    asyncio.get_running_loop().remove_reader(stop)  # it stays readable, and one call is enough
    work.cancel()


async def _settle(saver: Saver) -> None:
    while True:
        await asyncio.sleep(_SETTLE_EVERY)
        await saver.settle()
