"""Ranked search among spellings: for what a person has begun to type, or typed wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ranked"]

_LIKE: Final = 0.7
"""The least likeness of a misspelt name, a ratio of difflib: matching letters x 2 / letters of both."""
_WORSE: Final = 0.1
"""How much less alike than the best one a name may be."""
_MOST_LIKE: Final = 20
_SHORTEST_INSIDE: Final = 3
"""Letters that can be looked for inside a word; fewer are in nearly every name."""


def ranked(typed: str, spellings: Mapping[str, str]) -> tuple[str, ...]:
    """The names that the key `typed` may mean, best first, none twice.

    `spellings`: from the keys of all spellings (`names.key`) to names. First come those that begin so, then those of
    which every word typed begins a word, then those that hold it anywhere, shorter ones first. Only where there is
    none of these, those that are spelt alike, by likeness.
    """
    if not typed:
        return ()
    words = typed.split()
    inside = typed if len(typed) >= _SHORTEST_INSIDE else None
    found: list[tuple[int, int, str]] = []
    for spelling in spellings:
        if spelling.startswith(typed):
            tier = 0
        elif all(any(one.startswith(word) for one in spelling.split()) for word in words):
            tier = 1
        elif inside and inside in spelling:
            tier = 2
        else:
            continue
        found.append((tier, len(spelling), spelling))
    order = [spelling for _, _, spelling in sorted(found)] or _alike(typed, spellings)
    return tuple(dict.fromkeys(spellings[spelling] for spelling in order))


def _alike(typed: str, spellings: Mapping[str, str]) -> list[str]:
    from difflib import SequenceMatcher, get_close_matches  # a name spelt right never needs them

    close = get_close_matches(typed, spellings, n=_MOST_LIKE, cutoff=_LIKE)
    likeness = {spelling: SequenceMatcher(None, spelling, typed).ratio() for spelling in close}
    return [spelling for spelling in close if likeness[spelling] >= likeness[close[0]] - _WORSE]
