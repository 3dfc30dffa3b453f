"""What is noted of the request in hand while it goes through the service; never a photo, a name or a form's value."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.types import Message

__all__ = ["RequestRecord", "current_record", "noting"]

_CURRENT: ContextVar[RequestRecord | None] = ContextVar("handlens_request", default=None)


def _costs_nothing(_photos: int) -> None:
    pass


@dataclass(slots=True)
class RequestRecord:
    """One request. Times are seconds.

    `client`: the address, or which key; `code`: that of the problem answered, if any; `queue` and `work`: the time
    that its photos waited, and were decoded and scored; `charge`: takes more photos from what the client may send;
    `receive`: reads on where the body ended, to see whether the client is still there.
    """

    request_id: str
    method: str
    client: str
    began: float = field(default_factory=time.perf_counter)
    code: str | None = None
    queue: float | None = None
    work: float | None = None
    charge: Callable[[int], None] = _costs_nothing
    receive: Callable[[], Awaitable[Message]] | None = None

    def worked(self, queue: float, work: float) -> None:
        """Adds the times of one photo."""
        self.queue = (self.queue or 0.0) + queue
        self.work = (self.work or 0.0) + work

    async def gone(self) -> None:
        """Returns once the client has gone away. Only for a request whose body was read."""
        assert self.receive is not None
        while (await self.receive())["type"] != "http.disconnect":
            pass


def current_record() -> RequestRecord | None:
    """The record of the request in hand; None outside of one."""
    return _CURRENT.get()


def noting(record: RequestRecord) -> None:
    """Makes `record` the one of the request in hand."""
    _CURRENT.set(record)
