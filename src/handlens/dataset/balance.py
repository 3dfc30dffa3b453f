"""The stage `balance`: no label with more photos than wanted, none with fewer than can be learnt from.

Which photos stay is drawn by seed, row and group alone: the same on every machine and whatever the order of the list.
Groups (near-duplicates, one upload, one specimen) stay whole where they can: they are taken in drawn order while they
fit, and only what is then still missing is cut out of one that does not.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from handlens.dataset.folders import LinkTree
from handlens.dataset.keys import codes, drawn_key
from handlens.dataset.manifest import Row, read_rows
from handlens.dataset.shards import WHOLE, Shard
from handlens.dataset.workspace import Workspace

__all__ = ["BalanceSettings", "BalanceSummary", "balance"]

FULL = "label-full"
THIN = "label-too-thin"


class BalanceSettings(BaseModel):
    """How many photos a label may and must have.

    `max_per_label`: the most that stay, None for all (the origin kept 5,000). `min_per_label`: a label with fewer is
    left out whole. `seed` picks the photos that stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_per_label: int | None = Field(default=None, ge=1)
    min_per_label: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class BalanceSummary:
    """What the stage did: photos kept and their labels, photos cut, labels left out as too thin."""

    kept: int
    labels: int
    full: int
    thin: int
    thin_labels: tuple[str, ...]


def balance(
    workspace: Workspace, settings: BalanceSettings, *, shard: Shard = WHOLE, progress: bool = False
) -> BalanceSummary:
    """Rows `checked` become `kept` or `unused` (`reason` label-full or label-too-thin); others stay as they are.

    Unused photos are linked into images_unused/<label>/, which is made anew. A shard decides about all rows, which
    takes seconds, and writes its own. Raises MissingStageError, OSError for a photo that is not there.
    """
    info = workspace.info("balance", settings.model_dump(mode="json"))
    if not workspace.is_done(info, shard):
        decided = _decide(workspace.rows_before("balance"), settings)
        rows = _decided(workspace.rows_before("balance"), decided)
        rows = _linked(rows, workspace) if shard.count == 1 else (row for row in rows if shard.owns(row.id))
        workspace.write(tqdm(rows, "balance", unit=" rows", disable=not progress), info, shard)
    return _summary(workspace, shard)


def _decide(rows: Iterator[Row], settings: BalanceSettings) -> NDArray[np.int8]:
    """For every `checked` row in order: 0 kept, 1 cut, 2 its label is too thin."""
    labels: dict[str, int] = {}
    label, group, own = array("q"), array("Q"), array("Q")
    for row in rows:
        if row.status == "checked":
            label.append(labels.setdefault(row.label, len(labels)))
            own.append(drawn_key(settings.seed, row.id))
            group.append(drawn_key(settings.seed, row.group) if row.group else 0)
    decided = np.zeros(len(label), np.int8)
    if not labels:
        return decided
    label_of, own_of, group_of = np.asarray(label), np.asarray(own), np.asarray(group)
    drawn = np.where(group_of == 0, own_of, group_of)
    order = np.lexsort((own_of, drawn, label_of))
    counts = np.bincount(label_of, minlength=len(labels))
    ends = np.cumsum(counts)
    for count, end in zip(counts.tolist(), ends.tolist(), strict=True):
        places = order[end - count : end]
        if count < settings.min_per_label:
            decided[places] = 2
        elif settings.max_per_label is not None and count > settings.max_per_label:
            decided[places] = 1
            decided[places[_chosen(codes(drawn[places]), settings.max_per_label)]] = 0
    return decided


def _chosen(groups: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Places of `wanted` rows of one label, whose groups come one after the other, in drawn order."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(starts, append=len(groups))
    taken: list[NDArray[np.int64]] = []
    split: NDArray[np.int64] | None = None
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if size <= wanted:
            taken.append(np.arange(start, start + size))
            wanted -= size
            if not wanted:
                break
        elif split is None:
            split = np.arange(start, start + size)
    if wanted and split is not None:
        taken.append(split[:wanted])
    return np.concatenate(taken)


def _decided(rows: Iterator[Row], decided: NDArray[np.int8]) -> Iterator[Row]:
    decisions = iter(decided.data)
    for row in rows:
        if row.status != "checked":
            yield row
        elif decision := next(decisions):
            yield replace(row, status="unused", reason=FULL if decision == 1 else THIN)
        else:
            yield replace(row, status="kept", reason=None)


def _linked(rows: Iterator[Row], workspace: Workspace) -> Iterator[Row]:
    tree = LinkTree(workspace.unused)
    for row in rows:
        if row.status == "unused" and row.file:
            tree.add(row.label, row.id + PurePosixPath(row.file).suffix, workspace.root / row.file)
        yield row
    tree.commit()


def _summary(workspace: Workspace, shard: Shard) -> BalanceSummary:
    kept: dict[str, int] = {}
    thin: dict[str, int] = {}
    full = 0
    for row in read_rows(workspace.table("balance", shard)):
        if row.status == "kept":
            kept[row.label] = kept.get(row.label, 0) + 1
        elif row.status == "unused" and row.reason == THIN:
            thin[row.label] = thin.get(row.label, 0) + 1
        elif row.status == "unused":
            full += 1
    return BalanceSummary(sum(kept.values()), len(kept), full, sum(thin.values()), tuple(sorted(thin)))
