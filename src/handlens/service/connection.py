"""uvicorn's HTTP/1.1 connection with what it leaves open: clients that are slow, too many, or do not speak HTTP.

- Headers must arrive within `head_timeout`, on a new connection and for each later request.
- A client that takes no bytes of its answer for `body_timeout` is cut off.
- A body that nobody wants any more is read, and thrown away, for `head_timeout`, or for `body_timeout` where it was
  stated to be of a size that is taken: a client that reads only after sending sees the answer, also of a service that
  has much to do, and one that never ends is cut off.
- What is no HTTP, or has a head that is too long, gets a problem document like every other failure.
- An answer is sent at once, its body not held back until its head was acknowledged.
- A large body is read without a pause at every piece, as long as little of it waits for the application, and past the
  parser (`body_pieces`).
- Beyond `max_connections` requests are marked for the gate; beyond four times as many connections are closed at once.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import uuid
from http import HTTPStatus
from typing import Any, Final, cast

import h11
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from handlens.service.body_pieces import pass_by
from handlens.service.gate import CROWDED
from handlens.service.headers import SECURITY_HEADERS
from handlens.service.problems import HeadTooLargeError, error_problem, problem
from handlens.service.settings import Settings

__all__ = ["GuardedProtocol", "ServiceConfig"]

_HARD_LIMIT: Final = 4
_MOST_UNREAD: Final = 2**19
"""Bytes of a body that may wait for the application: two pieces as asyncio reads them."""


class ServiceConfig(Config):
    """uvicorn's configuration with the settings of the service."""

    def __init__(self, app: Any, settings: Settings, **others: Any) -> None:
        """`app` and `others`: as uvicorn takes them."""
        self.settings = settings
        super().__init__(
            app,
            http=GuardedProtocol,
            ws="none",
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_keep_alive=settings.keep_alive_timeout,
            timeout_graceful_shutdown=settings.shutdown_timeout,
            h11_max_incomplete_event_size=settings.max_head_bytes,
            **others,
        )


class _BodyFlow(FlowControl):
    """Pauses for a body only where much of it waits.

    uvicorn pauses at 64 KiB, which a piece of a photo exceeds: the selector would be told to stop and to go on for
    every piece.
    """

    def __init__(self, transport: asyncio.Transport, connection: GuardedProtocol) -> None:
        super().__init__(transport)
        self._connection = connection

    def pause_reading(self) -> None:
        body_arrives = self._connection.conn.their_state is h11.SEND_BODY
        if not body_arrives or len(self._connection.cycle.body) > _MOST_UNREAD:
            super().pause_reading()


class GuardedProtocol(H11Protocol):
    """A connection with deadlines; its configuration is a ServiceConfig."""

    def __init__(self, config: ServiceConfig, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = config.settings
        self._shared_state = app_state
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first head."""
        super().connection_made(transport)
        connected: socket.socket = transport.get_extra_info("socket")
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does it where the socket says that it is TCP, which one accepted from `create_server` does not. An
            # answer's body would wait 40 ms for the client to acknowledge its head.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.flow = _BodyFlow(transport, self)
        if len(self.connections) > _HARD_LIMIT * self._settings.max_connections:
            transport.abort()
        else:
            self._start("head", self._settings.head_timeout, self._head_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets all deadlines."""
        for name in list(self._timers):
            self._stop(name)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, and sees whether a head is complete or has begun."""
        if pass_by(self.conn, len(data)):
            self._hand_on(data)
            return
        crowded = len(self.connections) > self._settings.max_connections
        self.app_state = {**self._shared_state, CROWDED: crowded}
        super().data_received(data)
        their_state = self.conn.their_state
        if their_state is not h11.IDLE or not self.conn.trailing_data[0]:
            self._stop("head")
        elif "head" not in self._timers:
            self._start("head", self._settings.head_timeout, self._head_too_slow)
        if their_state is not h11.SEND_BODY:
            self._stop("unwanted")

    def _hand_on(self, piece: bytes) -> None:
        """Gives the application a piece of the body, as uvicorn does with those that went through the parser."""
        if self.conn.our_state is h11.DONE:  # the answer is sent: nobody wants the rest
            return
        # The piece itself where none waits: what the application gets is a copy of a bytearray, but not of bytes.
        waiting = self.cycle.body
        self.cycle.body = waiting + piece if waiting else cast("bytearray", piece)
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Bounds what is left to do for this request: to send the rest of the answer, to read an unwanted body."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            cycle = self.cycle

            def cut_off() -> None:
                if self.cycle is cycle and self.transport.get_write_buffer_size():
                    self.transport.abort()

            self._start("unsent", self._settings.body_timeout, cut_off)
        if self.conn.their_state is h11.SEND_BODY:
            ends = any(
                name == b"content-length" and value.isdigit() and int(value) <= self._settings.max_body_bytes
                for name, value in self.headers
            )
            seconds = self._settings.body_timeout if ends else self._settings.head_timeout
            self._start("unwanted", seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        self._start("untaken", self._settings.body_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        self._stop("untaken")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answers what is no HTTP, or too long a head; uvicorn calls it while it handles h11's exception."""
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            most = self._settings.max_head_bytes
            self._refuse(error_problem(HeadTooLargeError(f"The headers are longer than {most} bytes.")))
        else:
            self._refuse(problem(HTTPStatus.BAD_REQUEST, "bad-request", "This is no valid HTTP request."))

    def _head_too_slow(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(problem(HTTPStatus.REQUEST_TIMEOUT, "slow-head", "The headers did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, response: Response) -> None:
        """Answers without the application and closes the connection."""
        if self.cycle and not self.cycle.response_complete:  # the application is told that there is no one to answer
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*response.raw_headers, (b"connection", b"close"), (b"x-request-id", uuid.uuid4().hex.encode())]
            headers += [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            reason = STATUS_PHRASES[response.status_code]
            start = h11.Response(status_code=response.status_code, headers=headers, reason=reason)
            for event in (start, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._start("unsent", self._settings.head_timeout, self.transport.abort)
        self.transport.close()

    def _start(self, name: str, seconds: float, action: Any) -> None:
        self._stop(name)
        self._timers[name] = self.loop.call_later(seconds, action)

    def _stop(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
