"""Saying which extra a command needs, in place of a traceback."""

from __future__ import annotations

import importlib.util

from handlens.errors import MissingExtraError

__all__ = ["need"]


def need(extra: str, *modules: str) -> None:
    """Raises MissingExtraError unless every module of `extra` can be imported."""
    if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
        raise MissingExtraError(f"{missing[0]} is not installed: pip install 'handlens[{extra}]'")
