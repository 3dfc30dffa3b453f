"""The stage `split`: training, validation and test photos, alike in labels and never parting a group.

Photos that share a group, a group given by the source, a file or its pixels belong together, and so do those joined by
a chain of such: they all stand in one part. Each label is divided on its own, those with the fewest groups first,
because a group of several labels is placed once. Its largest groups come first, groups of one size in the order drawn
by the seed, each to the part that lacks most photos of the label; then every label with as many groups as there are
parts gets one or more in each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tqdm import tqdm

from handlens.dataset.errors import DatasetError
from handlens.dataset.keys import codes, drawn_key, united
from handlens.dataset.manifest import Row, read_rows
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.stratify import stratified
from handlens.dataset.workspace import Workspace

__all__ = ["LeakageError", "SplitSettings", "SplitSummary", "assert_no_leakage", "split"]

PARTS: Final = ("train", "validation", "test")
_TOGETHER: Final = ("group", "given_group", "sha256", "pixel_hash")
_NEVER_PARTED: Final = ("group", "sha256", "pixel_hash")


class LeakageError(DatasetError):
    """A group, a file or a picture stands in two parts of the split (`leakage`)."""

    code = "leakage"


class SplitSettings(BaseModel):
    """Shares of photos for `validation` and `test`, 0 to less than 1 together; training gets the rest. `seed` draws."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float = Field(default=0.15, ge=0, lt=1)
    test: float = Field(default=0.15, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> SplitSettings:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing to train on")
        return self

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Shares of `PARTS`."""
        return 1 - self.validation - self.test, self.validation, self.test


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What the stage did: photos of each part, labels, groups, and the labels that lack a part (too few groups)."""

    train: int
    validation: int
    test: int
    labels: int
    groups: int
    incomplete: tuple[str, ...]


def split(
    workspace: Workspace, settings: SplitSettings, *, shard: Shard = WHOLE, progress: bool = False
) -> SplitSummary:
    """Gives every row `kept` its `split`, and as `group` the name of all that stays together; others stay as they are.

    A shard decides about all rows, which takes seconds, and writes its own. Raises MissingStageError; LeakageError if
    the table that was written is not free of leaks.
    """
    info = workspace.info("split", settings.model_dump(mode="json"))
    if not workspace.is_done(info, shard):
        parts, firsts = _decide(workspace.rows_before("split"), settings)
        rows = _named(_checked(_parted(workspace.rows_before("split"), parts)), firsts)
        written = (row for row in rows if shard.owns(row.id))
        workspace.write(tqdm(written, "split", unit=" rows", disable=not progress), info, shard)
    return _summary(read_rows(workspace.table("split", shard)), settings)


def assert_no_leakage(rows: Iterable[Row]) -> None:
    """Raises LeakageError if a group, a file (sha256) or a picture (pixel hash) stands in two parts of the split."""
    for _ in _checked(rows):
        pass


def _decide(rows: Iterator[Row], settings: SplitSettings) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """For every `kept` row in order: its part, and the place of the first row of what it belongs to."""
    labels: dict[str, int] = {}
    label, own = array("q"), array("Q")
    keys = [array("Q") for _ in _TOGETHER]
    for row in rows:
        if row.status == "kept":
            label.append(labels.setdefault(row.label, len(labels)))
            own.append(drawn_key(settings.seed, row.group or row.id))
            for column, name in zip(keys, _TOGETHER, strict=True):
                column.append(_key(row, name))
    if not labels:
        return np.zeros(0, np.int8), np.zeros(0, np.int64)
    first = united(*(codes(np.asarray(column)) for column in keys))
    heads, group = np.unique(first, return_inverse=True)
    # Ties between labels and between groups fall by name and seed, not by the order of the list.
    names = np.argsort(np.argsort(np.array(list(labels))))
    drawn = np.full(len(heads), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(drawn, group, np.asarray(own))
    part = stratified(names[np.asarray(label)], group, drawn, settings.fractions)
    return part[group], first


def _parted(rows: Iterator[Row], parts: NDArray[np.int8]) -> Iterator[Row]:
    part = iter(parts.data)
    for row in rows:
        yield replace(row, split=PARTS[next(part)]) if row.status == "kept" else row


def _named(rows: Iterator[Row], heads: NDArray[np.int64]) -> Iterator[Row]:
    # A name is needed as long as rows of its group follow.
    ends = np.zeros(len(heads), np.int64)
    ends[heads] = np.arange(len(heads))
    firsts, last = heads.data, ends.data
    names: dict[int, str] = {}
    place = 0
    for row in rows:
        if row.status != "kept":
            yield row
            continue
        first = firsts[place]
        name = names.setdefault(first, row.group or row.id)
        if last[first] == place:
            del names[first]
        yield replace(row, group=name)
        place += 1


def _checked(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as they come; after the last one raises LeakageError where something stands in two parts."""
    parts: dict[str, int] = {}
    part = array("b")
    keys = [array("Q") for _ in _NEVER_PARTED]
    for row in rows:
        if row.split is not None:
            part.append(parts.setdefault(row.split, len(parts)))
            for column, name in zip(keys, _NEVER_PARTED, strict=True):
                column.append(_key(row, name))
        yield row
    for column, name in zip(keys, _NEVER_PARTED, strict=True):
        leaks = _leaks(codes(np.asarray(column, np.uint64)), np.asarray(part))
        if len(leaks):
            (one, other), names = leaks[0].tolist(), tuple(parts)
            raise LeakageError(
                f"{len(leaks)} values of {name} stand in two parts of the split: of the rows that have one, "
                f"row {one + 1} is in {names[part[one]]} and row {other + 1} in {names[part[other]]}"
            )


def _leaks(code: NDArray[np.int64], part: NDArray[np.int8]) -> NDArray[np.int64]:
    """Pairs (n, 2) of places whose code is the same and whose part is not, one for each such code."""
    order = np.lexsort((part, code))
    one, other = order[:-1], order[1:]
    leaking = (code[one] == code[other]) & (part[one] != part[other])
    pairs = np.stack((one[leaking], other[leaking]), axis=1)
    return pairs[np.unique(code[pairs[:, 0]], return_index=True)[1]]


def _key(row: Row, name: str) -> int:
    value = getattr(row, name)
    return drawn_key(0, value) if value else 0


def _summary(rows: Iterator[Row], settings: SplitSettings) -> SplitSummary:
    counts = dict.fromkeys(PARTS, 0)
    parts_of: dict[str, set[str]] = {}
    groups = array("Q")
    for row in rows:
        if row.split is not None:
            counts[row.split] += 1
            parts_of.setdefault(row.label, set()).add(row.split)
            groups.append(_key(row, "group"))
    wanted = {part for part, fraction in zip(PARTS, settings.fractions, strict=True) if fraction > 0}
    incomplete = tuple(sorted(label for label, parts in parts_of.items() if not wanted <= parts))
    return SplitSummary(
        **counts, labels=len(parts_of), groups=len(np.unique(np.asarray(groups))), incomplete=incomplete
    )
