"""Fusing photos of one specimen, on synthetic views: scores that share an error, as those of one specimen do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.decision import softmax
from handlens.fusion import VIEWS_EXPONENT, fuse

LABELS = 6
TEMPERATURE = 0.9


def logits(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(scale=2, size=(count, LABELS))


def test_one_photo_is_left_as_it_is_bit_for_bit() -> None:
    one = logits(1).astype(np.float32)
    fused = fuse(one)
    assert fused.dtype == np.float32
    assert fused.tobytes() == one[0].tobytes()


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_it_is_the_pool_of_the_calibrated_log_probabilities(count: int) -> None:
    views = logits(count)
    pooled = count**VIEWS_EXPONENT / count * np.log(softmax(views, TEMPERATURE)).sum(axis=0)
    np.testing.assert_allclose(softmax(fuse(views), TEMPERATURE), np.exp(pooled) / np.exp(pooled).sum(), rtol=1e-10)


def test_the_order_does_not_matter() -> None:
    views = logits(5)
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(views)
        np.testing.assert_allclose(fuse(shuffled), fuse(views), rtol=1e-12)


@pytest.mark.parametrize("count", [2, 5])
def test_n_copies_of_a_photo_are_not_n_times_as_sure(count: int) -> None:
    one = logits(1)[0]
    fused = fuse(np.stack([one] * count))
    spread = (fused.max() - fused.min()) / (one.max() - one.min())
    assert 1 < spread < count
    assert spread == pytest.approx(count**0.5)
    assert fused.argmax() == one.argmax()


def test_a_sure_photo_outweighs_two_that_waver() -> None:
    wavering, sure = np.array([0.4, 0.0, 0.0]), np.array([0.0, 6.0, 0.0])
    assert fuse(np.stack([wavering, sure, wavering])).argmax() == 1


def synthetic(count: int, shared: float, specimens: int = 4000) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Logits (specimens, count, labels), each photo calibrated by itself, and the true labels.

    The errors of a specimen's photos are normal and correlated by `shared`. Scores x with mean m at the true label and
    0 elsewhere and the variance m are calibrated logits: the log ratio of two normal densities is linear in them.
    """
    chance = np.random.default_rng(7)
    truth = chance.integers(0, LABELS, specimens)
    mean = 2.0
    common = chance.normal(size=(specimens, 1, LABELS))
    own = chance.normal(size=(specimens, count, LABELS))
    errors = np.sqrt(mean) * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
    return errors + mean * np.eye(LABELS)[truth][:, None], truth


def loss(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    return float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_photos_that_share_a_third_of_their_errors_are_fused_better_than_by_sum_mean_or_first(count: int) -> None:
    views, truth = synthetic(count, shared=1 / 3)
    ours = loss(softmax(np.stack([fuse(one) for one in views]), 1.0), truth)
    assert ours < loss(softmax(views.sum(axis=1), 1.0), truth), "independent ones"
    assert ours < loss(softmax(views.mean(axis=1), 1.0), truth), "copies"
    assert ours < loss(softmax(views[:, 0], 1.0), truth), "one of them"


def test_the_fused_probabilities_are_as_sure_as_they_may_be() -> None:
    """At the correlation for which n ** 0.5 is exact, how sure it is and how often it is right agree."""
    views, truth = synthetic(4, shared=1 / 3)
    fused = softmax(np.stack([fuse(one) for one in views]), 1.0)
    assert fused.max(axis=1).mean() == pytest.approx((fused.argmax(axis=1) == truth).mean(), abs=0.015)
    summed = softmax(views.sum(axis=1), 1.0)
    assert summed.max(axis=1).mean() > (summed.argmax(axis=1) == truth).mean() + 0.03
