"""Names as numbers, so that half a million of them fit in a few megabytes and are compared by NumPy."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["codes", "drawn_key", "united"]


def drawn_key(seed: int, name: str) -> int:
    """A 64-bit number that depends on seed and name alone: sorting by it shuffles, the same on every machine.

    The first 8 bytes of the sha256 of ``SEED NAME``. Two of a million names share one with a chance of 3 in 10^8.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest()[:8], "big")


def codes(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Keys (n,) numbered from 0 in their order; the key 0 says "none", and each of those gets a number of its own."""
    _, found = np.unique(keys, return_inverse=True)
    none = np.flatnonzero(keys == 0)
    found[none] = found.max(initial=-1) + 1 + np.arange(len(none))
    return found.astype(np.int64)


def united(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that share a code in any column, or are joined by a chain of such rows, as one: (n,) the first row of each.

    Each column (n,) holds codes from 0. Every round hands each row the smallest place known to those it shares a code
    with, and then that place's own (as in pointer jumping), so that long chains take few rounds.
    """
    first = np.arange(len(columns[0]))
    while True:
        before = first.copy()
        for column in columns:
            least = np.full(column.max(initial=-1) + 1, len(first))
            np.minimum.at(least, column, first)
            # Whoever is named as the first of someone hears of the smaller one, too.
            np.minimum.at(first, first, least[column])
            first = np.minimum(first, least[column])
        first = first[first]
        if np.array_equal(first, before):
            return first
