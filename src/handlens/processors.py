"""How many processors there are to work with."""

from __future__ import annotations

import os

__all__ = ["processors"]


def processors() -> int:
    """The processors this process may use; more threads or processes than that only wait for each other."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)
