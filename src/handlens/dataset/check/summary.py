"""What a run of `check` did, counted from its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from handlens.dataset.manifest import Row

__all__ = ["CheckSummary", "summarise"]


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """Counts of the rows that had a photo.

    `odd` by reason and `flagged` by flag, the most frequent first. `conflicts`: rows whose picture carries another
    label elsewhere. `groups`: groups of two and more rows; `largest_group` in rows.
    """

    photos: int
    checked: int
    duplicates: int
    odd: dict[str, int]
    flagged: dict[str, int]
    conflicts: int
    groups: int
    largest_group: int


def summarise(rows: Iterable[Row]) -> CheckSummary:
    """Counts the rows of a table of `check`."""
    status: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    followers: Counter[str] = Counter()
    conflicts = 0
    for row in rows:
        if row.status not in ("odd", "checked", "duplicate"):
            continue
        status[row.status] += 1
        odd.update([row.reason] if row.reason and row.status == "odd" else [])
        flagged.update(row.flags)
        conflicts += bool(row.conflicts)
        if row.group is not None and row.group != row.id:
            followers[row.group] += 1
    return CheckSummary(
        photos=status.total(),
        checked=status["checked"],
        duplicates=status["duplicate"],
        odd=dict(odd.most_common()),
        flagged=dict(flagged.most_common()),
        conflicts=conflicts,
        groups=len(followers),
        largest_group=1 + max(followers.values(), default=0) if status.total() else 0,
    )
