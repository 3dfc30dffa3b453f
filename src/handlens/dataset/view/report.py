"""From rows to the report: count, draw samples, make small pictures, write the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tqdm import tqdm

from handlens.dataset.files import atomic_file
from handlens.dataset.manifest import Row
from handlens.dataset.source import Source, open_source
from handlens.dataset.view.page import Content, LabelLine, label_line, page, split_order
from handlens.dataset.view.sampling import Picked, Sample
from handlens.dataset.view.settings import ViewSettings
from handlens.dataset.view.tally import Tally, fate_of
from handlens.dataset.view.thumbnails import Thumbnail, measured_row, thumbnails
from handlens.errors import UsageError

__all__ = ["view"]

_EXAMPLES_SHARE = 4
"""Examples of what is wrong get at most one of so many parts of the bytes for pictures, thrice."""


def view(source: Path, settings: ViewSettings, out: Path | None = None, *, progress: bool = False) -> Path:
    """Writes one HTML file that shows a data set, and returns where it is.

    `source`: a workspace (its manifest, or the table of its last stage), a manifest file, or a tree of class folders.
    `out`: the file, or a folder for `report.html`; by default it is put into the workspace. A tree is somebody's
    collection and nothing is put into it unasked: for a tree `out` is needed, else UsageError. Photos that cannot be
    read show as such. Raises DatasetError and its kind for a source that cannot be read, OSError for `out`.
    """
    opened = open_source(source)
    if out is None:
        if opened.table is None:
            raise UsageError(
                f"{source}: is a folder of photos, which is left as it is: say where the report goes (--out)"
            )
        out = opened.root
    if out.is_dir():
        out = out / "report.html"
    html = page(_content(opened, settings, progress))
    with atomic_file(out) as file:
        # A file name may hold bytes that are no text.
        file.write(html.encode("utf-8", "replace"))
    return out


def _content(source: Source, settings: ViewSettings, progress: bool) -> Content:
    tally = Tally(settings)
    for row in tqdm(source.rows(), desc="rows", unit=" rows", disable=not progress):
        tally.add(row)
    sampled = not tally.measured
    unread = _measure(source, tally) if sampled else 0
    shown = sorted(tally.labels, key=lambda name: (-tally.labels[name].rows, name))[: settings.most_labels]
    originals = {picked.duplicate_of for picked in tally.duplicates.rows() if picked.duplicate_of is not None}
    sheets, found = _second_pass(source, settings, shown, originals)
    pictures = _Pictures(source, settings, progress)
    part = settings.most_bytes // _EXAMPLES_SHARE
    set_aside = pictures.groups({reason: sample.rows() for reason, sample in tally.set_aside.items()}, part)
    duplicates = _pairs(pictures, tally.duplicates.rows(), found, part)
    conflicts = pictures.groups({"": tally.conflict_rows.rows()}, part)[""]
    sheet_pictures = pictures.groups(sheets, settings.most_bytes - pictures.used)
    return Content(
        source=source,
        tally=tally,
        labels=_lines(tally, shown, sheet_pictures),
        set_aside=set_aside,
        duplicates=duplicates,
        conflicts=conflicts,
        cut=pictures.cut,
        sampled=sampled and tally.measured > 0,
        unread=unread,
        settings=settings,
    )


def _measure(source: Source, tally: Tally) -> int:
    """Measures a sample of photos where the table says nothing of them; returns how many cannot be read."""
    unread = 0
    for picked in tally.unmeasured.rows():
        row = measured_row(picked, source.photo(picked.file, picked.path))
        if row is None:
            unread += 1
            continue
        tally.measured += 1
        tally.measures.add(row)
        if (label := tally.labels.get(row.label)) is not None:
            tally.add_colour(label, row.colour)
    return unread


def _second_pass(
    source: Source, settings: ViewSettings, shown: Sequence[str], wanted: set[str]
) -> tuple[dict[str, list[Picked]], dict[str, Picked]]:
    """The contact sheets of the labels shown, which are known only after a first pass, and the rows with wanted ids."""
    sheets = {name: Sample(settings.per_label, settings.seed) for name in shown}
    found: dict[str, Picked] = {}
    for row in source.rows():
        if row.label in sheets and fate_of(row.status) == "in" and _has_photo(row):
            sheets[row.label].offer(row)
        if row.id in wanted:
            found[row.id] = Picked.of(row)
    return {name: sample.rows() for name, sample in sheets.items()}, found


def _has_photo(row: Row) -> bool:
    return row.file is not None or row.path is not None


@dataclass(slots=True)
class _Pictures:
    """Makes small pictures and keeps account of them: `used` bytes so far, `cut` pictures that did not fit."""

    source: Source
    settings: ViewSettings
    progress: bool
    used: int = 0
    cut: int = 0

    def of(self, rows: Iterable[Picked], most_bytes: int) -> list[Thumbnail]:
        wanted = list(rows)
        made = thumbnails(wanted, self._locate, self.settings.thumbnail_side, most_bytes)
        bar = tqdm(made, desc="pictures", total=len(wanted), unit=" photos", disable=not (self.progress and wanted))
        pictures = list(bar)
        self.used += sum(len(picture.uri) for picture in pictures)
        self.cut += len(wanted) - len(pictures)
        return pictures

    def groups(self, rows: dict[str, list[Picked]], most_bytes: int) -> dict[str, list[Thumbnail]]:
        """Pictures of several groups, one of each in turn, so that no group takes the room of the others."""
        turns = zip_longest(*([(name, row) for row in group] for name, group in rows.items()))
        order = [entry for turn in turns for entry in turn if entry is not None]
        made: dict[str, list[Thumbnail]] = {name: [] for name in rows}
        for (name, _), picture in zip(order, self.of((row for _, row in order), most_bytes), strict=False):
            made[name].append(picture)
        return made

    def _locate(self, row: Picked) -> Path | None:
        return self.source.photo(row.file, row.path)


def _pairs(
    pictures: _Pictures, rows: list[Picked], found: dict[str, Picked], most_bytes: int
) -> list[tuple[Thumbnail, Thumbnail]]:
    pairs = [(row, found[row.duplicate_of]) for row in rows if row.duplicate_of in found]
    made = pictures.of((row for pair in pairs for row in pair), most_bytes)
    return list(zip(made[::2], made[1::2], strict=False))


def _lines(tally: Tally, shown: Sequence[str], sheets: dict[str, list[Thumbnail]]) -> list[LabelLine]:
    most = max((label.rows for label in tally.labels.values()), default=1)
    splits = split_order(tally.splits)
    return [
        dataclasses.replace(label_line(number, name, tally.labels[name], most, splits), sheet=tuple(sheets[name]))
        for number, name in enumerate(shown, 1)
    ]
