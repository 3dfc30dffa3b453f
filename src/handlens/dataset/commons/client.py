"""The MediaWiki action API, asked as its etiquette wants.

One request at a time, with a delay between them, an honest User-Agent with a contact, `maxlag`, and compressed answers.
A refusal (429, 5xx, the errors `maxlag` and `ratelimited`) is waited out for as long as `Retry-After` says, else for a
pause that doubles. Sources: mediawiki.org, API:Etiquette, API:Continue, Manual:Maxlag parameter, API:Errors and
warnings; foundation.wikimedia.org, Policy:User-Agent policy.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from handlens._version import __version__
from handlens.dataset.commons.errors import CommonsError
from handlens.dataset.commons.settings import CommonsSettings
from handlens.dataset.http_manners import retry_after_seconds

__all__ = ["Api"]

_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_TRY_AGAIN_ERRORS: Final = ("maxlag", "ratelimited", "readonly", "internal_api_error")
_LARGEST: Final = 64 * 2**20
"""Bytes of one answer; fifty photos have some hundred kilobytes."""


class Api:
    """A session with the API; use it as an asynchronous context. `requests` counts what was sent."""

    def __init__(self, settings: CommonsSettings) -> None:
        self.requests = 0
        self._settings = settings
        self._ready_at = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        agent = f"handlens/{__version__} ({self._settings.contact}) aiohttp/{aiohttp.__version__}"
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": agent}, timeout=aiohttp.ClientTimeout(total=self._settings.timeout)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def query(self, **parameters: str | int) -> AsyncGenerator[dict[str, Any], None]:
        """The `query` objects of all batches of a query; what a continuation adds to the same pages is joined.

        Raises CommonsError.
        """
        asked: dict[str, str] = {name: str(value) for name, value in parameters.items()}
        asked |= {"action": "query", "format": "json", "formatversion": "2", "maxlag": str(self._settings.maxlag)}
        batch: dict[str, Any] = {}
        further: dict[str, str] = {}
        while True:
            answer = await self._ask(asked | further)
            _join(batch, answer.get("query") or {})
            if answer.get("batchcomplete"):
                yield batch
                batch = {}
            more = {str(name): str(value) for name, value in (answer.get("continue") or {}).items()}
            if not more:
                break
            if more == further:
                raise CommonsError(f"{self._settings.api}: the answer goes on for ever at {more}")
            further = more
        if batch:
            yield batch

    async def _ask(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One answer of the API, tried again where that may help."""
        refused = ""
        for attempt in range(self._settings.attempts):
            await asyncio.sleep(max(0.0, self._ready_at - time.monotonic()))
            asked_to_wait: float | None = None
            try:
                status, headers, content = await self._get(parameters)
            except (aiohttp.ClientError, TimeoutError) as error:
                refused = f"{type(error).__name__} {error}".strip()
            else:
                asked_to_wait = retry_after_seconds(headers.get("Retry-After"))
                if status == 200:
                    answer, refused = self._read(content)
                    if answer is not None:
                        self._rest(self._settings.delay)
                        return answer
                elif status in _TRY_AGAIN:
                    refused = f"status {status}"
                else:
                    raise CommonsError(f"{self._settings.api}: answers {status}{_advice(status)}")
            wait = self._settings.pause * 2**attempt if asked_to_wait is None else asked_to_wait
            if asked_to_wait is not None and wait > self._settings.patience:
                raise CommonsError(f"{self._settings.api}: asks to come back in {wait:.0f} seconds ({refused})")
            self._rest(max(self._settings.delay, min(wait, self._settings.patience)))
        raise CommonsError(f"{self._settings.api}: gave up after {self._settings.attempts} attempts: {refused}")

    async def _get(self, parameters: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        assert self._session is not None, "use it as an asynchronous context"
        self.requests += 1
        async with self._session.get(self._settings.api, params=parameters, allow_redirects=False) as response:
            content = bytearray()
            async for part in response.content.iter_chunked(65_536):
                content += part
                if len(content) > _LARGEST:
                    raise CommonsError(f"{self._settings.api}: an answer has more than {_LARGEST:,} bytes")
            return response.status, response.headers, bytes(content)

    def _read(self, content: bytes) -> tuple[dict[str, Any] | None, str]:
        """The answer, or None and why it is worth asking again. Raises CommonsError where it is not."""
        try:
            answer = json.loads(content)
        except ValueError as error:
            return None, f"the answer is no JSON: {error}"
        if not isinstance(answer, dict):
            return None, "the answer is no JSON object"
        told = answer.get("error")
        if told is None:
            return answer, ""
        code, info = (str(told.get(key, "")) for key in ("code", "info")) if isinstance(told, dict) else ("", "")
        if code.startswith(_TRY_AGAIN_ERRORS):
            return None, f"{code}: {info}"
        raise CommonsError(f"{self._settings.api}: {code or 'error'}: {info}")

    def _rest(self, seconds: float) -> None:
        self._ready_at = time.monotonic() + seconds


def _join(batch: dict[str, Any], query: dict[str, Any]) -> None:
    """Adds one answer's `query` to the batch; the same page comes again with more of its properties."""
    for name, value in query.items():
        if not isinstance(value, list):
            batch[name] = value
        elif name != "pages":
            batch.setdefault(name, []).extend(value)
        else:
            pages = {page.get("title"): page for page in batch.setdefault("pages", [])}
            for page in value:
                known = pages.get(page.get("title"))
                if known is None:
                    batch["pages"].append(page)
                    continue
                for key, more in page.items():
                    known[key] = known[key] + more if isinstance(more, list) and key in known else more


def _advice(status: int) -> str:
    if status == 403:
        return ": it blocks this client; is the contact right?"
    return ": is this the address of an API?" if 300 <= status < 500 else ""
