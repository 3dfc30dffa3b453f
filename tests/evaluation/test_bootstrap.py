"""Intervals over groups: right by simulation, wider the fewer groups there are, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.drawn_predictions import alone, well_calibrated
from handlens.evaluation.bootstrap import group_intervals
from handlens.evaluation.metrics import balanced_accuracy, wilson_interval

LABELS = ("agate", "calcite", "pyrite", "quartz", "silver", "topaz", "zircon")


def test_each_photo_a_group_comes_to_the_interval_of_a_share() -> None:
    found = well_calibrated(LABELS, photos=900)
    table = found.probabilities
    intervals = group_intervals(table, found.truth, alone(found))
    hits = int(np.sum(table.argmax(axis=1) == found.truth))
    assert intervals["top1"] == pytest.approx(list(wilson_interval(hits, 900)), abs=0.006)
    low, high = intervals["balanced"]
    assert low < balanced_accuracy(table.argmax(axis=1), found.truth) < high
    assert intervals["top5"][0] > intervals["top1"][1]
    assert group_intervals(table, found.truth, alone(found)) == intervals


def test_photos_of_one_group_are_less_evidence() -> None:
    found = well_calibrated(LABELS, photos=300)
    often = np.repeat(np.arange(300), 6)
    groups = often.astype(str)
    table, truth = found.probabilities[often], found.truth[often]
    of_groups = group_intervals(table, truth, groups)
    assert of_groups == group_intervals(found.probabilities, found.truth, groups[::6])
    of_photos = group_intervals(table, truth, np.arange(1800).astype(str))
    width, narrow = (high - low for low, high in (of_groups["top1"], of_photos["top1"]))
    assert width > 2 * narrow


def test_a_label_whose_groups_were_not_drawn_does_not_count() -> None:
    table = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    intervals = group_intervals(table, np.array([0, 0, 1]), np.array(["a", "b", "c"]))
    assert intervals == {"top1": [1.0, 1.0], "top5": [1.0, 1.0], "balanced": [1.0, 1.0]}
