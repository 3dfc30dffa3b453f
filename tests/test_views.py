"""`make_views` pixel by pixel on pictures whose answer can be worked out by hand, and the strict JSON form."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundles import WITHOUT_OPENCV
from commands import environment
from handlens.photo import read_photo
from handlens.selftest import drawn_picture
from handlens.specimen import Box, Specimen, whole_frame
from handlens.views import BadPreprocessingError, Preprocessing, View, make_views

PADDED, WHOLE = View("padded"), View("crop", 1.0)
MASKED = Preprocessing(96, (WHOLE,), mask="origin")
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


def test_a_view_of_the_specimen_is_of_its_box_and_one_of_the_frame_is_not() -> None:
    rgb = np.full((80, 90, 3), 255, np.uint8)
    rgb[10:42, 20:52] = np.random.default_rng(3).integers(0, 100, (32, 32, 3))
    specimen = Specimen(Box(20, 10, 52, 42), fills_frame=False)
    wanted = (View("padded", region="specimen"), View("crop", 1.0, "specimen"), PADDED, WHOLE)
    made = make_views(rgb, specimen, Preprocessing(32, wanted))
    np.testing.assert_array_equal(made[0], rgb[10:42, 20:52])
    np.testing.assert_array_equal(made[1], rgb[10:42, 20:52])
    np.testing.assert_array_equal(made[2:], views(rgb, PADDED, WHOLE))


def test_a_grey_view_has_no_background() -> None:
    rgb = np.full((128, 128, 3), (250, 10, 10), np.uint8)
    rgb[32:96, 32:96] = (10, 200, 10)
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96] = 255
    specimen = Specimen(Box(26, 26, 102, 102), fills_frame=False, mask=mask)
    plain, grey, whole = make_views(
        rgb,
        specimen,
        Preprocessing(
            76, (View("padded", region="specimen"), View("padded", 1.0, "specimen", True), View("padded", grey=True))
        ),
    )
    assert (plain[0, 0] == (250, 10, 10)).all()
    for corner in (grey[0, 0], grey[-1, -1], whole[0, 0]):
        assert (corner == 127).all()
    assert (grey[38, 38] == (10, 200, 10)).all()
    np.testing.assert_array_equal(plain[20:56, 20:56], grey[20:56, 20:56])


def test_a_specimen_that_fills_the_frame_is_not_greyed() -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)
    made = views(rgb, View("padded", 1.0, "specimen", True), PADDED)
    np.testing.assert_array_equal(made[0], made[1])


def test_a_view_that_is_one_of_the_others_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[Box] = []
    padded = make_views.__globals__["_padded"]

    def counted(picture: Image.Image, box: Box, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        boxes.append(box)
        made: NDArray[np.uint8] = padded(picture, box, preprocessing)
        return made

    monkeypatch.setattr("handlens.views._padded", counted)
    rgb = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)
    grey, frame = View("padded", 1.0, "specimen", True), Box(0, 0, 60, 40)
    made = make_views(rgb, whole_frame(rgb), Preprocessing(32, (grey, PADDED, WHOLE, View("crop", 0.5), PADDED)))
    assert boxes == [frame]
    for place in (1, 4):
        np.testing.assert_array_equal(made[place], made[0])
    assert not np.array_equal(made[2], made[3])
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96] = 255
    boxes.clear()
    made = make_views(rgb, Specimen(frame, fills_frame=False, mask=mask), Preprocessing(32, (grey, PADDED)))
    assert boxes == [frame, frame]
    assert not np.array_equal(made[0], made[1])


def test_views_of_the_specimen_in_json() -> None:
    stored = STORED | {
        "views": [{"kind": "crop", "fraction": 0.7, "region": "specimen", "grey": True}, {"kind": "padded"}]
    }
    read = Preprocessing.from_dict(stored)
    assert read.views == (View("crop", 0.7, "specimen", True), View("padded"))
    assert read.needs_specimen
    assert read.as_dict() == stored
    assert not Preprocessing.from_dict(STORED).needs_specimen
    for odd in ({"region": "stone"}, {"region": None}, {"grey": 1}, {"grey": "yes"}):
        with pytest.raises(BadPreprocessingError):
            Preprocessing.from_dict(STORED | {"views": [{"kind": "padded"} | odd]})


def test_the_photo_is_not_changed_and_may_be_read_only() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (40, 60, 3), np.uint8)
    before = rgb.copy()
    rgb.flags.writeable = False
    views(rgb, PADDED, WHOLE)
    np.testing.assert_array_equal(rgb, before)


def test_needed_side_is_a_quarter_more_than_the_finest_view() -> None:
    assert Preprocessing(260, (PADDED, WHOLE, View("crop", 0.65))).needed_side == 500
    assert Preprocessing(32, (PADDED,)).needed_side == 40
    assert Preprocessing(2048, (View("crop", 0.01),)).needed_side == 256_000
    assert Preprocessing(32, (PADDED, View("padded", region="specimen"))).needed_side == 80


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
    *[(("mask",), value) for value in [*ANYTHING_ELSE, True, "none", "Origin", ["origin"]]],
    (("mask",), "origin"),  # right, but not with these views
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


# The origin's mask


def test_the_stored_form_names_the_mask_only_where_there_is_one() -> None:
    stored = MASKED.as_dict()
    assert stored == Preprocessing(96, (WHOLE,)).as_dict() | {"mask": "origin"}
    assert Preprocessing.from_dict(json.loads(json.dumps(stored))) == MASKED
    assert list(Preprocessing(96, (WHOLE,)).as_dict()) == ["format", "side", "views", "fill", "resampling"]


@pytest.mark.parametrize(
    "views", [(), (PADDED,), (View("crop", 0.99),), (WHOLE, WHOLE), (PADDED, WHOLE), (WHOLE, View("crop", 0.5))]
)
def test_the_mask_goes_with_one_whole_crop_and_no_other_view(views: tuple[View, ...]) -> None:
    with pytest.raises(BadPreprocessingError, match="one view"):
        Preprocessing(96, views, mask="origin")
    stored = [{"kind": view.kind} | ({"fraction": view.fraction} if view.kind == "crop" else {}) for view in views]
    with pytest.raises(BadPreprocessingError):
        Preprocessing.from_dict(MASKED.as_dict() | {"views": stored})


@pytest.mark.parametrize("side", [96, 224])
def test_a_masked_view_is_the_picture_that_prepare_makes(side: int, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    from handlens.dataset.prepare import PrepareSettings
    from handlens.dataset.prepare.picture import make_picture

    preprocessing = Preprocessing(side, (WHOLE,), mask="origin")
    for scale in (1, 6, 12):  # 360, 2,160 and 4,320 pixels high: the last is read at half of that
        rgb = np.kron(drawn_picture(), np.ones((scale, scale, 1), np.uint8))
        Image.fromarray(rgb).save(tmp_path / "photo.jpg", quality=90)
        read = read_photo(tmp_path / "photo.jpg", needed_side=preprocessing.needed_side).rgb
        made = make_views(read, whole_frame(read), preprocessing)
        wanted = make_picture(tmp_path / "photo.jpg", "photo", PrepareSettings(mode="origin-mask", side=side), None)
        assert made.shape == (1, side, side, 3)
        np.testing.assert_array_equal(made[0], wanted.picture)
        black = (made == 0).all(axis=-1).mean()
        assert 0.05 < black < 0.95, "the mask must matter"
    assert min(read.shape[:2]) == 2160


@pytest.mark.real_photos
def test_masked_views_of_real_photos(real_photos: Callable[[str, int], list[Path]]) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    from handlens.dataset.prepare import PrepareSettings
    from handlens.dataset.prepare.picture import make_picture

    for path in real_photos("train", 12):
        read = read_photo(path, needed_side=MASKED.needed_side).rgb
        made = make_views(read, whole_frame(read), MASKED)
        wanted = make_picture(path, path.name, PrepareSettings(mode="origin-mask"), None)
        np.testing.assert_array_equal(made[0], wanted.picture)


def test_needed_side_of_a_masked_view() -> None:
    assert MASKED.needed_side == 2048
    assert Preprocessing(2048, (WHOLE,), mask="origin").needed_side == 2560


def test_without_opencv_there_is_no_masked_view() -> None:
    code = (
        WITHOUT_OPENCV + "import numpy, handlens.views as views\n"
        "from handlens.errors import MissingExtraError\n"
        "from handlens.specimen import whole_frame\n"
        "rgb = numpy.zeros((40, 40, 3), 'uint8')\n"
        "for mask in ('none', 'origin'):\n"
        "    preprocessing = views.Preprocessing(32, (views.View('crop'),), mask=mask)\n"
        "    try:\n"
        "        print(views.make_views(rgb, whole_frame(rgb), preprocessing).shape)\n"
        "    except MissingExtraError as error:\n"
        "        print(error.code, error.detail)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    made, refused = done.stdout.splitlines()
    assert made == "(1, 32, 32, 3)"
    assert refused.startswith("missing-extra the origin's mask needs OpenCV")
    assert refused.endswith("pip install 'handlens[dataset]'")


def test_opencv_is_imported_for_the_mask_and_for_nothing_else() -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    code = (
        "import sys, handlens, handlens.identifier, handlens.explain\n"
        "from handlens.views import load_mask\n"
        "handlens.Identifier.load(threads=1)\n"
        "print('cv2' in sys.modules)\n"
        "load_mask()\n"
        "print('cv2' in sys.modules, *{'pyarrow', 'pydantic', 'aiohttp', 'matplotlib'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "True"]
