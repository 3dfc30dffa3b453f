"""What the stages of `handlens dataset` did, in lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from pathlib import Path
from typing import Final

from handlens.dataset.balance import BalanceSummary
from handlens.dataset.check import CheckSummary, Conflict
from handlens.dataset.commons import CommonsSummary
from handlens.dataset.counts import LabelCounts
from handlens.dataset.download import DownloadSummary, Plan, failure_table
from handlens.dataset.export import ExportSummary
from handlens.dataset.filter import FilterSummary
from handlens.dataset.finish import FinishSummary
from handlens.dataset.listing import BadRow
from handlens.dataset.prepare import PrepareSummary
from handlens.dataset.scan import UnknownName
from handlens.dataset.split import SplitSummary

__all__ = ["conflict_lines", "counts_lines", "lines"]

_MOST: Final = 20
"""Lines of a listing before the rest is counted only."""


@singledispatch
def lines(summary: object) -> Iterator[str]:
    """A summary in words, a line at a time."""
    raise TypeError(f"no words for {type(summary).__name__}")


@lines.register
def _(summary: Path) -> Iterator[str]:
    yield str(summary)


@lines.register
def _(summary: Plan) -> Iterator[str]:
    yield from summary.lines()


def counts_lines(counts: LabelCounts, asked: Iterable[int]) -> Iterator[str]:
    """The labels of a list: its counts, the table of labels with at least so many photos, and the names unknown."""
    yield f"{counts.photos:,} photos, {len(counts.labels):,} labels"
    told = {
        "show several minerals": counts.several,
        "name no mineral": counts.nameless,
        "rows repeat an address": counts.repeated,
        "rows cannot be used": counts.bad,
    }
    yield from (f"  {count:,} {what}" for what, count in told.items() if count)
    yield f"{'at least':>9}  {'labels':>7}  {'photos':>9}"
    yield from (f"{rung.at_least:>9,}  {rung.labels:>7,}  {rung.rows:>9,}" for rung in counts.ladder(asked))
    yield f"{'photos':>9}  label"
    for label in counts.labels[:_MOST]:
        note = "" if label.known else "  (not in the knowledge base)"
        yield f"{label.rows:>9,}  {label.label}{note}"
    yield from _more(len(counts.labels))
    yield from _unknown(counts.unknown)
    yield from _bad_rows(counts.bad_rows)


@lines.register
def _(summary: FilterSummary) -> Iterator[str]:
    done = " (done before)" if summary.done_before else ""
    yield f"{summary.kept:,} photos of {len(summary.labels):,} labels selected{done}"
    yield from (f"  {count:,} left out: {reason}" for reason, count in summary.left_out)
    yield from (f"{count:>9,}  {label}" for label, count in summary.labels[:_MOST])
    yield from _more(len(summary.labels))
    if summary.absent:
        yield f"no photo of: {', '.join(summary.absent)}"
    for asked in summary.unknown_selected:
        yield f"not in the knowledge base: {asked.name}{_near(asked)}"
    yield from _unknown(summary.unknown)
    yield from _bad_rows(summary.bad_rows)


@lines.register
def _(summary: CommonsSummary) -> Iterator[str]:
    yield f"{summary.photos:,} photos in {summary.out} after {summary.requests:,} requests"
    for label in summary.labels:
        yield f"{label.photos:>9,}  {label.label}" + ("" if label.categories else "  (no category of this name)")
    yield f"what was left out and why: {summary.left_out}"


@lines.register
def _(summary: DownloadSummary) -> Iterator[str]:
    yield _counted(summary.by_status)
    if summary.photos:
        rate = f", {summary.photos / summary.seconds:,.1f} a second" if summary.seconds else ""
        yield f"{summary.photos:,} photos, {summary.bytes / 1e6:,.1f} MB in this run{rate}"
    if table := failure_table(summary):
        yield from table.splitlines()
    if summary.interrupted:
        yield "interrupted: the same command goes on"
    elif summary.later:
        yield f"{summary.later:,} may come yet: the same command asks for them again"


@lines.register
def _(summary: CheckSummary) -> Iterator[str]:
    yield f"{summary.photos:,} photos: {summary.checked:,} stay, {summary.duplicates:,} are duplicates"
    yield from (f"  {count:,} set aside: {reason}" for reason, count in summary.odd.items())
    flagged = {flag: count for flag, count in summary.flagged.items() if flag not in summary.odd}
    yield from (f"  {count:,} flagged: {flag}" for flag, count in flagged.items())
    if summary.conflicts:
        yield f"  {summary.conflicts:,} show the same picture as a photo of another label"
    yield f"{summary.groups:,} groups of two photos or more, the largest of {summary.largest_group:,}"


def conflict_lines(conflicts: tuple[Conflict, ...]) -> Iterator[str]:
    """Pictures that carry several labels, each with its files."""
    for conflict in conflicts[:_MOST]:
        told = zip(conflict.files, conflict.labels, strict=True)
        yield "the same picture: " + ", ".join(f"{label} ({file})" for file, label in told)
    yield from _more(len(conflicts))


@lines.register
def _(summary: BalanceSummary) -> Iterator[str]:
    yield f"{summary.kept:,} photos of {summary.labels:,} labels kept"
    if summary.full:
        yield f"  {summary.full:,} cut: their label is full"
    if summary.thin:
        yield f"  {summary.thin:,} cut: too few of {', '.join(summary.thin_labels)}"


@lines.register
def _(summary: SplitSummary) -> Iterator[str]:
    yield f"train {summary.train:,}, validation {summary.validation:,}, test {summary.test:,}"
    yield f"{summary.labels:,} labels, {summary.groups:,} groups; no group, file or picture stands in two parts"
    if summary.incomplete:
        yield f"too few groups for every part: {', '.join(summary.incomplete)}"


@lines.register
def _(summary: PrepareSummary) -> Iterator[str]:
    yield f"{summary.prepared:,} photos prepared, {summary.made:,} of them now"
    yield from (f"  {count:,} could not be: {reason}" for reason, count in summary.unprepared.items())
    if summary.removed:
        yield f"  {summary.removed:,} files of earlier settings removed"


@lines.register
def _(summary: FinishSummary) -> Iterator[str]:
    yield f"{summary.manifest}, {summary.croissant.name}, {summary.credits.csv.name}, {summary.credits.html.name}"
    yield f"{summary.credits.photos:,} photos, {summary.credits.without_licence:,} of them without a known licence"
    yield f"{summary.samples:,} samples for viewing"


@lines.register
def _(summary: ExportSummary) -> Iterator[str]:
    missing = f", {summary.missing:,} had no photo" if summary.missing else ""
    yield f"{summary.photos:,} photos in {summary.folder}{missing}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{status} {count:,}" for status, count in counts.items())


def _unknown(names: Iterable[UnknownName]) -> Iterator[str]:
    names = tuple(names)
    if names:
        yield f"{len(names):,} names are not in the knowledge base:"
    yield from (f"{name.rows:>9,}  {name.name}{_near(name)}" for name in names[:_MOST])
    yield from _more(len(names))


def _near(name: UnknownName) -> str:
    return f"; near: {', '.join(name.near)}" if name.near else ""


def _bad_rows(rows: tuple[BadRow, ...]) -> Iterator[str]:
    yield from (f"cannot be used: {row}" for row in rows[:_MOST])


def _more(count: int) -> Iterator[str]:
    if count > _MOST:
        yield f"{'':>9}  and {count - _MOST:,} more"
