"""How often a host is asked: places, pace, pauses, and the breaker that leaves a failing host alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.settings import DownloadSettings

__all__ = ["Gate", "Gates", "backoff", "counts_against_host"]

_NO_ANSWER = frozenset({"timeout", "connection", "dns", "tls", "cut-short", "bad-response"})


def backoff(attempts: int, settings: DownloadSettings) -> float:
    """Seconds to wait after so many attempts: doubled each time, and between half of it and all at random."""
    longest = min(settings.backoff * 2.0 ** min(attempts - 1, 30), settings.max_backoff)
    return longest * random.uniform(0.5, 1.0)


def counts_against_host(error: NotFetched) -> bool:
    """Whether a failure may mean that the host is in trouble or wants to be left alone: 403, 429, 5xx, no answer."""
    if error.word.startswith("http-"):
        return error.http_status in (403, 429) or (error.http_status or 0) >= 500
    return error.word in _NO_ANSWER


class Gate:
    """The way to one host; every request passes through `turn`.

    At most `concurrency` requests are under way, and one starts no sooner than 1 / `rate` seconds after the one before.
    `given_up`: the breaker has opened once too often, or the host asked to wait for too long.
    """

    def __init__(self, host: str, settings: DownloadSettings, everybody: asyncio.Semaphore) -> None:
        rate = settings.rate_of(host)
        self.host = host
        self.given_up = False
        self._settings = settings
        self._everybody = everybody
        self._places = asyncio.Semaphore(settings.concurrency_of(host))
        self._line = asyncio.Lock()
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0
        self._rests_until = 0.0
        self._failures = 0
        self._trips = 0

    def slow_down(self, crawl_delay: float) -> None:
        """Leaves at least so many seconds between two requests, from the last one on."""
        more = max(0.0, crawl_delay - self._interval)
        self._interval += more
        self._next += more

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for the turn of one request, which is the block; a NotFetched out of it is counted.

        Raises NotFetched (`host-failing`) without a request where the host is given up.
        """
        async with self._places:
            async with self._line:  # one at a time, so that two that have waited do not start together
                await self._wait()
                await self._everybody.acquire()
                self._next = time.monotonic() + self._interval
            try:
                yield
            except NotFetched as error:
                self._heard(error)
                raise
            else:
                self._failures = self._trips = 0
            finally:
                self._everybody.release()

    async def _wait(self) -> None:
        while not self.given_up and (left := self._next - time.monotonic()) > 0:
            await asyncio.sleep(left)
        if self.given_up:
            raise NotFetched("host-failing", f"{self.host} is left alone until the next run")

    def _heard(self, error: NotFetched) -> None:
        if error.retry_after is not None:
            if error.retry_after > self._settings.max_wait:
                self.given_up = True
            self._pause(error.retry_after)
        elif error.http_status in (429, 503):
            self._pause(backoff(self._failures + 1, self._settings))
        if not counts_against_host(error):
            self._failures = self._trips = 0
        elif time.monotonic() >= self._rests_until:  # else it was asked before the breaker opened
            self._failures += 1
            if self._failures >= self._settings.breaker_after:
                self._trip()

    def _trip(self) -> None:
        self._failures = self._settings.breaker_after - 1  # after the rest, one more failure is enough
        if self._trips >= self._settings.breaker_trips:
            self.given_up = True
            return
        rest = self._settings.breaker_pause * 2.0**self._trips
        self._trips += 1
        self._rests_until = time.monotonic() + rest
        self._pause(rest)

    def _pause(self, seconds: float) -> None:
        self._next = max(self._next, time.monotonic() + seconds)


class Gates:
    """The gates of all hosts, and the places of all requests together."""

    def __init__(self, settings: DownloadSettings) -> None:
        self._settings = settings
        self._everybody = asyncio.Semaphore(settings.connections)
        self._gates: dict[str, Gate] = {}

    def of(self, host: str) -> Gate:
        """The gate of a host, the same one every time."""
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = Gate(host, self._settings, self._everybody)
        return gate
