"""The one Identifier that all requests share, used off the event loop and by few requests at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import anyio
import anyio.to_thread
import numpy as np
from PIL import Image

from handlens.identifier import ORIGIN_TEN, Identifier

__all__ = ["Inference"]

_T = TypeVar("_T")


class Inference:
    """An Identifier with a limit on how many photos are worked on at the same time."""

    def __init__(self, identifier: Identifier, max_concurrent: int) -> None:
        self.identifier = identifier
        self._limiter = anyio.CapacityLimiter(max_concurrent)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Does `work`, which takes a photo's time, on another thread; waits while others are at it."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def run_quick(self, work: Callable[[], _T]) -> _T:
        """Does `work`, which takes milliseconds, on another thread; waits for no photo."""
        return await anyio.to_thread.run_sync(work)

    @cached_property
    def has_origin_ten(self) -> bool:
        """Whether the bundle's labels include the ten of the original contract."""
        return set(ORIGIN_TEN) <= set(self.identifier.bundle.labels)

    def check(self) -> None:
        """Identifies a small drawn picture; raises whatever goes wrong, ValueError for numbers that are none."""
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
