"""Hashes: the same for the same picture, and those of its eight orientations follow from one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from handlens.dataset.check.looks import (
    DOUBTS,
    KEY_BITS,
    POSES,
    TABLES,
    Hashes,
    Looks,
    inverse_pose,
    look,
    pose_pixels,
)

from .drawn import picture


def whole(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Hashes:
    return look(rgb).whole


def apart(one: Hashes, other: Hashes) -> list[int]:
    return [int(bits) for bits in np.bitwise_count(one.bits ^ other.bits).sum(axis=1)]


def posed(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], pose: int) -> Hashes:
    return whole(np.ascontiguousarray(np.moveaxis(pose_pixels(np.moveaxis(rgb, -1, 0), pose), 0, -1)))


@pytest.mark.parametrize("pose", range(POSES))
def test_a_pose_of_the_hash_is_the_hash_of_the_pose(pose: int) -> None:
    for seed in range(4):
        rgb = np.asarray(picture(seed))
        assert max(apart(whole(rgb).posed(pose), posed(rgb, pose))) <= 2  # rounding, at the threshold
        assert pose == 0 or min(apart(whole(rgb), posed(rgb, pose))) > 30


@pytest.mark.parametrize("pose", range(POSES))
def test_the_inverse_pose_takes_it_back(pose: int) -> None:
    rgb = np.asarray(picture(1))
    hashes, pixels = whole(rgb), rgb[:, :, 0]
    assert apart(hashes.posed(pose).posed(inverse_pose(pose)), hashes) == [0]
    np.testing.assert_array_equal(pose_pixels(pose_pixels(pixels, pose), inverse_pose(pose)), pixels)


def test_other_pictures_are_far() -> None:
    hashes = [whole(np.asarray(picture(seed))) for seed in range(12)]
    assert min(apart(a, b)[0] for n, a in enumerate(hashes) for b in hashes[:n]) > 35


@pytest.mark.parametrize("pose", range(POSES))
def test_every_sixth_has_its_doubtful_bits_in_every_pose(pose: int) -> None:
    doubtful = whole(np.asarray(picture(2))).posed(pose).doubtful
    for table in range(TABLES):
        sixth = doubtful[:, table // 3] >> np.uint64(KEY_BITS * (table % 3)) & np.uint64((1 << KEY_BITS) - 1)
        assert np.bitwise_count(sixth).tolist() == [DOUBTS]


def test_a_grey_picture_has_no_colour_bits_whatever_its_coding() -> None:
    grey = picture(3).convert("L").convert("RGB")
    noisy = np.asarray(grey).astype(np.int16) + np.random.default_rng(0).integers(-1, 2, (240, 320, 3))
    hashes = whole(np.asarray(grey)), whole(noisy.clip(0, 255).astype(np.uint8))
    assert np.bitwise_count(hashes[0].dead).sum(axis=1).min() >= 64
    assert max(apart(*hashes)) <= 3
    assert not (hashes[0].bits & hashes[0].dead).any()


def test_bytes_come_back() -> None:
    looks = [look(np.asarray(picture(seed))) for seed in range(3)]
    joined = Looks.from_bytes(b"".join(part.to_bytes() for part in looks))
    assert len(joined) == 3
    for number, part in enumerate(looks):
        np.testing.assert_array_equal(joined.inner[number], part.inner[0])
        for name in ("bits", "dead", "doubtful"):
            np.testing.assert_array_equal(getattr(joined.whole, name)[number], getattr(part.whole, name)[0])
    assert len(Looks.from_bytes(b"")) == 0


def test_the_inner_view_is_that_of_a_picture_cut_on_all_sides() -> None:
    rgb = np.asarray(picture(4).resize((1000, 1000)))
    inner = look(rgb[27:-27, 27:-27]).whole.bits ^ look(rgb).inner
    assert np.bitwise_count(inner).sum() <= 2


def test_a_picture_of_one_pixel_row_and_one_of_one_colour() -> None:
    assert len(look(np.zeros((1, 40, 3), np.uint8))) == 1
    flat = whole(np.asarray(Image.new("RGB", (90, 50), (200, 10, 99))))
    assert np.bitwise_count(flat.dead).sum(axis=1).tolist() == [128]
