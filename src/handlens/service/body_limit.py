"""A limit on the bytes of a request's body, counted while they arrive and before anything is parsed.

Starlette has such a limit (`max_body_size`), but where a route does not read the body it answers in plain text
instead of a problem document.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlens.service.problems import BodyTooLargeError, error_problem

__all__ = ["BodyLimitMiddleware"]


class BodyLimitMiddleware:
    """Answers 413 `body-too-large` to a body of more than `max_bytes`."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses by the Content-Length where there is one, and in any case by the bytes received."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        error = BodyTooLargeError(f"The body is larger than {self.max_bytes} bytes, the most that is accepted.")
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            await error_problem(error)(scope, receive, send)
            return
        count = 0

        async def receive_counted() -> Message:
            nonlocal count
            message = await receive()
            if message["type"] == "http.request":
                count += len(message.get("body", b""))
                if count > self.max_bytes:
                    raise error
            return message

        await self.app(scope, receive_counted, send)
