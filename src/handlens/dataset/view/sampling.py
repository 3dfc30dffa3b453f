"""Random samples of a stream that do not depend on its order or on what else is in it."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from typing import Any

from handlens.dataset.manifest import Row

__all__ = ["Picked", "Sample"]


@dataclass(frozen=True, slots=True)
class Picked:
    """What the report shows of a row: a fraction of its memory."""

    id: str
    label: str
    status: str
    reason: str | None
    split: str | None
    file: str | None
    path: str | None
    width: int | None
    height: int | None
    author: str | None
    licence: str | None
    duplicate_of: str | None
    conflicts: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Picked:
        """The row's own values."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})


class Sample:
    """At most `size` rows, a fair draw from all that were offered: those whose hashed ids are the least."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = str(seed).encode()[:64]
        self._heap: list[tuple[int, str, Picked]] = []

    def offer(self, row: Row) -> None:
        """Takes the row, or lets it go."""
        rank = -int.from_bytes(hashlib.blake2b(_bytes(row.id), digest_size=8, key=self._key).digest(), "big")
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (rank, row.id, Picked.of(row)))
        elif self._size and (rank, row.id) > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (rank, row.id, Picked.of(row)))

    def rows(self) -> list[Picked]:
        """The rows that were drawn, in random order, the same every time."""
        return [picked for _, _, picked in sorted(self._heap, key=_rank)]


def _rank(entry: tuple[int, str, Any]) -> tuple[int, str]:
    return -entry[0], entry[1]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
