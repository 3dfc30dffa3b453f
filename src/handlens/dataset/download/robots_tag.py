"""X-Robots-Tag: what the headers of an answer forbid.

A value is a list of directives, parted by commas; an agent's name and a colon before a directive make it and those
after it a matter of that agent alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.settings import AGENT

__all__ = ["check_tags"]

_FORBIDS: Final = {
    "noai": "noai",
    "noimageai": "noai",
    "noindex": "noindex",
    "noimageindex": "noindex",
    "none": "noindex",
}
_WITH_VALUE: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives that have a colon themselves."""


def check_tags(values: Iterable[str]) -> None:
    """Raises NotFetched (`noai`, `noindex`) where one of the headers forbids to use the photo, `noai` first."""
    found = {_FORBIDS[word]: word for value in values for word in _directives(value) if word in _FORBIDS}
    for reason in ("noai", "noindex"):
        if reason in found:
            raise NotFetched(reason, f"X-Robots-Tag: {found[reason]}")


def _directives(value: str) -> Iterable[str]:
    """The directives of one header that are meant for everybody or for this program."""
    agent = "*"
    for part in value.lower().split(","):
        before, colon, after = part.partition(":")
        word = before.strip()
        if colon and word not in _WITH_VALUE:
            agent, word = word, after.strip()
        if agent in ("*", AGENT):
            yield word
