"""Near-duplicates of drawn pictures: every kind of copy is found, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from handlens.dataset.check.looks import POSES, Looks, inverse_pose, look, pose_pixels
from handlens.dataset.check.near import NearPairs, confirmed_pairs, proposed_pairs
from handlens.dataset.check.same_picture import Thumbnail, resemblance
from handlens.dataset.check.settings import CheckSettings

from .drawn import cropped, encoded, mirrored, picture, resized

LIKENESS = CheckSettings().likeness
MAKE: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": resized,
    "cropped": cropped,
    "mirrored": mirrored,
    "turned": lambda im: im.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda im: im.point(lambda level: min(255, round(level * 1.15))),
    "blurred": lambda im: im.filter(ImageFilter.GaussianBlur(1)),
}


def reread(im: Image.Image, quality: int = 60) -> Image.Image:
    return Image.open(io.BytesIO(encoded(im, quality=quality))).convert("RGB")


def near(pictures: list[Image.Image]) -> NearPairs:
    looks = Looks.from_bytes(b"".join(look(np.asarray(im)).to_bytes() for im in pictures))
    thumbnails = [Thumbnail.of(np.asarray(im)).to_bytes() for im in pictures]
    return confirmed_pairs(proposed_pairs(looks), thumbnails.__getitem__, LIKENESS)


@pytest.mark.parametrize("kind", MAKE)
def test_copies_are_found_and_strangers_are_not(kind: str) -> None:
    count = 25
    originals = [picture(seed) for seed in range(count)]
    found = near(originals + [reread(MAKE[kind](im)) for im in originals])
    assert found.pairs.tolist() == [[number, number + count] for number in range(count)]
    assert found.likeness.min() >= LIKENESS


@pytest.mark.parametrize("pose", range(1, POSES))
def test_the_pose_is_told_from_the_earlier_to_the_later(pose: int) -> None:
    rgb = np.asarray(picture(5))
    other = np.ascontiguousarray(np.moveaxis(pose_pixels(np.moveaxis(rgb, -1, 0), pose), 0, -1))
    for one, two, expected in ((rgb, other, pose), (other, rgb, inverse_pose(pose))):
        looks = Looks.from_bytes(look(one).to_bytes() + look(two).to_bytes())
        assert proposed_pairs(looks).tolist() == [[0, 1, expected]]
        seen = resemblance(Thumbnail.of(one).posed(expected), Thumbnail.of(two))
        assert seen is not None
        assert seen.is_copy(LIKENESS)


def test_too_much_cut_off_is_no_copy() -> None:
    im = picture(6)
    half = im.crop((0, 0, im.width // 2, im.height))
    assert len(near([im, half])) == 0


def test_other_colours_are_no_copy() -> None:
    rgb = np.asarray(picture(7))
    assert resemblance(Thumbnail.of(rgb), Thumbnail.of(np.ascontiguousarray(rgb[:, :, ::-1]))) is None or not (
        resemblance(Thumbnail.of(rgb), Thumbnail.of(np.ascontiguousarray(rgb[:, :, ::-1]))).is_copy(LIKENESS)  # type: ignore[union-attr]
    )


def test_stones_on_one_background_are_no_copies() -> None:
    """Same light, same place, same size: only the stone is another."""
    y, x = np.mgrid[-1:1:240j, -1:1:240j]
    stone = (x**2 + y**2 < 0.35)[:, :, None]
    rng = np.random.default_rng(4)
    pictures = []
    for _ in range(12):
        grain = np.asarray(Image.fromarray(rng.integers(60, 200, (30, 30), np.uint8)).resize((240, 240)))
        pictures.append(
            Image.fromarray(np.where(stone, grain[:, :, None], 8).repeat(3, axis=2)[:, :, :3].astype(np.uint8))
        )
    assert len(near(pictures)) == 0


def test_pictures_of_one_colour_break_nothing() -> None:
    flat = Thumbnail.of(np.full((50, 60, 3), 90, np.uint8))
    seen = resemblance(flat, flat)
    assert seen is None or seen.detail <= 1
    assert len(near([])) == 0


def test_thumbnails_come_back_from_bytes(tmp_path: Path) -> None:
    thumbnail = Thumbnail.of(np.asarray(picture(8)))
    again = Thumbnail.from_bytes(thumbnail.to_bytes())
    np.testing.assert_array_equal(again.luma, thumbnail.luma)
    np.testing.assert_array_equal(again.chroma, thumbnail.chroma)
