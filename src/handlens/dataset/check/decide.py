"""From inspections to what becomes of every row: flags, duplicates, conflicts and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.clusters import components, guarded_clusters
from handlens.dataset.check.inspect import Inspection, flags_of, reason_of
from handlens.dataset.check.near import NearPairs
from handlens.dataset.check.pictures import Listing, Pictures, adjacent
from handlens.dataset.check.settings import CheckSettings
from handlens.dataset.manifest import Row

__all__ = ["Decisions", "decide", "decided", "inspected"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Decisions:
    """What becomes of the rows of a run, numbered from 0; see `decide`.

    `group`: number of the first row of each row's group. `conflicts`: other labels, of the rows that have some.
    `duplicate_of`: number of the row that stays, of the rows that are duplicates unless they are set aside.
    `cut`: links at which chains of near-duplicates were cut.
    """

    group: Numbers
    conflicts: dict[int, tuple[str, ...]]
    duplicate_of: dict[int, int]
    cut: int


def inspected(row: Row, found: Inspection) -> Row:
    """The row with what was found in its file."""
    if found.error is not None:
        return row
    return replace(
        row,
        format=found.format,
        width=found.width,
        height=found.height,
        pixel_hash=found.pixel_hash,
        perceptual_hash=found.perceptual_hash,
        sharpness=found.sharpness,
        brightness=found.brightness,
        contrast=found.contrast,
        text=found.text,
        colour=found.colour,
    )


def decide(
    pictures: Pictures,
    near: NearPairs,
    listing: Listing,
    is_odd: Callable[[int], bool],
    settings: CheckSettings,
) -> Decisions:
    """Groups, duplicates and conflicts of rows.

    `is_odd` tells whether the photo of a row is set aside for itself. Groups are the clusters of near-duplicates,
    joined where a given group has photos of both.
    """
    label_of, names = listing.labels, listing.names
    clusters = guarded_clusters(len(pictures), near, settings.longest_chain)
    neighbours = adjacent(near.pairs)
    of_row = pictures.of_row
    # A unit is a picture under a label; all rows of one unit are the same photo for the same class.
    units, first, unit_of = np.unique(of_row * len(names) + label_of, return_index=True, return_inverse=True)
    unit_labels = _labels_of(units, len(names), neighbours)
    conflicts = _conflicts(units, unit_of, unit_labels, neighbours, names)
    leaves = set(conflicts) if settings.conflicts == "set-aside" else set()
    kept_unit = _kept(
        units, first, unit_labels, neighbours, len(names), lambda row: row in leaves or is_odd(row), settings
    )
    stays = first.copy()
    for unit, kept in kept_unit.items():
        stays[unit] = first[kept]
    repeated = np.flatnonzero(stays[unit_of] != np.arange(len(unit_of)))
    duplicate_of = dict(zip(repeated.tolist(), stays[unit_of[repeated]].tolist(), strict=True))
    return Decisions(_groups(pictures, clusters.of, listing.given_groups), conflicts, duplicate_of, clusters.cut)


def _labels_of(units: Numbers, labels: int, neighbours: dict[int, Sequence[int]]) -> dict[int, list[int]]:
    """Labels of the pictures that have several or have near-duplicates; of every other one, its unit tells."""
    pictures = units // labels
    several = np.unique(pictures[1:][pictures[1:] == pictures[:-1]])
    wanted = np.union1d(several, np.fromiter(neighbours, np.int64, len(neighbours)))
    found: dict[int, list[int]] = {}
    for unit in units[np.isin(pictures, wanted)].tolist():
        found.setdefault(unit // labels, []).append(unit % labels)
    return found


def _conflicts(
    units: Numbers,
    unit_of: Numbers,
    unit_labels: dict[int, list[int]],
    neighbours: dict[int, Sequence[int]],
    names: list[str],
) -> dict[int, tuple[str, ...]]:
    others: dict[int, tuple[str, ...]] = {}
    for picture, own in unit_labels.items():
        all_labels = set(own).union(*(unit_labels[other] for other in neighbours.get(picture, ())))
        if len(all_labels) == 1:
            continue
        for label in own:
            unit = int(np.searchsorted(units, picture * len(names) + label))
            others[unit] = tuple(sorted(names[other] for other in all_labels - {label}))
    rows = np.flatnonzero(np.isin(unit_of, np.fromiter(others, np.int64, len(others))))
    return {row: others[int(unit_of[row])] for row in rows.tolist()}


def _kept(
    units: Numbers,
    first: Numbers,
    unit_labels: dict[int, list[int]],
    neighbours: dict[int, Sequence[int]],
    labels: int,
    is_odd: Callable[[int], bool],
    settings: CheckSettings,
) -> dict[int, int]:
    """Under `near: drop`, the unit that stays for each unit that is near an earlier one of its label that stays."""
    if settings.near == "group":
        return {}
    place = {
        (picture, label): int(np.searchsorted(units, picture * labels + label))
        for picture in neighbours
        for label in unit_labels[picture]
    }
    stays: set[int] = set()
    kept: dict[int, int] = {}
    for (picture, label), unit in sorted(place.items(), key=lambda item: first[item[1]]):
        if is_odd(int(first[unit])):
            continue
        near = [place[other, label] for other in neighbours[picture] if (other, label) in place]
        earlier = [other for other in near if other in stays]
        if earlier:
            kept[unit] = min(earlier, key=lambda other: first[other])
        else:
            stays.add(unit)
    return kept


def _groups(pictures: Pictures, clusters: Numbers, given: NDArray[np.uint64]) -> Numbers:
    """First row of the group of each row."""
    links = np.stack([np.arange(len(pictures)), clusters], axis=1)
    named = np.flatnonzero(given)
    _, first, place = np.unique(given[named], return_index=True, return_inverse=True)
    joined = np.stack([pictures.of_row[named], pictures.of_row[named[first]][place]], axis=1)
    of = components(len(pictures), np.concatenate([links[links[:, 0] != links[:, 1]], joined]))
    # Pictures are numbered by their first rows, so the least picture of a component has the first row of all.
    return np.asarray(pictures.first_row[of[pictures.of_row]])


def decided(
    row: Row,
    number: int,
    found: Inspection,
    decisions: Decisions,
    id_of: Callable[[int], str],
    settings: CheckSettings,
) -> Row:
    """The row with its flags, group, conflicts and status; `number` is its number in the run, `id_of` names others."""
    conflicts = decisions.conflicts.get(number, ())
    flags = flags_of(found, settings, conflict=bool(conflicts))
    reason = reason_of(flags, settings)
    leader, stays = int(decisions.group[number]), decisions.duplicate_of.get(number)
    if reason is not None:
        stays = None  # nothing stays of a picture that is set aside
    return replace(
        inspected(row, found),
        status="odd" if reason is not None else "checked" if stays is None else "duplicate",
        reason=reason,
        flags=flags,
        group=row.id if leader == number else id_of(leader),
        conflicts=conflicts,
        duplicate_of=None if stays is None else id_of(stays),
    )
