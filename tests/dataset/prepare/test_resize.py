"""Pictures of any size at the size wanted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from handlens.dataset.prepare.resize import Fit, resized

RNG = np.random.default_rng(2)
WIDE = RNG.integers(0, 256, (90, 180, 3), np.uint8)
TALL = RNG.integers(0, 256, (181, 90, 3), np.uint8)


def lanczos(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], size: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def test_inside_keeps_the_shape() -> None:
    assert np.array_equal(resized(WIDE, 60, "inside"), lanczos(WIDE, (60, 30)))
    assert np.array_equal(resized(TALL, 60, "inside"), lanczos(TALL, (30, 60)))
    assert resized(WIDE[:1], 60, "inside").shape == (1, 60, 3)


def test_pad_puts_it_in_the_middle_of_grey() -> None:
    picture = resized(WIDE, 60, "pad", fill=50)
    assert np.array_equal(picture[15:45], lanczos(WIDE, (60, 30)))
    assert (picture[:15] == 50).all()
    assert (picture[45:] == 50).all()


def test_crop_takes_the_centre() -> None:
    assert np.array_equal(resized(WIDE, 60, "crop"), lanczos(np.ascontiguousarray(WIDE[:, 45:135]), (60, 60)))
    assert np.array_equal(resized(TALL, 60, "crop"), lanczos(TALL[45:135], (60, 60)))


def test_stretch_takes_all() -> None:
    assert np.array_equal(resized(TALL, 60, "stretch"), lanczos(TALL, (60, 60)))


def test_bicubic() -> None:
    wanted = np.asarray(Image.fromarray(TALL).resize((60, 60), Image.Resampling.BICUBIC))
    assert np.array_equal(resized(TALL, 60, "stretch", resampling="bicubic"), wanted)
    assert not np.array_equal(resized(TALL, 60, "stretch"), wanted)


@pytest.mark.parametrize("fit", ["inside", "pad", "crop", "stretch"])
def test_small_pictures_are_enlarged(fit: Fit) -> None:
    assert max(resized(WIDE[:20, :30], 200, fit).shape) == 200
