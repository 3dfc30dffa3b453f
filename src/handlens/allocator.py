"""How the C library of Linux keeps the memory that is freed."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["keep_bodies", "keep_one_arena"]

_M_TRIM_THRESHOLD: Final = -1  # of <malloc.h>, as the other two
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE: Final = 32 << 20  # bytes; the most that glibc takes
_MUCH: Final = 64 << 20


def keep_one_arena() -> bool:
    """Has all threads share one heap from now on, where the C library is glibc: whether it is done.

    By default every thread has a heap of its own and keeps what is freed there, so that the photo being decoded cannot
    have what making the network beside it left over: about 20 MB with a 48-megapixel JPEG. For programs of few threads;
    more would wait for one another. Other C libraries and systems have no such call.
    """
    return _set(_M_ARENA_MAX, 1)


def keep_bodies() -> bool:
    """Has what is freed in blocks of up to 32 MiB stay with this process, up to 64 MiB of it, where the C library is
    glibc: whether it is done.

    By default the system takes a body of some megabytes back as soon as it is freed, and clears the same memory for the
    next one, several times a request. For programs that go on.
    """
    return _set(_M_MMAP_THRESHOLD, _LARGE) and _set(_M_TRIM_THRESHOLD, _MUCH)


def _set(parameter: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(parameter, value) == 1
