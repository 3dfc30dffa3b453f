"""Risk against coverage: by hand, and what calibrated answers must come to."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.drawn_predictions import well_calibrated
from handlens.evaluation.selective import COVERAGES, risk_curve, selective
from handlens.minerals import KnowledgeBase

MINERALS = KnowledgeBase.load()
LABELS = ("amethyst", "calcite", "pyrite", "quartz", "rose quartz", "topaz")


def test_by_hand() -> None:
    curve = risk_curve(np.array([0.5, 0.9, 0.7, 0.6]), np.array([False, True, True, False]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert curve.right_at(0.5) == 1.0
    assert curve.right_at(0.8) == pytest.approx(2 / 3)
    assert curve.right_at(0.0) == 1.0


def test_equally_sure_answers_are_answered_alike_in_any_order() -> None:
    confidence = np.array([0.8, 0.8, 0.8, 0.8])
    one = risk_curve(confidence, np.array([True, True, True, False]))
    other = risk_curve(confidence, np.array([False, True, True, True]))
    assert one.risk.tolist() == other.risk.tolist() == [0.25] * 4


def test_the_surest_are_right_as_often_as_they_say() -> None:
    found = well_calibrated(LABELS, photos=6000, spread=1.0)
    figures = selective(found, MINERALS)
    confidence = np.sort(found.probabilities.max(axis=1))[::-1]
    for coverage in COVERAGES:
        said = confidence[: round(coverage * 6000)].mean()
        assert figures["flat"]["right_at"][f"{coverage:.2f}"] == pytest.approx(said, abs=0.03)
    shares = list(figures["flat"]["right_at"].values())
    assert shares[0] > shares[1] > shares[2]
    # Amethyst and rose quartz are quartz: at species rank more is right.
    assert all(of > share for of, share in zip(figures["species"]["right_at"].values(), shares, strict=True))
    assert figures["species"]["area"] < figures["flat"]["area"]
