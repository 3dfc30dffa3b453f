"""Many photos: a run that survives what happens to it (extra `batch`).

`run_batch` is the function; `handlens batch` is thin above it. `journal` describes the files on disk.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from handlens.batch.run import BatchSettings, run_batch
    from handlens.batch.units import Asked

__all__ = ["Asked", "BatchSettings", "run_batch"]

_HOMES: Final = {"Asked": "units", "BatchSettings": "run", "run_batch": "run"}


def __getattr__(name: str) -> Any:
    # With its first use: worker processes import this package too, and need no tables and no pages.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
