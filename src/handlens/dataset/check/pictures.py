"""The rows of a run as arrays: which show the same picture, and under which labels."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.inspect import Inspection
from handlens.dataset.check.looks import Looks
from handlens.dataset.manifest import Row

__all__ = ["Listing", "Pictures", "adjacent", "content_key"]

Numbers = NDArray[np.int64]


def content_key(row: Row) -> str:
    """What names the content of a row's file: its sha256, which every downloaded file has, else the row's id."""
    return row.sha256 or row.id


class Listing:
    """Labels and given groups of the rows of a run, in order; 16 bytes of memory a row."""

    def __init__(self) -> None:
        self._labels = array("q")
        self._numbers: dict[str, int] = {}
        self._given = array("Q")

    def add(self, row: Row) -> tuple[str, str, str]:
        """Takes the next row in; returns what the journal lists of it."""
        self._labels.append(self._numbers.setdefault(row.label, len(self._numbers)))
        self._given.append(_digest(row.given_group) if row.given_group else 0)
        return row.id, content_key(row), row.file or ""

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def labels(self) -> Numbers:
        """Number of each row's label in `names`."""
        return np.array(self._labels, np.int64)

    @property
    def names(self) -> list[str]:
        """The labels in the order of their first rows."""
        return list(self._numbers)

    @property
    def given_groups(self) -> NDArray[np.uint64]:
        """Of each row, 64 bits that stand for its given group, 0 where it has none."""
        return np.array(self._given, np.uint64)


def _digest(name: str) -> int:
    data = name.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1


@dataclass(frozen=True, eq=False, slots=True)
class Pictures:
    """Rows and the pictures they show; a picture is one `pixel_hash`, or one content where a photo cannot be read.

    `of_row`: the picture of each row, numbered in the order of their first rows. `first_row`: of each picture.
    `seen`: the pictures that have looks, sorted.
    """

    of_row: Numbers
    first_row: Numbers
    seen: Numbers

    @classmethod
    def of(cls, inspections: Iterable[Inspection]) -> tuple[Pictures, Looks]:
        """The pictures of the rows of a run, in their order, and the looks of those seen; 64 + 32 bytes a row."""
        keys, looks, has_looks = array("Q"), bytearray(), bytearray()
        for found in inspections:
            # 64 bits of a sha256: two different pictures of a million have the same with probability 3e-8.
            keys.append(int((found.pixel_hash or found.sha256)[:16], 16))
            has_looks.append(found.looks is not None)
            looks += found.looks or b""
        _, first, inverse = np.unique(np.frombuffer(keys, np.uint64), return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        first_row = first[order].astype(np.int64)
        looked = np.frombuffer(has_looks, np.bool_)
        seen = np.flatnonzero(looked[first_row]).astype(np.int64)
        which = (np.cumsum(looked) - 1)[first_row[seen]]
        return cls(place[inverse].astype(np.int64), first_row, seen), Looks.from_bytes(looks, which)

    def __len__(self) -> int:
        return len(self.first_row)


def adjacent(pairs: NDArray[np.int64]) -> dict[int, Sequence[int]]:
    """The neighbours of every number that is in a pair."""
    found: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return dict(found)
