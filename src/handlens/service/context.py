"""Around everything: every request gets an id, every failure an answer, and what happened is told to observers.

A failure that nobody expected is answered here and not by Starlette's own outermost layer, whose answer would be
without the id and the headers. Of the exception only its kind and place are logged: its message may quote what the
client sent.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlens.service.problems import internal_problem
from handlens.service.record import RequestRecord, noting

__all__ = ["CLIENT_GONE", "ContextMiddleware", "FinishedRequest", "Observer", "log_failure"]

CLIENT_GONE: Final = 499
"""What is logged as status where the client went away before the answer; nobody is sent it."""
NO_ROUTE: Final = "(none)"

_LOG: Final = logging.getLogger(__name__)
_MOST_FRAMES: Final = 12
_LONGEST_CLIENT: Final = 64
"""An address is shorter; but behind a proxy it is what the proxy wrote."""
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """A request that is over: its record, the template of its route, the status, the seconds that it took."""

    record: RequestRecord
    route: str
    status: int
    seconds: float


Observer = Callable[[FinishedRequest], None]


class ContextMiddleware:
    """Sets the record of the request, sends `X-Request-ID`, answers 500, tells the observers."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer] = ()) -> None:
        self.app = app
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        record = RequestRecord(
            request_id=given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex,
            method=scope["method"] if scope["method"] in _METHODS else "OTHER",
            client=scope["client"][0][:_LONGEST_CLIENT] if scope.get("client") else "",
        )
        noting(record)
        status: int | None = None
        complete = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = record.request_id
            else:
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - the last that can answer it
            log_failure(error, record)
            if status is None:
                await internal_problem()(scope, receive, send_with_id)
            else:
                raise _CutShortError() from None  # the connection is then closed, which is all that can be told
        finally:
            seen = status if status is not None and complete else CLIENT_GONE
            if seen < HTTPStatus.BAD_REQUEST:
                record.code = None  # of what was sent after this request on its connection
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            finished = FinishedRequest(record, route, seen, time.perf_counter() - record.began)
            for observer in self._observers:
                observer(finished)


class _CutShortError(Exception):
    """An answer failed after it had begun; what failed has been logged."""


def log_failure(error: Exception, record: RequestRecord | None) -> None:
    """Logs the kind of an exception and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    request_id = record.request_id if record else "-"
    _LOG.error("Request %s failed: %s at %s", request_id, type(error).__name__, " < ".join(reversed(places)))
