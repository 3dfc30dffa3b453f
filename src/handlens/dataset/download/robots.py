"""robots.txt (RFC 9309): asked for once a host, under the same rules as everything else, and kept for a day."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Final

from protego import Protego
from yarl import URL

from handlens.dataset.download.asking import Asker, failed_status, redirect_of
from handlens.dataset.download.content import unpacker
from handlens.dataset.download.politeness import backoff
from handlens.dataset.download.reasons import NotFetched, reason_of
from handlens.dataset.download.saving import Saver
from handlens.dataset.download.settings import AGENT, DownloadSettings
from handlens.dataset.download.state import State

__all__ = ["Robots"]

_KEPT_FOR: Final = 24 * 3600.0
"""Seconds; RFC 9309, 2.4, allows no more."""
_MOST_BYTES: Final = 500 * 2**10
"""RFC 9309, 2.5: the least that must be read; what is behind is left out."""
_REDIRECTS: Final = 5
"""RFC 9309, 2.3.1.2: the least that should be followed."""
_IN_MEMORY: Final = 256
_EVERYTHING: Final = ""


class Robots:
    """What the hosts allow. A host whose file cannot be had (5xx, 429, no answer) allows nothing in this run."""

    def __init__(self, asker: Asker, state: State, saver: Saver, settings: DownloadSettings) -> None:
        self._asker = asker
        self._state = state
        self._saver = saver
        self._settings = settings
        self._locks: dict[URL, asyncio.Lock] = {}
        self._rules: OrderedDict[URL, Protego | None] = OrderedDict()
        self._unavailable: dict[URL, tuple[str, str]] = {}

    async def check(self, url: URL) -> None:
        """Raises NotFetched (`robots`, `robots-unavailable`, `host-failing`) where the address may not be asked for."""
        origin = url.origin()
        if origin not in self._rules:
            async with self._locks.setdefault(origin, asyncio.Lock()):
                await self._learn(origin)
        rules = self._rules.get(origin)
        if rules is not None and not rules.can_fetch(str(url), AGENT):
            raise NotFetched("robots", f"robots.txt of {origin} disallows it")

    async def _learn(self, origin: URL) -> None:
        if origin in self._unavailable:
            raise NotFetched(*self._unavailable[origin])
        if origin in self._rules:
            return
        content = await self._saver.call(self._state.robots, str(origin), time.time())
        if content is None:
            try:
                content = await self._ask_for_it(origin)
            except NotFetched as error:
                word = error.word if error.word == "private-address" else "robots-unavailable"
                self._unavailable[origin] = (word, str(error)[:300])
                raise NotFetched(*self._unavailable[origin]) from error
            await self._saver.call(self._state.keep_robots, str(origin), content, time.time() + _KEPT_FOR)
        rules = Protego.parse(content) if content else None
        if rules is not None and (delay := rules.crawl_delay(AGENT)):
            self._asker.gate(origin).slow_down(delay)
        self._rules[origin] = rules
        if len(self._rules) > _IN_MEMORY:
            self._rules.popitem(last=False)

    async def _ask_for_it(self, origin: URL) -> str:
        for attempt in range(1, self._settings.max_attempts + 1):
            try:
                return await self._follow(origin / "robots.txt")
            except NotFetched as error:
                if reason_of(error.word).again != "this-run" or attempt == self._settings.max_attempts:
                    raise
                await asyncio.sleep(max(backoff(attempt, self._settings), error.retry_after or 0.0))
        raise AssertionError("max_attempts is 1 or more")

    async def _follow(self, url: URL) -> str:
        for _ in range(_REDIRECTS + 1):
            self._asker.check(url)
            async with self._asker.ask(url) as response:
                if (target := redirect_of(response, url)) is not None:
                    url = target
                    continue
                if response.status == 429 or response.status >= 500:
                    raise failed_status(response)
                if response.status != 200:
                    return _EVERYTHING
                content = bytearray()
                unpack = unpacker(response.headers.get("Content-Encoding"))
                async for chunk in response.content.iter_any():
                    for piece in unpack(chunk):
                        content += piece
                        if len(content) > _MOST_BYTES:
                            return content[:_MOST_BYTES].decode("utf-8", "replace")
                return content.decode("utf-8", "replace")
        return _EVERYTHING  # RFC 9309, 2.3.1.2: as if there were none
