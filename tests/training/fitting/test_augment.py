"""Training pictures are changed by their random numbers alone, and labels with them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.training.fitting.augment import AUGMENTATIONS, augmented


def pictures() -> NDArray[np.uint8]:
    """Six smooth pictures, each unlike its mirror image."""
    y, x = np.mgrid[0:32, 0:32] / 31
    one = np.stack([255 * x, 255 * y, 128 + 0 * x], axis=-1)
    return np.stack([np.clip(one * (0.5 + number / 10), 0, 255) for number in range(6)]).astype(np.uint8)


TARGETS = np.eye(6, dtype=np.float32)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_changes_pictures_and_is_a_function_of_its_numbers(name: str) -> None:
    first, targets = augmented(pictures(), TARGETS, (name,), np.random.default_rng(1))
    again, _ = augmented(pictures(), TARGETS, (name,), np.random.default_rng(1))
    other, _ = augmented(pictures(), TARGETS, (name,), np.random.default_rng(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == pictures().shape
    assert first.dtype == np.uint8
    assert (first != pictures()).any()
    assert (first != other).any()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    if name not in ("mixup", "cutmix"):
        np.testing.assert_array_equal(targets, TARGETS)


def test_none_changes_nothing() -> None:
    same, targets = augmented(pictures(), TARGETS, (), np.random.default_rng(0))
    np.testing.assert_array_equal(same, pictures())
    np.testing.assert_array_equal(targets, TARGETS)


def test_a_mirrored_picture_is_the_mirror_image() -> None:
    changed, _ = augmented(pictures(), TARGETS, ("flip",), np.random.default_rng(0))
    mirrored = [bool((one == plain[:, ::-1]).all()) for one, plain in zip(changed, pictures(), strict=True)]
    kept = [bool((one == plain).all()) for one, plain in zip(changed, pictures(), strict=True)]
    assert any(mirrored)
    assert any(kept)
    assert [a or b for a, b in zip(mirrored, kept, strict=True)] == [True] * 6


def test_a_turn_keeps_the_middle_and_the_average() -> None:
    changed, _ = augmented(pictures(), TARGETS, ("turn",), np.random.default_rng(0))
    middle = slice(14, 18)
    np.testing.assert_allclose(
        changed[:, middle, middle].mean(axis=(1, 2)), pictures()[:, middle, middle].mean(axis=(1, 2)), atol=3
    )


def test_blended_labels_follow_the_pixels() -> None:
    """Flat pictures of values 0, 40, ...: the mean of a blend says how much of each is in it, and so must its label."""
    flat = np.broadcast_to((40 * np.arange(6, dtype=np.uint8))[:, None, None, None], (6, 32, 32, 3)).copy()
    for name in ("mixup", "cutmix"):
        changed, targets = augmented(flat, TARGETS, (name,), np.random.default_rng(5))
        assert (targets.max(axis=1) < 0.99).any(), name
        np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), targets @ (40 * np.arange(6)), atol=0.6)


def test_the_moves_of_the_origin_are_within_their_bounds() -> None:
    """A dot in the middle moves by a tenth of the side at most, times the zoom; corners are filled, never black."""
    dot = np.full((200, 33, 33, 3), 90, np.uint8)
    dot[:, 14:19, 14:19] = 250
    changed, _ = augmented(dot, np.ones((200, 1), np.float32), ("origin",), np.random.default_rng(0))
    assert changed.min() >= 88
    weight = changed[..., 0].astype(float) - 90
    place = np.arange(33)
    for axis in (1, 2):
        centre = (weight.sum(axis=3 - axis) * place).sum(axis=1) / weight.sum(axis=(1, 2))
        assert np.abs(centre - 16).max() < 33 * 0.1 * 1.5 / 0.7
        assert np.abs(centre - 16).max() > 1
