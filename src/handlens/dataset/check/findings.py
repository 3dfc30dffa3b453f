"""What `check` found about pictures that are there more than once, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handlens.dataset.manifest import Row

__all__ = ["Conflict", "Findings", "Repeated", "findings"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """One picture, exactly or nearly, under several labels: its `files` below the workspace, a label each, in order."""

    files: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """One picture of one label more than once: the file that stays, and those that are duplicates of it."""

    kept: str
    label: str
    duplicates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """`conflicts`, `repeated`, and `groups`: files that no split may part, where there are several."""

    conflicts: tuple[Conflict, ...]
    repeated: tuple[Repeated, ...]
    groups: tuple[tuple[str, ...], ...]


def findings(rows: Iterable[Row]) -> Findings:
    """Conflicts, duplicates and groups of a table that `check` or a later stage wrote, in the order of its rows."""
    conflicts: dict[str, list[tuple[str, str]]] = {}
    duplicates: dict[str, list[str]] = {}
    kept: dict[str, tuple[str, str]] = {}
    groups: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for row in rows:
        if row.file is None or row.group is None:
            continue
        if row.conflicts:
            conflicts.setdefault(row.group, []).append((row.file, row.label))
        if row.duplicate_of is not None:
            duplicates.setdefault(row.duplicate_of, []).append(row.file)
        kept[row.id] = row.file, row.label
        if row.group == row.id:  # a group is named for its first row
            first[row.group] = row.file
        else:
            groups.setdefault(row.group, [first[row.group]] if row.group in first else []).append(row.file)
    return Findings(
        tuple(
            Conflict(tuple(file for file, _ in found), tuple(label for _, label in found))
            for found in conflicts.values()
        ),
        tuple(Repeated(*kept[id_], tuple(files)) for id_, files in duplicates.items() if id_ in kept),
        tuple(tuple(files) for files in groups.values()),
    )
