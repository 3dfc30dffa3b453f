"""The figures of a run, fold by fold: what is printed, and what the exported files say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handlens.training.localiser.figures import Figures, Thresholds, choose_thresholds, figures, overlaps
from handlens.training.localiser.run import LocaliserRun, read_answers

__all__ = ["Report", "report"]


@dataclass(frozen=True, slots=True)
class Report:
    """The chosen thresholds, and figures by row: the folds of the split "train", all of them, and the other photos.

    Rows "teacher sure" are of the photos where its mask is neither blurred nor patchy (`figures.Overlap.sure`).
    """

    thresholds: Thresholds
    rows: dict[str, Figures]


def report(run: LocaliserRun, thresholds: Thresholds | None = None) -> Report:
    """Figures of all hold-outs that are done, at the given thresholds or those chosen on them. Raises UsageError."""
    answers = read_answers(run)
    thresholds = thresholds or choose_thresholds(run.photos, answers)
    overlap = overlaps(run.photos, answers, thresholds.mask)
    train = np.array([run.photos[place].split == "train" for place in answers.places])
    rows = {}
    for split, here in (("train", train), ("others", ~train)):
        for name in sorted(set(answers.held_out[here].tolist())):
            rows[f"{split}: {name}"] = figures(answers, overlap, thresholds, here & (answers.held_out == name))
        if here.any():
            rows[f"{split}, all"] = figures(answers, overlap, thresholds, here)
            rows[f"{split}, teacher sure"] = figures(answers, overlap, thresholds, here & overlap.sure)
    rows["everything"] = figures(answers, overlap, thresholds, np.ones(len(train), np.bool_))
    rows["everything, teacher sure"] = figures(answers, overlap, thresholds, overlap.sure)
    return Report(thresholds, rows)
