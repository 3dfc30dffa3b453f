"""One photo → its picture, box and area, with a localiser that answers what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

import handlens
from handlens.dataset.prepare import PrepareSettings, prepare
from handlens.dataset.prepare.origin_mask import origin_picture
from handlens.dataset.prepare.picture import make_picture
from handlens.dataset.prepare.resize import resized
from handlens.specimen import Box, Specimen, grey_background, whole_frame

from .small_workspace import small_workspace

LOCALISER = Path(handlens.__file__).parent / "localiser"


class Told:
    """Finds the specimen in the middle half of every photo, or not at all."""

    def __init__(self, *, fills_frame: bool = False) -> None:
        self.fills_frame = fills_frame

    def locate(self, rgb: NDArray[np.uint8]) -> Specimen:
        if self.fills_frame:
            return whole_frame(rgb)
        height, width = rgb.shape[:2]
        mask = np.zeros((128, 128), np.uint8)
        mask[32:96, 32:96] = 255
        return Specimen(Box(width // 4, height // 4, 3 * width // 4, 3 * height // 4), fills_frame=False, mask=mask)


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Path, NDArray[np.uint8]]:
    rgb = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    return tmp_path / "photo.png", rgb


def specimen(**settings: Any) -> PrepareSettings:
    return PrepareSettings(mode="specimen", side=64, **settings)


def test_crop(photo: tuple[Path, NDArray[np.uint8]]) -> None:
    path, rgb = photo
    made = make_picture(path, "photo", specimen(), Told())
    assert np.array_equal(made.picture, resized(np.ascontiguousarray(rgb[30:90, 40:120]), 64, "inside"))
    assert made.box == (40, 30, 120, 90)
    assert made.area == 0.25


def test_grey(photo: tuple[Path, NDArray[np.uint8]]) -> None:
    path, rgb = photo
    made = make_picture(path, "photo", specimen(specimen="grey", fill=90), Told())
    wanted = grey_background(rgb, Told().locate(rgb), 90)
    assert np.array_equal(made.picture, resized(wanted, 64, "inside"))
    assert (made.picture[:6] == 90).all()


def test_both(photo: tuple[Path, NDArray[np.uint8]]) -> None:
    path, rgb = photo
    made = make_picture(path, "photo", specimen(specimen="both", fit="stretch"), Told())
    wanted = grey_background(rgb, Told().locate(rgb))[30:90, 40:120]
    assert np.array_equal(made.picture, resized(np.ascontiguousarray(wanted), 64, "stretch"))


@pytest.mark.parametrize("what", ["crop", "grey", "both"])
def test_a_specimen_that_fills_the_frame_leaves_the_photo_as_it_is(
    photo: tuple[Path, NDArray[np.uint8]], what: str
) -> None:
    path, rgb = photo
    made = make_picture(path, "photo", specimen(specimen=what), Told(fills_frame=True))
    assert np.array_equal(made.picture, resized(rgb, 64, "inside"))
    assert (made.box, made.area) == ((0, 0, 160, 120), 1.0)


def test_the_box_is_in_pixels_of_the_photo_not_of_its_reduction(tmp_path: Path) -> None:
    Image.new("RGB", (3200, 2400), (90, 120, 40)).save(tmp_path / "large.jpg")
    made = make_picture(tmp_path / "large.jpg", "large", specimen(), Told())
    assert made.box == (800, 600, 2400, 1800)


def test_resize_looks_for_no_specimen(photo: tuple[Path, NDArray[np.uint8]]) -> None:
    path, rgb = photo
    made = make_picture(path, "photo", PrepareSettings(side=64, fit="pad", fill=9), None)
    assert np.array_equal(made.picture, resized(rgb, 64, "pad", fill=9))
    assert (made.box, made.area) == ((), None)


def test_the_origin_mask_sees_the_photo_unreduced(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2000, 2100, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "noise.png")
    made = make_picture(tmp_path / "noise.png", "noise", PrepareSettings(mode="origin-mask"), None)
    assert np.array_equal(made.picture, origin_picture(rgb))


def test_sides_and_formats() -> None:
    assert (PrepareSettings().pixels, PrepareSettings().suffix) == (416, "jpg")
    origin = PrepareSettings(mode="origin-mask")
    assert (origin.pixels, origin.suffix) == (96, "png")
    assert PrepareSettings(side=128).suffix == "png"
    assert PrepareSettings(side=129).suffix == "jpg"
    assert PrepareSettings(side=500, format="png").suffix == "png"


@pytest.mark.parametrize(
    "wrong", [{"side": 0}, {"fill": 256}, {"mode": "blur"}, {"fit": "squeeze"}, {"quality": 0}, {"sides": 5}]
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings(**wrong)


@pytest.mark.skipif(not LOCALISER.is_dir(), reason="this version ships no localiser")
def test_the_stage_with_the_localiser_that_ships(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 3)
    prepare(workspace, PrepareSettings(mode="specimen", side=64), workers=1)
    for row in list(workspace.rows("prepare"))[1:-1]:
        left, top, right, bottom = row.box
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 90
        assert row.specimen_area is not None
        assert 0 < row.specimen_area <= 1
