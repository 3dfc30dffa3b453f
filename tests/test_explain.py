"""The occlusion map is warm where the photo speaks for the label, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundles import COLOURS, MASKED_PREPROCESSING, PREPROCESSING, solid, write_bundle
from handlens.errors import HandlensError, UsageError
from handlens.explain import Explanation, explain, overlay
from handlens.identifier import ORIGIN_TEN, Identifier
from handlens.photo import Crop, PhotoError
from handlens.views import Preprocessing, View


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Identifier:
    """A bundle that looks at the whole photo alike, so that a place does not matter but what is there."""
    path = tmp_path_factory.mktemp("explain") / "b"
    preprocessing = Preprocessing(PREPROCESSING.side, (View("padded"),))
    return Identifier.load(write_bundle(path, preprocessing=preprocessing, temperature=10.0), threads=1)


def patch(left: int, top: int, colour: str = "almandine") -> NDArray[np.uint8]:
    """A white square with a patch of a fifth of its side, at so many per cent of it from the left and from the top.

    So small a square is not reduced when it is read.
    """
    rgb = solid(COLOURS["quartz"], 70, 70)
    across, down = 7 * left // 10, 7 * top // 10
    rgb[down : down + 14, across : across + 14] = COLOURS[colour]
    return rgb


@pytest.mark.parametrize(("left", "top"), [(0, 0), (80, 0), (20, 50), (50, 40), (80, 80)])
def test_the_patch_is_what_speaks_for_its_colour(whole: Identifier, left: int, top: int) -> None:
    found = explain(whole, patch(left, top), label="almandine")
    assert found.label == "almandine"
    assert found.heat.shape == (10, 10)
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert top // 10 <= row < top // 10 + 2
    assert left // 10 <= column < left // 10 + 2
    assert found.heat.max() > 0
    far = found.heat[(np.arange(10) - top // 10 + 14) % 10][:, (np.arange(10) - left // 10 + 14) % 10]
    assert found.heat.max() > 2 * abs(far[0, 0])


def test_what_speaks_for_one_speaks_against_another(whole: Identifier) -> None:
    rgb = patch(40, 40)
    assert explain(whole, rgb, label="quartz").heat[4:6, 4:6].max() < 0
    assert explain(whole, rgb, label="almandine").heat[4:6, 4:6].min() > 0


def test_a_photo_of_one_colour_has_no_place_of_its_own(whole: Identifier) -> None:
    found = explain(whole, solid((120, 130, 140), 100, 100))
    assert np.abs(found.heat).max() < 1e-6


def test_by_default_it_explains_the_most_probable_label(whole: Identifier) -> None:
    rgb = patch(40, 40)
    answer = whole.identify(rgb)
    found = explain(whole, rgb)
    assert found.label == answer.candidates[0].name
    assert found.probability == pytest.approx(answer.candidates[0].probability)
    assert explain(whole, rgb, label="cuarzo").label == "quartz"


def test_crop_and_rotation_are_applied(whole: Identifier) -> None:
    rgb = patch(0, 0)
    found = explain(whole, rgb, label="almandine", rotate=90)
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert row < 2
    assert column >= 8
    assert explain(whole, rgb, crop=Crop(0, 0, 40, 30)).rgb.shape == (30, 40, 3)


def test_errors_are_those_of_identify(whole: Identifier) -> None:
    with pytest.raises(PhotoError):
        explain(whole, "gone.jpg")
    for label in ("plastic", "pyrite"):
        with pytest.raises(HandlensError) as caught:
            explain(whole, patch(0, 0), label=label)
        assert caught.value.code.startswith("unknown-")


def test_it_explains_one_label_and_not_ten(tmp_path: Path) -> None:
    ten = Identifier.load(write_bundle(tmp_path / "b", labels=ORIGIN_TEN), threads=1)
    with pytest.raises(UsageError, match="one label"):
        explain(ten, patch(0, 0), label="origin-ten")


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (300, 17)])
def test_small_and_narrow_photos(whole: Identifier, size: tuple[int, int]) -> None:
    found = explain(whole, solid((90, 20, 20), *size))
    assert overlay(found).size == size


def test_the_map_is_warm_blue_or_clear() -> None:
    heat = np.zeros((10, 10))
    heat[:, :2], heat[:, 8:] = 3.0, -3.0
    rgb = np.full((100, 100, 3), (60, 120, 90), np.uint8)
    shown = np.asarray(overlay(Explanation(rgb, "quartz", 0.5, heat))).astype(int)
    assert shown.shape == (100, 100, 3)
    assert (shown[:, :10, 0] > shown[:, :10, 2] + 60).all()
    assert (shown[:, 90:, 2] > shown[:, 90:, 0] + 60).all()
    assert (shown[:, 45:55] == 90).all()  # the photo in grey
    none = np.asarray(overlay(Explanation(rgb, "quartz", 0.5, np.zeros((10, 10)))))
    assert (none == 90).all()


def test_the_photo_is_not_changed(whole: Identifier) -> None:
    rgb = patch(10, 10)
    before = rgb.copy()
    overlay(explain(whole, rgb))
    np.testing.assert_array_equal(rgb, before)


def test_under_the_mask_only_the_specimen_has_heat(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    bundle = write_bundle(tmp_path / "b", preprocessing=MASKED_PREPROCESSING, temperature=10.0)
    masked = Identifier.load(bundle, threads=1)
    rgb = solid((128, 128, 128), 160, 100)  # a grey ground, wider than high: the square is from 30 to 130
    rgb[20:60, 100:130] = COLOURS["almandine"]
    rgb[5:40, :20] = COLOURS["azurite"]  # outside of it
    found = explain(masked, rgb, label="almandine")
    np.testing.assert_array_equal(found.rgb, rgb[:, 30:130])
    assert found.probability == pytest.approx(masked.probabilities(masked.score(masked.views(rgb)[1]).logits[0])[3])
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert 2 <= row < 6
    assert column >= 7
    assert found.heat.max() > 0.01
    assert np.abs(found.heat[:, :4]).max() < 1e-9  # covering what is background already changes nothing
    assert overlay(found).size == (100, 100)
