"""Failures that middleware of Starlette answers in plain text (a wrong Host, a CORS preflight) as problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlens.service.problems import problem

__all__ = ["PlainProblemsMiddleware"]

_OF_THE_TEXT: Final = frozenset({"content-type", "content-length"})


class PlainProblemsMiddleware:
    """Replaces a plain-text answer with a status of 400 or more; its headers stay."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything else on as it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        plain: tuple[int, Headers] | None = None
        text = b""

        async def send_problem(message: Message) -> None:
            nonlocal plain, text
            if message["type"] == "http.response.start":
                headers = Headers(raw=message["headers"])
                if message["status"] >= HTTPStatus.BAD_REQUEST and headers.get("content-type", "").startswith(
                    "text/plain"
                ):
                    plain = message["status"], headers
                    return
            elif plain:
                text += message.get("body", b"")
                if not message.get("more_body", False):
                    status, headers = plain
                    kept = {name: value for name, value in headers.items() if name not in _OF_THE_TEXT}
                    detail = f"{text.decode('utf-8', 'replace').rstrip('.')}."
                    await problem(status, "bad-request", detail, headers=kept)(scope, receive, send)
                return
            await send(message)

        await self.app(scope, receive, send_problem)
