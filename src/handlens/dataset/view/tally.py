"""What the report counts, in one pass over the rows and in memory that does not grow with them."""

from __future__ import annotations

import colorsys
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeVar

from handlens.dataset.manifest import Row
from handlens.dataset.view.charts import Chart, Histogram
from handlens.dataset.view.sampling import Sample
from handlens.dataset.view.settings import ViewSettings

__all__ = ["FATES", "OTHER", "LabelTally", "Measures", "Tally", "fate_of"]

FATES: Final = ("in", "unused", "duplicate", "odd", "missing")
"""What became of a row: in the data set so far, cut by balancing, the same picture as another, set aside, never got."""

_FATE: Final = {
    "unused": "unused",
    "duplicate": "duplicate",
    "odd": "odd",
    "unprepared": "odd",
    "refused": "missing",
    "failed": "missing",
}
OTHER: Final = "(others)"
_MOST_KEYS: Final = 20_000
"""Different labels, reasons, licences or pairs of labels counted apart; a foreign table may have any number."""


_MOST_REASONS_SHOWN: Final = 100

_Key = TypeVar("_Key")


@dataclass(slots=True)
class LabelTally:
    """Counts of one label: rows by fate, rows in the data set by split, and the sum of their mean colours."""

    fates: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0
    coloured: int = 0

    @property
    def rows(self) -> int:
        """All rows of the label."""
        return self.fates.total()

    @property
    def colour(self) -> str | None:
        """The mean colour as "#rrggbb", None where it is not known."""
        if not self.coloured:
            return None
        return hex_colour(self.red / self.coloured, self.green / self.coloured, self.blue / self.coloured)


class Measures:
    """Distributions of what photos measure."""

    def __init__(self) -> None:
        sides = (0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
        names = [f"{side:,}" for side in sides]
        self.side = Histogram("Longest side, pixels", sides, names, [0, 3, 5, 7, 9])
        steps = [2 ** (step / 4) for step in range(-8, 9)]
        ratios = [f"{step:.2f}" for step in steps]
        for place, name in ((0, "1:4 tall"), (4, "1:2"), (8, "1:1"), (12, "2:1"), (16, "4:1 wide")):
            ratios[place] = name
        self.aspect = Histogram("Aspect, width to height", steps, ratios, [0, 4, 8, 12, 16])
        sizes = [1000 * 2**step for step in range(16)]
        size_names = [f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1e6:.0f} MB" for size in sizes]
        self.size = Histogram("Size of the file", sizes, size_names, [0, 5, 10, 15])
        hues = [step / 24 for step in range(25)]
        fills = [_hsl((step + 0.5) / 24) for step in range(24)]
        self.hue = Histogram(
            "Hue of the mean colour", hues, [f"{360 * hue:.0f}°" for hue in hues], [0, 8, 16, 24], fills
        )
        self.grey = 0
        """Photos whose mean colour is too grey to have a hue."""
        self.sharpness = Histogram.of_shares("Sharpness, 0 blurred to 1 sharp")
        self.brightness = Histogram.of_shares("Brightness, 0 black to 1 white")
        self.contrast = Histogram.of_shares("Contrast, 0 one colour to 1")
        self.text = Histogram.of_shares("Text, 0 a picture to 1 a card with text")
        self.formats: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Counts what is known of a row."""
        if row.width and row.height:
            self.side.add(max(row.width, row.height))
            self.aspect.add(row.width / row.height)
        if row.format is not None:
            count(self.formats, row.format, OTHER)
        self.size.add(row.bytes)
        self.sharpness.add(row.sharpness)
        self.brightness.add(row.brightness)
        self.contrast.add(row.contrast)
        self.text.add(row.text)
        if len(row.colour) == 3:
            hue, _, saturation = colorsys.rgb_to_hls(*row.colour)
            if saturation < 0.08:
                self.grey += 1
            else:
                self.hue.add(hue)

    def charts(self) -> tuple[Chart, ...]:
        """The distributions that anything was counted in."""
        all_of_them = (
            self.side,
            self.aspect,
            self.size,
            self.hue,
            self.sharpness,
            self.brightness,
            self.contrast,
            self.text,
        )
        return tuple(chart for chart in (histogram.chart() for histogram in all_of_them) if chart)


class Tally:
    """Counts and samples of a table; `add` every row once."""

    def __init__(self, settings: ViewSettings) -> None:
        self._settings = settings
        self.rows = 0
        self.labels: dict[str, LabelTally] = {}
        self.statuses: Counter[tuple[str, str]] = Counter()
        self.splits: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.licences: Counter[tuple[str, str]] = Counter()
        self.without_author = 0
        self.conflicts: Counter[tuple[str, str]] = Counter()
        self.conflicting = 0
        self.measures = Measures()
        self.measured = 0
        self.set_aside: dict[str, Sample] = {}
        self.set_aside_rows: Counter[str] = Counter()
        self.duplicates = Sample(settings.examples, settings.seed)
        self.conflict_rows = Sample(settings.examples, settings.seed)
        self.unmeasured = Sample(settings.measured, settings.seed)

    def add(self, row: Row) -> None:
        """Counts a row and offers it to the samples that it may be in."""
        self.rows += 1
        fate = fate_of(row.status)
        name = row.label if row.label in self.labels or len(self.labels) < _MOST_KEYS else OTHER
        label = self.labels.get(name)
        if label is None:
            label = self.labels[name] = LabelTally()
        label.fates[fate] += 1
        count(self.statuses, (row.status, row.reason or ""), (row.status, OTHER))
        has_photo = row.file is not None or row.path is not None
        if fate == "in":
            self._add_kept(row, label)
        self._add_findings(row, fate, has_photo)
        if row.width is not None:
            self.measured += 1
            self.measures.add(row)
        elif has_photo:
            self.unmeasured.offer(row)

    def _add_kept(self, row: Row, label: LabelTally) -> None:
        if row.split is not None:
            count(self.splits, row.split, OTHER)
            count(label.splits, row.split, OTHER)
        if len(row.colour) == 3:
            self.add_colour(label, row.colour)
        count(self.licences, (row.licence or "", row.licence_url or ""), (OTHER, ""))
        self.without_author += row.author is None

    def add_colour(self, label: LabelTally, colour: tuple[float, ...]) -> None:
        """Adds a photo's mean colour (red, green, blue, 0 to 1) to its label's."""
        label.red += colour[0]
        label.green += colour[1]
        label.blue += colour[2]
        label.coloured += 1

    def _add_findings(self, row: Row, fate: str, has_photo: bool) -> None:
        for flag in row.flags:
            count(self.flags, flag, OTHER)
        if fate == "odd":
            reason = row.reason or row.status
            count(self.set_aside_rows, reason, OTHER)
            if has_photo and (reason in self.set_aside or len(self.set_aside) < _MOST_REASONS_SHOWN):
                sample = self.set_aside.setdefault(reason, Sample(self._settings.examples, self._settings.seed))
                sample.offer(row)
        if row.duplicate_of is not None:
            self.duplicates.offer(row)
        if row.conflicts:
            self.conflicting += 1
            for other in row.conflicts:
                count(self.conflicts, (min(row.label, other), max(row.label, other)), (OTHER, OTHER))
            if has_photo:
                self.conflict_rows.offer(row)


def fate_of(status: str) -> str:
    """Which of FATES a status is."""
    return _FATE.get(status, "in")


def count(counter: Counter[_Key], key: _Key, other: _Key) -> None:
    """Counts `key`, or `other` where too many different keys have been counted already."""
    counter[key if key in counter or len(counter) < _MOST_KEYS else other] += 1


def hex_colour(red: float, green: float, blue: float) -> str:
    """A colour with parts from 0 to 1 as "#rrggbb"."""
    parts = (round(255 * min(max(part, 0.0), 1.0)) for part in (red, green, blue))
    return "#" + "".join(f"{part:02x}" for part in parts)


def _hsl(hue: float) -> str:
    return hex_colour(*colorsys.hls_to_rgb(hue, 0.52, 0.5))
