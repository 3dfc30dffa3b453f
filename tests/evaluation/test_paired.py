"""The interval of a paired difference: of photos that count apart, and of groups that count once."""

from __future__ import annotations

import numpy as np
import pytest

from handlens.evaluation.paired import Difference, paired_difference


def test_the_share_is_the_difference_of_the_two_shares() -> None:
    one, other = np.array([True, True, True, False]), np.array([True, False, False, True])
    found = paired_difference(one, other, np.array(["a", "b", "c", "d"]))
    assert found.share == pytest.approx(0.75 - 0.5)
    assert found.low <= found.share <= found.high


def test_equal_answers_differ_by_nothing() -> None:
    right = np.arange(50) % 3 > 0
    found = paired_difference(right, right, np.arange(50).astype(str))
    assert found == Difference(0.0, 0.0, 0.0)
    assert not found.told_apart


def test_the_interval_of_single_photos_is_that_of_a_mean() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.uniform(size=400) < 0.7, rng.uniform(size=400) < 0.55
    gains = one.astype(float) - other
    half = 1.96 * gains.std() / np.sqrt(400)
    found = paired_difference(one, other, np.arange(400).astype(str))
    assert found.low == pytest.approx(gains.mean() - half, abs=0.006)
    assert found.high == pytest.approx(gains.mean() + half, abs=0.006)
    assert found.told_apart
    assert not paired_difference(other, one, np.arange(400).astype(str)).low > 0


def test_photos_of_one_group_are_no_evidence_apart() -> None:
    rng = np.random.default_rng(6)
    one, other = np.repeat(rng.uniform(size=40) < 0.6, 10), np.repeat(rng.uniform(size=40) < 0.5, 10)
    apart = paired_difference(one, other, np.arange(400).astype(str))
    grouped = paired_difference(one, other, np.repeat(np.arange(40), 10).astype(str))
    assert grouped.share == apart.share
    assert grouped.high - grouped.low == pytest.approx(np.sqrt(10) * (apart.high - apart.low), rel=0.1)


def test_a_higher_level_is_wider_and_a_seed_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(7)
    one, other, groups = rng.uniform(size=90) < 0.6, rng.uniform(size=90) < 0.5, (np.arange(90) // 2).astype(str)
    usual, wide = (paired_difference(one, other, groups, level=level) for level in (0.95, 0.99))
    assert wide.low < usual.low
    assert wide.high > usual.high
    assert paired_difference(one, other, groups) == usual
