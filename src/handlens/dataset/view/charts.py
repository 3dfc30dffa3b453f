"""Histograms: counted in one pass over fixed edges, drawn as bars of an SVG."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "Histogram", "Tick"]

WIDTH: Final = 320
HEIGHT: Final = 96
"""Of the plot in the units of its SVG; labels of the axis stand below."""

_GAP: Final = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in SVG units, what it says when pointed at, and a fill where it has a colour of its own."""

    x: float
    y: float
    width: float
    height: float
    text: str
    fill: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the axis; `anchor` is where of the text `x` is: start, middle or end."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A histogram ready to be drawn."""

    title: str
    summary: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


class Histogram:
    """Counts of values between `edges` (ascending); what lies outside counts in the first or the last bin.

    `names` says what the edges are called, `ticks` which of them are written below the bars, `fills` the colours of the
    bins where they have colours.
    """

    def __init__(
        self, title: str, edges: Sequence[float], names: Sequence[str], ticks: Sequence[int], fills: Sequence[str] = ()
    ) -> None:
        self.title = title
        self._edges, self._names, self._ticks, self._fills = tuple(edges), tuple(names), tuple(ticks), tuple(fills)
        self.counts = [0] * (len(edges) - 1)
        self.total = 0

    @classmethod
    def of_shares(cls, title: str) -> Histogram:
        """For values from 0 to 1: twenty bins."""
        edges = [step / 20 for step in range(21)]
        return cls(title, edges, [f"{edge:.2f}" for edge in edges], [0, 10, 20])

    def add(self, value: float | None) -> None:
        """Counts a value; None and what is no number are left out."""
        if value is None or value != value:
            return
        place = bisect_right(self._edges, value) - 1
        if place < 0:
            place = 0
        elif place >= len(self.counts):
            place = len(self.counts) - 1
        self.counts[place] += 1
        self.total += 1

    def chart(self) -> Chart | None:
        """The bars; None where nothing was counted."""
        if not self.total:
            return None
        most, step = max(self.counts), WIDTH / len(self.counts)
        bars = []
        for place, count in enumerate(self.counts):
            # One photo among half a million has to be seen, too.
            height = max(HEIGHT * count / most, 1.5) if count else 0.0
            text = f"{self._names[place]} to {self._names[place + 1]}: {count:,}"
            y, fill = round(HEIGHT - height, 2), self._fills[place] if self._fills else None
            bars.append(Bar(round(place * step, 2), y, round(step - _GAP, 2), round(height, 2), text, fill))
        last = len(self.counts)
        ticks = tuple(
            Tick(round(place * step, 2), self._names[place], {0: "start", last: "end"}.get(place, "middle"))
            for place in self._ticks
        )
        fullest = self.counts.index(most)
        summary = f"{self.total:,} photos; most ({most:,}) from {self._names[fullest]} to {self._names[fullest + 1]}"
        return Chart(self.title, summary, tuple(bars), ticks)
