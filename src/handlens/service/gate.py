"""What is refused by its head alone: addresses and headers that are too long, and work when there is too much of it.

All of it before anything is read of the body.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from handlens.service.inference import Inference
from handlens.service.problems import HeadTooLargeError, OverloadedError, UrlTooLongError, error_problem
from handlens.service.routes import is_inference, takes_photos
from handlens.service.settings import Settings

__all__ = ["CROWDED", "HeadLimitMiddleware", "QueueGateMiddleware"]

CROWDED: Final = "handlens.crowded"
"""Key of a request's state, set by the connection: there are more connections than there should be."""


class HeadLimitMiddleware:
    """Answers 414 `url-too-long` and 431 `head-too-large`.

    h11 stops a head that grows beyond its limit while it arrives, but takes a longer one that comes in one piece.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._most_url = settings.max_url_bytes
        self._most_head = settings.max_head_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the bytes of the address and of the headers."""
        if scope["type"] == "http":
            url = len(scope["raw_path"] or scope["path"]) + len(scope["query_string"])
            head = url + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
            error: UrlTooLongError | HeadTooLargeError | None = None
            if url > self._most_url:
                error = UrlTooLongError(f"The address is longer than {self._most_url} bytes.")
            elif head > self._most_head:
                error = HeadTooLargeError(f"The headers are longer than {self._most_head} bytes.")
            if error:
                await error_problem(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class QueueGateMiddleware:
    """Answers 503 `overloaded` where a photo would find the queue full, or too many clients are connected."""

    def __init__(self, app: ASGIApp, inference: Inference) -> None:
        self.app = app
        self._inference = inference

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets through what costs little, so that the service can still be asked how it is."""
        if scope["type"] == "http":
            crowded = is_inference(scope) and scope.get("state", {}).get(CROWDED, False)
            if crowded or (takes_photos(scope) and self._inference.is_full):
                await error_problem(OverloadedError())(scope, receive, send)
                return
        await self.app(scope, receive, send)
