"""The stage `filter`: which rows of the sources make the data set, with one label each.

A row is left out for the first of these reasons that holds:

    licence       `licences` is given, and the row names no licence of these families
    repeated      its address, or path, is that of an earlier row
    no-name       its title names no mineral
    several       it shows several minerals, and `several` is "drop"
    not-selected  `labels` or `names` is given, and its label is not among them
    too-few       fewer than `at_least` photos of its label are left

`labels` selects exact labels, never what stands below them in the tree: "quartz" takes quartz not otherwise named, and
amethyst only where it is asked for too. Synonyms and Spanish names select the same as the canonical name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from handlens.dataset.errors import BadListError
from handlens.dataset.groups import group_of
from handlens.dataset.labels import LabelReader
from handlens.dataset.licences import FAMILIES, family_of
from handlens.dataset.listing import BadRow, BadRows, Entry, source_digest
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.scan import Scan, UnknownName, entries, scan
from handlens.dataset.workspace import Workspace
from handlens.minerals import UnknownMineralError
from handlens.minerals import names as spelling

__all__ = ["FilterSettings", "FilterSummary", "filter_list", "read_names"]

STAGE: Final = "filter"


class FilterSettings(BaseModel):
    """Settings of the stage.

    `sources`: lists and folders, see `listing`. `labels`: names to select, and `names`: a file of such, one a line,
    lines that start with # left out; without both every label is selected. `at_least`: photos a label needs.
    `several`: what to do with photos of several minerals: leave them out, or label them by the first. `licences`:
    families (`licences.FAMILIES`) that a row must name; empty takes every row, also those that name none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[Path, ...] = Field(min_length=1)
    labels: tuple[str, ...] = ()
    names: Path | None = None
    at_least: int = Field(default=1, ge=1)
    several: Literal["drop", "first"] = "drop"
    licences: tuple[str, ...] = ()

    @field_validator("licences")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [family for family in given if family not in FAMILIES]:
            raise ValueError(f"{unknown[0]!r} is no family of licences; there are {', '.join(FAMILIES)}")
        return given


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """What the stage did.

    `labels`: photos kept of each label, most first; `left_out`: rows by reason, bad rows among them; `unknown`: names
    in the list that the knowledge base does not know; `unknown_selected`: the same among the names asked for (`rows`:
    photos kept); `absent`: known names asked for that no photo is kept of. `done_before`: the table was there already,
    and only `kept` and `labels` are told.
    """

    kept: int
    labels: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, int], ...] = ()
    merged: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    unknown: tuple[UnknownName, ...] = ()
    unknown_selected: tuple[UnknownName, ...] = ()
    absent: tuple[str, ...] = ()
    done_before: bool = False


def filter_list(
    workspace: Workspace, settings: FilterSettings, *, reader: LabelReader | None = None, progress: bool = False
) -> FilterSummary:
    """Writes the table of the rows selected, status "listed", in the order of the sources.

    Bounded memory: the sources are read twice. Raises BadListError for an unreadable source or names file, and where
    no row is left.
    """
    info = TableInfo(STAGE, settings.model_dump(mode="json"), _digests(settings))
    if workspace.is_done(info):
        kept = Counter(row.label for row in workspace.rows(STAGE))
        return FilterSummary(kept.total(), _ordered(kept), done_before=True)
    reader = reader or LabelReader()
    selection = _Selection(settings, reader)
    refuses = _licence_rule(settings.licences)
    found = scan(settings.sources, reader, refuses=refuses, progress=progress)
    left_out = Counter(found.refused)
    selection.settle(found)
    if not selection.kept:
        raise BadListError(f"no row is left of {found.read:,}; {_told(selection, left_out, found)}")
    unknown = found.unknown_names(reader)

    def rows() -> Iterator[Row]:
        for entry in entries(settings.sources, BadRows(), "filter", progress):
            if refuses(entry) is None and (names := found.take(entry)) is not None:
                label = selection.label(names)
                if label in selection.kept:
                    yield _row(entry, label, names)

    workspace.write(rows(), info)
    left_out.update({"bad-row": found.bad.count, "repeated": found.repeated})
    left_out.update(selection.left_out)
    return FilterSummary(
        kept=selection.kept.total(),
        labels=_ordered(selection.kept),
        left_out=_ordered(+left_out),
        merged=found.merged,
        bad_rows=tuple(found.bad.examples),
        unknown=unknown,
        unknown_selected=tuple(UnknownName(name, selection.kept[name], near) for name, near in selection.unknown),
        absent=selection.absent(),
    )


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line; empty lines and those that start with # are left out. Raises BadListError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadListError(f"{path}: is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise BadListError(f"{path}: cannot be read: {error.strerror or error}") from error
    names = tuple(name for line in lines if (name := line.strip(" \t,\"'")) and not name.startswith("#"))
    if not names:
        raise BadListError(f"{path}: names no label")
    return names


class _Selection:
    """Which labels are kept, and how many photos of each."""

    def __init__(self, settings: FilterSettings, reader: LabelReader) -> None:
        self._settings = settings
        self._wanted: dict[str, None] | None = None
        self.unknown: list[tuple[str, tuple[str, ...]]] = []
        self.kept: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        asked = (*settings.labels, *(read_names(settings.names) if settings.names else ()))
        if asked:
            self._wanted = {}
            for name in asked:
                try:
                    self._wanted[reader.minerals.find(name).name] = None
                except UnknownMineralError as error:
                    key = spelling.key(name)
                    self._wanted[key] = None
                    self.unknown.append((key, error.near))

    def label(self, names: tuple[str, ...]) -> str:
        """The label of a photo; "" for one that is left out whatever is asked for."""
        return names[0] if len(names) == 1 or (names and self._settings.several == "first") else ""

    def settle(self, found: Scan) -> None:
        """Counts what is kept and what is left out."""
        for names, count in found.photos():
            label = self.label(names)
            if not label:
                self.left_out["several" if names else "no-name"] += count
            elif self._wanted is not None and label not in self._wanted:
                self.left_out["not-selected"] += count
            else:
                self.kept[label] += count
        for label, count in list(self.kept.items()):
            if count < self._settings.at_least:
                self.left_out["too-few"] += self.kept.pop(label)

    def absent(self) -> tuple[str, ...]:
        """The known names asked for that no photo is kept of."""
        unknown = {name for name, _ in self.unknown}
        return tuple(name for name in self._wanted or () if name not in self.kept and name not in unknown)


def _row(entry: Entry, label: str, names: tuple[str, ...]) -> Row:
    return Row(
        id=entry.id,
        label=label,
        status="listed",
        title=entry.title,
        also=tuple(name for name in names if name != label),
        source=entry.source,
        url=entry.url,
        path=entry.path,
        page=entry.page,
        author=entry.author,
        licence=entry.licence,
        licence_url=entry.licence_url,
        credit=entry.credit,
        given_group=group_of(entry),
    )


def _licence_rule(families: tuple[str, ...]) -> Callable[[Entry], str | None]:
    if not families:
        return lambda _: None
    return lambda entry: None if family_of(entry.licence, entry.licence_url) in families else "licence"


def _digests(settings: FilterSettings) -> tuple[str, ...]:
    files = (*settings.sources, *([settings.names] if settings.names else []))
    return tuple(map(source_digest, files))


def _ordered(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _told(selection: _Selection, left_out: Counter[str], found: Scan) -> str:
    reasons = +(left_out + selection.left_out + Counter({"bad-row": found.bad.count, "repeated": found.repeated}))
    told = ", ".join(f"{reason} {count:,}" for reason, count in _ordered(reasons))
    near = [f"{name} (near {', '.join(close)})" for name, close in selection.unknown if close]
    return f"left out: {told or 'nothing'}" + (f"; unknown names: {'; '.join(near)}" if near else "")
