"""How many photos each label of a list has, and how many labels have at least so many: table, CSV and plot."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.dataset.errors import BadListError
from handlens.dataset.files import atomic_file, write_atomically
from handlens.dataset.labels import LabelReader
from handlens.dataset.listing import BadRow
from handlens.dataset.scan import UnknownName, scan
from handlens.errors import UsageError

__all__ = ["LADDER", "LabelCount", "LabelCounts", "Rung", "count_labels", "plot_counts", "write_counts"]

LADDER: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
"""The numbers of photos that the table of labels with at least so many goes through."""

_PLOTS: Final = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class LabelCount:
    """One label: `rows` photos show it alone, `shared` show it with other minerals."""

    label: str
    rows: int
    shared: int
    known: bool


@dataclass(frozen=True, slots=True)
class Rung:
    """`labels` labels have at least `at_least` photos each, `rows` together."""

    at_least: int
    labels: int
    rows: int


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The labels of a list, the one with most photos first, and what became of the list's rows.

    `photos`: different addresses; `repeated`: further rows of those; `merged`: rows among them that add a label, which
    makes a photo one of several minerals; `several`: photos of several minerals; `nameless`: photos whose title names
    nothing; `bad`: rows that cannot be used, the first of them in `bad_rows`; `unknown`: names that the knowledge base
    does not know, the most frequent first.
    """

    labels: tuple[LabelCount, ...]
    photos: int
    repeated: int
    merged: int
    several: int
    nameless: int
    bad: int
    bad_rows: tuple[BadRow, ...]
    unknown: tuple[UnknownName, ...]

    def at_least(self, number: int) -> Rung:
        """The labels with `number` photos or more that show them alone. Raises UsageError for less than 1."""
        if number < 1:
            raise UsageError(f"{number}: a label has at least 1 photo")
        rows = [label.rows for label in self.labels if label.rows >= number]
        return Rung(number, len(rows), sum(rows))

    def curve(self) -> tuple[tuple[int, int], ...]:
        """Where the number of labels with at least x photos falls: the last x of each number, and the number."""
        sizes = sorted((label.rows for label in self.labels if label.rows), reverse=True)
        return tuple(sorted({size: place for place, size in enumerate(sizes, start=1)}.items()))

    def ladder(self, asked: Iterable[int] = ()) -> tuple[Rung, ...]:
        """The table: every step of `LADDER` up to the largest label, and the numbers asked for."""
        most = max((label.rows for label in self.labels), default=0)
        return tuple(map(self.at_least, sorted({step for step in LADDER if step <= most} | set(asked))))


def count_labels(sources: Sequence[Path], *, reader: LabelReader | None = None, progress: bool = False) -> LabelCounts:
    """Counts the labels of lists and class folders, streamed, each address once. Raises BadListError."""
    reader = reader or LabelReader()
    found = scan(sources, reader, progress=progress)
    rows: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    photos = several = nameless = 0
    for names, count in found.photos():
        photos += count
        if not names:
            nameless += count
        elif len(names) == 1:
            rows[names[0]] += count
        else:
            several += count
            for name in names:
                shared[name] += count
    labels = [LabelCount(name, rows[name], shared[name], name in reader.minerals) for name in rows | shared]
    return LabelCounts(
        labels=tuple(sorted(labels, key=lambda label: (-label.rows, -label.shared, label.label))),
        photos=photos,
        repeated=found.repeated,
        merged=found.merged,
        several=several,
        nameless=nameless,
        bad=found.bad.count,
        bad_rows=tuple(found.bad.examples),
        unknown=found.unknown_names(reader),
    )


def write_counts(counts: LabelCounts, path: Path) -> None:
    """Writes the labels as CSV: label, photos that show it alone, photos shared, known. Raises BadListError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("label", "photos", "shared", "known"))
    for label in counts.labels:
        writer.writerow((label.label, label.rows, label.shared, "yes" if label.known else "no"))
    try:
        write_atomically(path, text.getvalue())
    except OSError as error:
        raise BadListError(f"{path}: cannot be written: {error.strerror or error}") from error


def plot_counts(counts: LabelCounts, path: Path, asked: Iterable[int] = ()) -> None:
    """Draws how many labels have at least x photos, as .svg or .png; `asked` numbers are marked.

    Raises UsageError for another extension or a list without labels, BadListError where it cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in _PLOTS:
        raise UsageError(f"{path}: the plot is written as {' or '.join(_PLOTS)}")
    curve = counts.curve()
    if not curve:
        raise UsageError("there is nothing to plot: no photo shows one mineral alone")
    # matplotlib takes half a second to import, and a Figure of its own leaves no global state behind.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    photos, labels = zip((1, curve[0][1]), *curve, (curve[-1][0], 0), strict=True)
    axes.step(photos, labels, where="pre", color="#2b5f75")
    for number in asked:
        many = counts.at_least(number).labels
        axes.axvline(number, color="#b5482f", linewidth=0.8, linestyle="--")
        axes.annotate(f"{many} with {number:,}", (number, many), xytext=(4, 4), textcoords="offset points")
    axes.set(xscale="log", xlabel="at least x photos", ylabel="labels", title="Labels with at least x photos")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(alpha=0.3)
    try:
        with atomic_file(path) as file, mpl.rc_context({"svg.hashsalt": "handlens"}):
            figure.savefig(file, format=kind[1:], dpi=120, metadata={"Date": None} if kind == ".svg" else None)
    except OSError as error:
        raise BadListError(f"{path}: cannot be written: {error.strerror or error}") from error
