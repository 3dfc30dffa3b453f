"""How the C library of Linux keeps the memory that is freed."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["keep_one_arena"]

_M_ARENA_MAX: Final = -8  # of <malloc.h>


def keep_one_arena() -> bool:
    """Has all threads share one heap from now on, where the C library is glibc: whether it is done.

    By default every thread has a heap of its own and keeps what is freed there, so that the photo being decoded cannot
    have what making the network beside it left over: about 20 MB with a 48-megapixel JPEG. For programs of few threads;
    more would wait for one another. Other C libraries and systems have no such call.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
