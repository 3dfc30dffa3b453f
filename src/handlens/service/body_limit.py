"""Limits on a request's body, counted while it arrives and before anything is parsed: its bytes, the bytes of all
bodies together, and the time it takes.

Starlette has a limit on the bytes (`max_body_size`), but none on the others, and where a route does not read the body
it answers in plain text instead of a problem document.
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlens.service.problems import BodyTooLargeError, OverloadedError, SlowBodyError, error_problem
from handlens.service.record import current_record
from handlens.service.routes import BATCH
from handlens.service.settings import Settings

__all__ = ["BodyLimitMiddleware"]


class BodyLimitMiddleware:
    """Answers 413 `body-too-large`, 408 `slow-body`, and 503 `overloaded` where all bodies together are too large."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses by the Content-Length where there is one, and in any case by the bytes received."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self._settings.max_batch_bytes if scope["path"] == BATCH else self._settings.max_body_bytes
        error = BodyTooLargeError(f"The body is larger than {most} bytes, the most that is accepted.")
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            await error_problem(error)(scope, receive, send)
            return
        count = 0
        complete = False
        began = time.monotonic()

        async def receive_counted() -> Message:
            nonlocal count, complete
            if complete:  # what is waited for now is that the client goes away
                return await receive()
            try:
                async with asyncio.timeout(self._remaining(time.monotonic() - began, count)):
                    message = await receive()
            except TimeoutError:
                raise SlowBodyError("The body did not arrive in time.") from None
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                count += size
                self._held += size
                complete = not message.get("more_body", False)
                if count > most:
                    raise error
                if self._held > self._settings.max_uploads_bytes:
                    raise OverloadedError()
            return message

        if record := current_record():
            record.receive = receive_counted
        try:
            await self.app(scope, receive_counted, send)
        finally:
            self._held -= count

    def _remaining(self, elapsed: float, count: int) -> float:
        """Seconds in which the next piece must come, `elapsed` after the first was asked for."""
        allowed = self._settings.body_timeout
        if self._settings.min_body_rate:
            allowed = min(allowed, self._settings.head_timeout + count / self._settings.min_body_rate)
        return max(0.0, allowed - elapsed)
