"""A finished run as the teacher of a smaller network.

It is tuned anew on just the photos that its pupil is trained on, so that nothing of a held-out fold comes through it,
and also says what it sees in photos of minerals that are no label of either: those of half A of the split "others".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handlens.training.run import BadRunError, FrozenData, TrainSettings, load_run, plain_settings, read_split
from handlens.training.samples import Sample, read_samples, with_split
from handlens.training.tuning.targets import Lesson, of_teacher

__all__ = ["Teacher", "open_teacher"]

_SEEN = "A"


@dataclass(frozen=True, slots=True)
class Teacher:
    """`data`: the photos that the pupil is trained and judged on, as the teacher's network sees them before it is
    tuned. `more`: photos without a label. `share`: of a labelled photo's target that is the teacher's. `balance`: that
    of the pupil's training, as whose photos its labels shall be frequent.
    """

    data: FrozenData
    settings: TrainSettings
    more: tuple[Sample, ...]
    share: float
    balance: float

    def subset(self, labels: Sequence[str]) -> Teacher:
        """The same of the photos with one of `labels`."""
        return replace(self, data=self.data.subset(labels))

    def lesson(self, places: NDArray[np.intp]) -> Lesson:
        """What it says when it was tuned on the photos at `places`: of those, and of more photos, but none of a group
        or a collection that only photos have which it was not tuned on.
        """
        own = self.settings.head
        spoken = replace(self.settings, head=replace(own, adjust=max(0.0, self.balance - own.balance)))
        seen = self.data.seen_by(places, spoken)
        head = seen.head(places, spoken.head)
        learnt = self.data.at(places)
        groups, origins = {one.group for one in learnt}, {one.origin for one in learnt}
        held_groups = {one.group for one in self.data.samples} - groups
        held_origins = {one.origin for one in self.data.samples} - origins
        found = seen.source.features(self.more)
        rows = [
            row
            for row, one in enumerate(self.more)
            if found.read[row] and one.group not in held_groups and one.origin not in held_origins
        ]
        return Lesson(
            head.labels,
            of_teacher(head.logits(seen.plain[places])),
            self.share,
            np.array(rows, np.intp),
            of_teacher(head.logits(found.values[rows])),
        )


def open_teacher(
    folder: Path, source: Path, pupils: FrozenData, share: float, balance: float, *, quiet: bool = False
) -> Teacher:
    """The run in `folder` as the teacher of a network that is trained on photos of `source`; `share`, `balance`: see
    `Teacher`. Raises BadRunError where it cannot teach, or does not read the same photos.
    """
    settings = plain_settings(load_run(folder))
    data = read_split(source, "train", settings, folder, mirror=False, quiet=quiet)
    if [sample.file for sample in data.samples] != [sample.file for sample in pupils.samples]:
        raise BadRunError(f"{folder}: the teacher reads other photos of {source} than its pupil")
    others = with_split(read_samples(source), "others") if source.is_file() else []
    return Teacher(data, settings, tuple(one for one in others if one.half == _SEEN), share, balance)
