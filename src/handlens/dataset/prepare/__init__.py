"""The stage `prepare`: photos at the size and in the form to train from."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from handlens.dataset.prepare.settings import PrepareSettings
    from handlens.dataset.prepare.stage import PrepareSummary, prepare
    from handlens.dataset.prepare.viewing import samples

__all__ = ["PrepareSettings", "PrepareSummary", "prepare", "samples"]

_HOMES: Final = {
    "PrepareSettings": "settings",
    "PrepareSummary": "stage",
    "prepare": "stage",
    "samples": "viewing",
}


def __getattr__(name: str) -> Any:
    # Fetched when first used (PEP 562): a worker process, or a bundle that needs the mask, loads no table reader.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
