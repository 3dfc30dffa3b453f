"""The one Identifier that all requests share: off the event loop, few photos at a time, with a bounded queue.

A photo that is being worked on cannot be stopped. Its place is therefore free when its thread is done, not when its
request has been answered: a request that has timed out or whose client is gone leaves the queue, but never lets more
photos be worked on than there are places.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import anyio.to_thread
import numpy as np
from PIL import Image
from starlette.requests import ClientDisconnect

from handlens.identifier import ORIGIN_TEN, Identifier
from handlens.service.problems import OverloadedError, RequestTimeoutError
from handlens.service.record import current_record

__all__ = ["Inference"]

_T = TypeVar("_T")


class Inference:
    """An Identifier with places for the photos that are worked on and a queue for those that wait."""

    def __init__(self, identifier: Identifier, places: int, queue: int = 32, timeout: float = 60) -> None:
        """`places`: photos that are worked on at the same time; `queue`: those that may wait; `timeout`: seconds."""
        self.identifier = identifier
        self._places = places
        self._most = places + queue
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(max_workers=places, thread_name_prefix="handlens-photo")
        self._lock = threading.Lock()
        self._in_hand = 0
        self._check: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Photos in the queue."""
        return max(0, self._in_hand - self._places)

    @property
    def working(self) -> int:
        """Photos that are worked on."""
        return min(self._in_hand, self._places)

    @property
    def is_full(self) -> bool:
        """Whether another photo would be refused."""
        return self._in_hand >= self._most

    async def run(self, work: Callable[[], _T], *, admitted: bool = False) -> _T:
        """Does `work`, which takes a photo's time, on another thread; waits while others are at it.

        `admitted`: it belongs to a request that was let in, so it waits even where the queue is full. Raises
        OverloadedError where the queue is full, RequestTimeoutError, ClientDisconnect, and what `work` raises.
        """
        record = current_record()
        submitted = time.perf_counter()

        def timed() -> _T:
            began = time.perf_counter()
            try:
                return work()
            finally:
                if record:
                    record.worked(began - submitted, time.perf_counter() - began)

        with self._lock:
            if self.is_full and not admitted:
                raise OverloadedError()
            self._in_hand += 1
        future = self._pool.submit(timed)
        future.add_done_callback(self._one_done)
        answer = asyncio.wrap_future(future)
        waited: set[asyncio.Future[Any]] = {answer}
        gone = asyncio.ensure_future(record.gone()) if record and record.receive else None
        if gone:
            waited.add(gone)
        try:
            await asyncio.wait(waited, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone and gone.done():
                gone.result()
                raise ClientDisconnect()
            raise RequestTimeoutError(f"The photo was not done within {self._timeout:g} seconds.")
        finally:
            _let_go(answer)  # takes it out of the queue if it has not begun
            if gone:
                _let_go(gone)

    def _one_done(self, _future: Future[Any]) -> None:
        with self._lock:
            self._in_hand -= 1

    async def run_quick(self, work: Callable[[], _T]) -> _T:
        """Does `work`, which takes milliseconds, on another thread; waits for no photo."""
        return await anyio.to_thread.run_sync(work)

    @cached_property
    def has_origin_ten(self) -> bool:
        """Whether the bundle's labels include the ten of the original contract."""
        return set(ORIGIN_TEN) <= set(self.identifier.bundle.labels)

    async def check(self) -> None:
        """Identifies a small drawn picture; raises whatever goes wrong, ValueError for numbers that are none.

        Those who ask while it is done wait for the same one, so that no number of them takes more than one place.
        """
        if self._check is None or self._check.done():
            # Not in the context of who happens to ask first: that client may go away.
            self._check = asyncio.get_running_loop().create_task(
                self.run(self._identify_drawn), context=contextvars.Context()
            )
        await asyncio.shield(self._check)

    def _identify_drawn(self) -> None:
        answer = self.identifier.identify(self._picture, top=1)
        if not math.isfinite(answer.candidates[0].probability):
            raise ValueError("the network gives no finite numbers")

    @cached_property
    def _picture(self) -> bytes:
        y, x = np.mgrid[0:64, 0:64]
        rgb = np.stack([4 * x, 4 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(rgb).save(out, "PNG")  # a file, so that decoding is part of the check
        return out.getvalue()


def _let_go(future: asyncio.Future[Any]) -> None:
    """Cancels it; an error of one that is done is taken note of, as asyncio would print it otherwise."""
    if not future.cancel() and not future.cancelled():
        future.exception()
