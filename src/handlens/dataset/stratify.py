"""Groups of labelled photos → parts of given sizes, each alike in labels, no group cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["stratified"]


def stratified(
    label: NDArray[np.int64], group: NDArray[np.int64], drawn: NDArray[np.uint64], fractions: Sequence[float]
) -> NDArray[np.int8]:
    """The part of each group, (groups,): an index into `fractions`, which add up to 1; none goes to a part of 0.

    `label`, `group` (n,): of each photo, numbered from 0 without a gap. `drawn` (groups,): order of groups of one size.
    Every label with as many groups as there are parts has one in each, unless groups of several labels forbid it.
    """
    return _Division(label, group, drawn, fractions).divide()


class _Division:
    def __init__(
        self, label: NDArray[np.int64], group: NDArray[np.int64], drawn: NDArray[np.uint64], fractions: Sequence[float]
    ) -> None:
        self._drawn = drawn
        self._fractions = np.array(fractions)
        self._used = [index for index, fraction in enumerate(fractions) if fraction > 0]
        groups = len(drawn)
        # One entry for each label of each group: which, and how many photos.
        pairs, sizes = np.unique(label * groups + group, return_counts=True)
        self._group, self._size = pairs % groups, sizes
        self._starts = np.searchsorted(pairs // groups, np.arange(label.max(initial=-1) + 2))
        self._label = pairs // groups
        by_group = np.argsort(self._group, kind="stable")
        self._by_group = by_group
        self._group_starts = np.searchsorted(self._group[by_group], np.arange(groups + 1))
        self.part = np.full(groups, -1, np.int8)
        labels = len(self._starts) - 1
        self._photos = np.zeros((labels, len(fractions)))
        self._groups = np.zeros((labels, len(fractions)), np.int64)

    def divide(self) -> NDArray[np.int8]:
        counts = np.diff(self._starts)
        for label in np.argsort(counts, kind="stable").tolist():
            self._place(label)
            if counts[label] >= len(self._used):
                self._mend(label)
        return self.part

    def _entries(self, label: int) -> slice:
        return slice(self._starts[label], self._starts[label + 1])

    def _place(self, label: int) -> None:
        entries = self._entries(label)
        groups, sizes = self._group[entries], self._size[entries]
        wanted = (self._fractions * sizes.sum() - self._photos[label]).tolist()
        for entry in np.lexsort((self._drawn[groups], -sizes)).tolist():
            group, size = int(groups[entry]), int(sizes[entry])
            if self.part[group] >= 0:
                continue
            part = max(self._used, key=wanted.__getitem__)
            wanted[part] -= size
            self._move(group, part)

    def _mend(self, label: int) -> None:
        """Gives parts without a group of the label the smallest one that others can spare."""
        for part in self._used:
            if self._groups[label, part]:
                continue
            entries = self._entries(label)
            groups, sizes = self._group[entries], self._size[entries]
            for entry in np.lexsort((self._drawn[groups], sizes)).tolist():
                if self._can_spare(int(groups[entry])):
                    self._move(int(groups[entry]), part)
                    break

    def _can_spare(self, group: int) -> bool:
        """Whether the part of a group keeps a group of each of its labels without it."""
        labels = self._label[self._by_group[self._group_starts[group] : self._group_starts[group + 1]]]
        return bool((self._groups[labels, self.part[group]] > 1).all())

    def _move(self, group: int, part: int) -> None:
        entries = self._by_group[self._group_starts[group] : self._group_starts[group + 1]]
        labels, sizes, before = self._label[entries], self._size[entries], self.part[group]
        if before >= 0:
            self._photos[labels, before] -= sizes
            self._groups[labels, before] -= 1
        self._photos[labels, part] += sizes
        self._groups[labels, part] += 1
        self.part[group] = part
