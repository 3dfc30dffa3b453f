"""The first walk over the sources: which minerals every photo shows, repeats of an address brought together.

A photo that is listed again counts once. Where its rows carry different labels it shows several minerals, just as if
one row had named them all. What is kept in memory is 16 bytes a photo in a table of integers (some 80 with Python's own
overhead) and every distinct set of names once, so half a million rows take about 40 MB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tqdm import tqdm

from handlens.dataset.labels import LabelReader
from handlens.dataset.listing import BadRows, Entry, read_sources

__all__ = ["Scan", "UnknownName", "entries", "scan"]

_NEAR_FOR: Final = 100
"""Unknown names whose near matches are sought: each takes milliseconds, and a full list has thousands."""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that the knowledge base does not know: how many photos carry it, and known names near it.

    In a list, near names are sought for the hundred most frequent of its unknown names.
    """

    name: str
    rows: int
    near: tuple[str, ...]


@dataclass(slots=True)
class Scan:
    """What the first walk found. `read`: usable rows; `repeated`: of these, rows of an address listed before.

    `merged`: photos whose rows carry different labels; `refused`: rows that the caller's rule leaves out, by reason.
    """

    bad: BadRows = field(default_factory=BadRows)
    read: int = 0
    repeated: int = 0
    merged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    _photos: dict[int, int] = field(default_factory=dict)
    _names: list[tuple[str, ...]] = field(default_factory=list)
    _places: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, entry: Entry, names: tuple[str, ...]) -> bool:
        """Takes one row in; returns whether its address is new."""
        key = int(entry.id, 16)
        before = self._photos.get(key)
        if before is None:
            self._photos[key] = self._place(names)
            return True
        self.repeated += 1
        together = tuple(dict.fromkeys(self._names[before] + names))
        if together != self._names[before]:
            self.merged += 1
            self._photos[key] = self._place(together)
        return False

    def photos(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Every distinct set of names with its number of photos."""
        for place, count in Counter(self._photos.values()).items():
            yield self._names[place], count

    def take(self, entry: Entry) -> tuple[str, ...] | None:
        """The names of a photo at its first row in a second walk; None at a repeat. Each photo is given out once."""
        place = self._photos.pop(int(entry.id, 16), None)
        return None if place is None else self._names[place]

    def unknown_names(self, reader: LabelReader) -> tuple[UnknownName, ...]:
        """The names that the knowledge base does not know, the most frequent first."""
        ordered = sorted(self.unknown.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            UnknownName(name, rows, reader.near(name) if place < _NEAR_FOR else ())
            for place, (name, rows) in enumerate(ordered)
        )

    def _place(self, names: tuple[str, ...]) -> int:
        place = self._places.setdefault(names, len(self._names))
        if place == len(self._names):
            self._names.append(names)
        return place


def scan(
    sources: Sequence[Path],
    reader: LabelReader,
    *,
    refuses: Callable[[Entry], str | None] = lambda _: None,
    progress: bool = False,
) -> Scan:
    """Walks over all sources once. `refuses` gives the reason to leave a row out, or None. Raises BadListError."""
    found = Scan()
    for entry in entries(sources, found.bad, "reading", progress):
        found.read += 1
        if (reason := refuses(entry)) is not None:
            found.refused[reason] += 1
            continue
        named = reader.read(entry.title)
        if found.add(entry, named.names):
            found.unknown.update(named.unknown)
    return found


def entries(sources: Sequence[Path], bad: BadRows, doing: str, progress: bool) -> Iterator[Entry]:
    """The rows of all sources under a progress bar."""
    return iter(tqdm(read_sources(sources, bad), desc=doing, unit=" rows", disable=not progress, leave=False))
