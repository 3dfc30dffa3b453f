"""The origin's mask pipeline: pictures and masks made by hand with known answers, and the definition read slowly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from handlens.dataset.prepare.origin_mask import (
    centre_square,
    judged,
    mask_of_square,
    masked,
    origin_mask,
    origin_picture,
    outlined,
)
from handlens.photo import read_photo

from .slow_mask import slow_judged, slow_mask

Picture = NDArray[np.uint8]
GREY = (128, 128, 128)
RED = (200, 30, 30)


def plain(colour: tuple[int, int, int] = GREY) -> Picture:
    return np.full((256, 256, 3), colour, np.uint8)


def drawn(seed: int, side: int = 256) -> Picture:
    """Overlapping polygons on a shaded, noisy backdrop, some of them cut by the frame."""
    rng = np.random.default_rng(seed)
    shade = np.linspace(40, 200, side)[:, None, None] * rng.uniform(0.5, 1, 3)
    noisy = shade + rng.normal(0, rng.uniform(0, 6), (side, side, 3))
    picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 40))):
        x, y = rng.uniform(0, side, 2)
        corners = [(x + dx, y + dy) for dx, dy in rng.normal(0, side / 8, (4, 2))]
        red, green, blue = rng.integers(0, 256, 3).tolist()
        pen.polygon(corners, fill=(red, green, blue))
    return np.asarray(picture)


def empty_mask() -> NDArray[np.uint8]:
    return np.zeros((256, 256), np.uint8)


# Pictures: edges and outlines


def square_on_grey(side: int) -> Picture:
    picture = plain()
    picture[60 : 60 + side, 80 : 80 + side] = 250
    return picture


@pytest.mark.parametrize("side", [43, 60, 100])
def test_a_square_is_filled_with_its_edge(side: int) -> None:
    # Canny puts the edge on the last grey pixel above and left, and on the last pixel of the square below and right;
    # the Gaussian widens it by one. Corners are rounded, so one of the four loses one pixel at the tip of the edge.
    wanted = np.zeros((256, 256), bool)
    wanted[58 : 61 + side, 78 : 81 + side] = True
    found = mask_of_square(square_on_grey(side))
    assert not found[~wanted].any()
    assert (wanted & ~found).sum() == 5
    assert found[60 : 60 + side, 80 : 80 + side].sum() >= side * side - 1


def test_small_islands_are_removed() -> None:
    # (42 + 3)^2 - 5 = 2,020 pixels and (43 + 3)^2 - 5 = 2,111: a 1/32 of the picture is 2,048.
    assert not mask_of_square(square_on_grey(42)).any()
    assert mask_of_square(square_on_grey(43)).sum() == 2111


def test_the_hole_of_a_ring_is_filled() -> None:
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 128, columns - 128)
    picture = plain()
    picture[(distance > 60) & (distance < 100)] = 240
    found = mask_of_square(picture)
    assert found[distance < 100].all()
    assert not found[distance > 103].any()


def test_even_a_hole_of_more_than_a_third_is_filled() -> None:
    picture = plain()
    picture[20:240, 20:240] = 240
    picture[25:235, 25:235] = GREY  # 44,100 pixels
    assert mask_of_square(picture)[25:235, 25:235].all()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_an_edge_of_any_channel_counts(channel: int) -> None:
    picture = plain()
    picture[60:160, 60:160, channel] = 250
    assert mask_of_square(picture)[60:160, 60:160].sum() >= 9_999


def step(height: int) -> Picture:
    """From top to bottom, so that no corner adds to the gradient."""
    picture = plain()
    picture[:, 128:] += np.uint8(height)
    return picture


def test_thresholds_of_canny() -> None:
    # The Sobel operator answers a straight step with four times its height: 25 gives 100, which is not above 100.
    assert not outlined(step(25)).any()
    assert np.flatnonzero(outlined(step(26)).all(axis=0)).tolist() == [126, 127, 128]


@pytest.mark.parametrize(("weak", "goes_on"), [(18, False), (19, True), (25, True)])
def test_a_weak_edge_counts_where_a_strong_one_goes_on(weak: int, goes_on: bool) -> None:
    # 18 gives 72, 19 gives 76: above 75.
    picture = step(weak)
    assert not outlined(picture).any()
    picture[:40, 128:] = 128 + 40
    assert outlined(picture)[200, 127] == goes_on


def test_an_outline_cut_by_the_frame_holds_nothing_until_its_colour_is_judged() -> None:
    picture = plain()
    picture[:100, :100] = RED
    band = outlined(picture)
    assert not band[:97, :97].any()
    assert band[98:101, :98].all()
    found = mask_of_square(picture)
    assert found[:100, :98].all()
    assert not found[103:].any()
    assert not found[:, 103:].any()


def test_a_grey_corner_is_not_rescued() -> None:
    picture = plain()
    picture[:100, :100] = 60
    assert not mask_of_square(picture).any()  # the band alone is too small


# Masks: which components change sides


def split_by_a_wall(background: int) -> tuple[Picture, NDArray[np.uint8]]:
    """The first `background` pixels are one component, then come two rows of wall and the rest of the background."""
    flat = np.zeros(256 * 256, np.uint8)
    flat[background : background + 4 * 256] = 1
    mask = flat.reshape(256, 256)
    picture = plain((90, 90, 90))
    picture.reshape(-1, 3)[:background] = RED
    picture[mask == 1] = RED
    return picture, mask


def test_background_of_less_than_a_third_is_rescued() -> None:
    picture, mask = split_by_a_wall(21_845)
    assert judged(picture, mask).sum() == 21_845 + 4 * 256
    picture, mask = split_by_a_wall(21_846)
    assert not judged(picture, mask).any()  # and the wall alone, 1,024 pixels, is too small


@pytest.mark.parametrize(("area", "kept"), [(2047, 0), (2048, 2048)])
def test_foreground_of_a_32nd_is_kept(area: int, kept: int) -> None:
    mask = empty_mask()
    mask.reshape(-1)[:area] = 1
    assert judged(plain(), mask).sum() == kept


def wall_with_patch(
    patch: tuple[int, int, int],
    foreground: tuple[int, int, int],
    background: tuple[int, int, int] = (90, 90, 90),
) -> bool:
    """Whether a patch of background in the corner, of one colour, is rescued."""
    mask = empty_mask()
    mask[60:100, :100] = 1
    mask[:100, 60:100] = 1
    picture = plain(background)
    picture[mask == 1] = foreground
    picture[:60, :60] = patch
    found = judged(picture, mask)
    assert found[60:100, :60].all()
    assert not found[100:].any()
    corner = found[:60, :60]
    assert corner.all() or not corner.any()
    return bool(corner.all())


@pytest.mark.parametrize(("red", "rescued"), [(182, False), (183, True)])
def test_the_variance_of_the_channel_means_exceeds_a_hundredth(red: int, rescued: bool) -> None:
    # 2/9 of the squared difference: 54 of 255 give 0.00997, 55 give 0.01034.
    assert wall_with_patch((red, 128, 128), (red, 128, 128)) is rescued


@pytest.mark.parametrize(
    ("patch", "foreground", "rescued"),
    [
        (RED, RED, True),
        (RED, (160, 60, 60), True),
        ((255, 190, 190), (200, 100, 100), False),  # nearer to white
        ((60, 0, 0), (200, 0, 0), False),  # nearer to black
        ((100, 0, 0), (200, 0, 0), False),  # as near to black as to the foreground
        ((120, 0, 0), (200, 0, 0), True),
        ((90, 90, 20), (200, 30, 30), False),  # nearer to the background
    ],
)
def test_the_nearest_colour_decides(
    patch: tuple[int, int, int], foreground: tuple[int, int, int], rescued: bool
) -> None:
    assert wall_with_patch(patch, foreground) is rescued


def test_the_means_are_those_before_any_rescue() -> None:
    # The first patch is rescued; were the foreground's mean taken anew, it would be so much greener that the second
    # patch, judged later, would be rescued, too.
    mask = empty_mask()
    mask[:, 120:128] = 1
    mask[60:68, :] = 1
    picture = plain((60, 60, 160))
    picture[mask == 1] = (150, 60, 60)
    picture[:60, :120] = (150, 110, 40)
    picture[:60, 128:] = (80, 160, 60)
    assert np.array_equal(judged(picture, mask), slow_judged(picture, mask == 1))
    found = judged(picture, mask)
    assert found[:60, :120].all()
    assert not found[:60, 128:].any()
    again = judged(picture, found.astype(np.uint8))
    assert again[:60, 128:].all()


def test_background_holds_together_by_corners() -> None:
    # Two patches that touch by a corner are one component: together they are no less than a third.
    def patches(corner: bool) -> NDArray[np.bool_]:
        mask = np.ones((256, 256), np.uint8)
        mask[:100, :120] = 0
        mask[100:206, 120:230] = 0
        if not corner:
            mask[100, 120] = 1
            mask[101, 120] = 1
            mask[100, 121] = 1
        picture = plain((40, 40, 90))
        picture[:] = RED
        return judged(picture, mask)

    # All of one colour, so that nothing but size speaks against a rescue... but then the means are equal: a tie.
    assert not patches(corner=True)[50, 50]
    mask = np.ones((256, 256), np.uint8)
    mask[:100, :120] = 0
    mask[100:206, 120:230] = 0
    picture = plain(RED)
    picture[200, 128:228] = (0, 0, 255)  # the background's mean differs from the foreground's a little
    assert not judged(picture, mask)[50, 50]
    mask[99, 119] = 1
    assert judged(picture, mask)[50, 50]


def test_foreground_does_not_hold_together_by_corners() -> None:
    mask = empty_mask()
    mask[:40, :40] = 1
    mask[40:80, 40:80] = 1
    assert not judged(plain(), mask).any()  # twice 1,600
    mask[40, 39] = 1
    assert judged(plain(), mask).sum() == 3201


def test_no_foreground_and_no_background() -> None:
    assert not judged(plain(RED), empty_mask()).any()
    assert judged(plain(RED), np.ones((256, 256), np.uint8)).all()


# The whole way


def test_an_empty_foreground_gives_black() -> None:
    picture = origin_picture(plain(RED))
    assert picture.shape == (96, 96, 3)
    assert not picture.any()


def test_the_background_is_black_and_the_specimen_is_not() -> None:
    picture = origin_picture(square_on_grey(100))
    assert picture[34, 40].tolist() == [250, 250, 250]
    assert not picture[:15].any()
    assert not picture[:, 75:].any()


@pytest.mark.parametrize("side", [32, 96, 224, 256])
def test_any_side(side: int) -> None:
    picture = origin_picture(square_on_grey(100), side)
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("shape", [(300, 480), (300, 481), (481, 300), (256, 256), (64, 40)])
def test_the_centre_square(shape: tuple[int, int]) -> None:
    photo = drawn(5, 490)[: shape[0], : shape[1]]
    height, width = shape
    side = min(shape)
    crop = Image.fromarray(np.ascontiguousarray(photo)).crop(
        ((width - side) // 2, (height - side) // 2, (width - side) // 2 + side, (height - side) // 2 + side)
    )
    wanted = np.asarray(crop.resize((256, 256), Image.Resampling.LANCZOS))
    assert np.array_equal(centre_square(photo), wanted)
    assert np.array_equal(origin_mask(photo), mask_of_square(wanted))
    black = np.where(origin_mask(photo)[..., None], wanted, np.uint8(0))
    lanczos = Image.fromarray(black).resize((96, 96), Image.Resampling.LANCZOS)
    assert np.array_equal(origin_picture(photo), np.asarray(lanczos))


@pytest.mark.parametrize("seed", range(12))
def test_drawn_pictures_as_the_definition_reads(seed: int) -> None:
    picture = drawn(seed)
    assert np.array_equal(mask_of_square(picture), slow_mask(picture))


def test_drawn_pictures_try_every_step() -> None:
    rescued = removed = empty = 0
    for seed in range(12):
        picture = drawn(seed)
        before, after = outlined(picture).astype(bool), mask_of_square(picture)
        rescued += bool((after & ~before).any())
        removed += bool((before & ~after).any())
        empty += not after.any()
    assert min(rescued, removed) >= 3
    assert empty < 6


@pytest.mark.real_photos
def test_real_photos_as_the_definition_reads(real_photos: Callable[[str, int], list[Path]]) -> None:
    for path in real_photos("train", 16):
        square = centre_square(read_photo(path).rgb)
        assert np.array_equal(mask_of_square(square), slow_mask(square)), path.name


def test_several_threads_and_an_unchanged_photo() -> None:
    photos = [drawn(seed, 300) for seed in range(12)]
    before = [photo.copy() for photo in photos]
    threads = cv2.getNumThreads()
    one_by_one = [origin_picture(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert all(map(np.array_equal, pool.map(origin_picture, photos), one_by_one))
    assert all(map(np.array_equal, photos, before))
    assert cv2.getNumThreads() == threads


def test_masked_leaves_the_foreground_as_it_is() -> None:
    picture, mask = drawn(3), np.zeros((256, 256), bool)
    mask[20:90, 40:200] = True
    assert np.array_equal(masked(picture, mask, 256), np.where(mask[..., None], picture, np.uint8(0)))
