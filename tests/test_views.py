"""`make_views` pixel by pixel on pictures whose answer can be worked out by hand, and the strict JSON form."""

from __future__ import annotations

import copy
import json
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from handlens.specimen import Box, Specimen, whole_frame
from handlens.views import BadPreprocessingError, Preprocessing, View, make_views

PADDED, WHOLE = View("padded"), View("crop", 1.0)
STORED: dict[str, Any] = {
    "format": 1,
    "side": 64,
    "views": [{"kind": "padded"}, {"kind": "crop", "fraction": 0.65}],
    "fill": 127,
    "resampling": "bicubic",
}


def views(rgb: NDArray[np.uint8], *wanted: View, side: int = 32, **options: Any) -> NDArray[np.uint8]:
    return make_views(rgb, whole_frame(rgb), Preprocessing(side, wanted, **options))


def columns(*bands: tuple[int, tuple[int, int, int]], height: int) -> NDArray[np.uint8]:
    """A picture of vertical bands: (width, colour) each."""
    row = np.concatenate([np.full((width, 3), colour, np.uint8) for width, colour in bands])
    return np.ascontiguousarray(np.broadcast_to(row, (height, *row.shape)))


def test_shape_type_and_order_of_the_views() -> None:
    rgb = columns((32, (9, 9, 9)), (32, (200, 100, 0)), height=32)
    made = views(rgb, PADDED, WHOLE, View("crop", 0.5), side=16)
    assert made.shape == (3, 16, 16, 3)
    assert made.dtype == np.uint8
    for place, view in enumerate((PADDED, WHOLE, View("crop", 0.5))):
        np.testing.assert_array_equal(made[place], views(rgb, view, side=16)[0])
    assert (made[0] != made[1]).any()


def test_a_square_photo_of_the_right_size_passes_unchanged() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    made = views(rgb, PADDED, WHOLE)
    np.testing.assert_array_equal(made[0], rgb)
    np.testing.assert_array_equal(made[1], rgb)


@pytest.mark.parametrize("resampling", ["bicubic", "lanczos"])
def test_one_colour_keeps_its_channels_in_the_order_red_green_blue(resampling: str) -> None:
    rgb = np.full((50, 70, 3), (200, 30, 60), np.uint8)
    made = views(rgb, WHOLE, View("crop", 0.3), resampling=resampling)
    assert (made == (200, 30, 60)).all()


def test_a_landscape_photo_is_padded_above_and_below() -> None:
    rgb = np.full((30, 60, 3), (10, 20, 30), np.uint8)
    square = views(rgb, PADDED, fill=99)[0]
    assert (square[8:24] == (10, 20, 30)).all()
    assert (square[:8] == 99).all()
    assert (square[24:] == 99).all()


def test_a_portrait_photo_is_padded_left_and_right() -> None:
    rgb = np.full((60, 30, 3), (10, 20, 30), np.uint8)
    square = views(rgb, PADDED)[0]
    assert (square[:, 8:24] == (10, 20, 30)).all()
    assert (square[:, :8] == 127).all()
    assert (square[:, 24:] == 127).all()


def test_an_odd_margin_is_wider_below_and_right() -> None:
    # 32 by 21 in a square of 32: 11 rows of margin, 5 above and 6 below.
    square = views(np.zeros((21, 32, 3), np.uint8), PADDED)[0]
    assert (square[:5] == 127).all()
    assert (square[5:26] == 0).all()
    assert (square[26:] == 127).all()


def test_the_crop_is_the_centred_square_of_the_shorter_side() -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    rgb = columns((40, red), (32, green), (40, blue), height=32)
    np.testing.assert_array_equal(views(rgb, WHOLE)[0], np.full((32, 32, 3), green))
    turned = np.ascontiguousarray(rgb.transpose(1, 0, 2))
    np.testing.assert_array_equal(views(turned, WHOLE)[0], np.full((32, 32, 3), green))


def test_the_fraction_is_of_the_shorter_side() -> None:
    # A centre of 16 by 16 in a frame: half of 32 is exactly the centre, and a little more is not.
    rgb = np.full((32, 64, 3), 200, np.uint8)
    rgb[8:24, 24:40] = np.random.default_rng(2).integers(0, 100, (16, 16, 3))
    np.testing.assert_array_equal(views(rgb, View("crop", 0.5), side=16)[0], rgb[8:24, 24:40])
    assert views(rgb, View("crop", 0.6), side=16)[0].max() > 150


def test_an_enlarged_photo_has_its_edges_where_they_belong() -> None:
    rgb = columns((8, (0, 0, 0)), (8, (255, 255, 255)), height=16)
    square = views(rgb, WHOLE, side=64)[0]
    assert (square[:, :28] == 0).all()
    assert (square[:, 36:] == 255).all()


@pytest.mark.parametrize(("height", "width"), [(1, 400), (400, 1), (1, 1), (2, 5000)])
def test_one_pixel_thin_specimens_give_whole_views(height: int, width: int) -> None:
    rgb = np.full((height, width, 3), (50, 60, 70), np.uint8)
    made = views(rgb, PADDED, WHOLE, View("crop", 0.65))
    assert (made[1:] == (50, 60, 70)).all()
    inside = (made[0] == (50, 60, 70)).all(axis=2)
    assert (made[0][~inside] == 127).all()
    assert inside.sum() == max(1, round(32 * min(height, width) / max(height, width))) * 32


def test_only_the_box_of_the_specimen_is_looked_at() -> None:
    rgb = np.full((80, 90, 3), 255, np.uint8)
    rgb[10:42, 20:52] = np.random.default_rng(3).integers(0, 100, (32, 32, 3))
    specimen = Specimen(Box(20, 10, 52, 42), fills_frame=False)
    made = make_views(rgb, specimen, Preprocessing(32, (PADDED, WHOLE)))
    np.testing.assert_array_equal(made[0], rgb[10:42, 20:52])
    np.testing.assert_array_equal(made[1], rgb[10:42, 20:52])


def test_the_photo_is_not_changed_and_may_be_read_only() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (40, 60, 3), np.uint8)
    before = rgb.copy()
    rgb.flags.writeable = False
    views(rgb, PADDED, WHOLE)
    np.testing.assert_array_equal(rgb, before)


def test_needed_side_is_twice_the_finest_view() -> None:
    assert Preprocessing(260, (PADDED, WHOLE, View("crop", 0.65))).needed_side == 800
    assert Preprocessing(32, (PADDED,)).needed_side == 64
    assert Preprocessing(2048, (View("crop", 0.01),)).needed_side == 409_600


@pytest.mark.parametrize("resampling", ["bicubic", "lanczos"])
def test_the_stored_form_comes_back_the_same(resampling: Literal["bicubic", "lanczos"]) -> None:
    for made in (
        Preprocessing(224, (PADDED,), 0, resampling),
        Preprocessing(260, (PADDED, WHOLE, View("crop", 0.65)), 255, resampling),
    ):
        assert Preprocessing.from_dict(json.loads(json.dumps(made.as_dict()))) == made
    assert Preprocessing.from_dict(STORED).as_dict() == STORED


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """STORED with one value replaced, or a key removed where `value` is the word "REMOVED"."""
    stored = copy.deepcopy(STORED)
    place: Any = stored
    for step in path[:-1]:
        place = place[step]
    if value == "REMOVED":
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return stored


ANYTHING_ELSE: list[Any] = [None, "x", [], {}, -1, 1e99, float("nan")]
BAD_FRACTIONS: list[Any] = [0, -0.5, 1.01, 1e-320, float("nan"), "0.5", None, True, []]
WRONG: list[tuple[tuple[Any, ...], Any]] = [
    *[((key,), "REMOVED") for key in STORED],
    *[((key,), value) for key in STORED for value in ANYTHING_ELSE],
    (("format",), 2),
    (("side",), 15),
    (("side",), 2049),
    (("side",), 32.0),
    (("fill",), 256),
    (("fill",), True),
    (("resampling",), "nearest"),
    (("views",), [{"kind": "padded"}] * 17),
    (("views",), ["padded"]),
    (("views",), [["kind", "padded"]]),
    (("views", 0, "kind"), "REMOVED"),
    (("views", 0, "kind"), "masked"),
    (("views", 0, "kind"), ["padded"]),
    (("views", 0, "fraction"), 0.5),
    (("views", 0, "mirror"), True),
    *[(("views", 1, "fraction"), value) for value in BAD_FRACTIONS],
    (("mean",), [0.5, 0.5, 0.5]),
]


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_what_is_stored_is_read_strictly(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(BadPreprocessingError) as caught:
        Preprocessing.from_dict(changed(path, value))
    assert caught.value.code == "bad-preprocessing"
    assert caught.value.detail


@pytest.mark.parametrize("stored", [None, 3, "x", [], [STORED]])
def test_what_is_no_object_is_refused(stored: Any) -> None:
    with pytest.raises(BadPreprocessingError):
        Preprocessing.from_dict(stored)
