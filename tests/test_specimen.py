"""Specimens: the box and mask of a grid, the grey background, and the localiser that ships."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage.measure import label as reference_components

from conftest import SHARED_PHOTOS
from handlens.errors import UsageError
from handlens.photo import read_photo
from handlens.specimen import MASK_SIDE, MASK_THRESHOLD, Box, Specimen, grey_background, whole_frame
from handlens.specimen_localiser import GRAPH, MANIFEST, BadLocaliserError, Localiser, LocaliserSettings, answer
from handlens.specimen_mask import bounding_box, clean_mask, components

SHIPPED = Path(__file__).resolve().parent.parent / "src" / "handlens" / "localiser"
MASKS = SHARED_PHOTOS.parent / "masks"
SETTINGS = LocaliserSettings(side=64, grid=16, margin=0.0, least_area=0.01, most_area=0.98)


@pytest.fixture(scope="module")
def localiser() -> Localiser:
    return Localiser.load()


def stone(
    size: tuple[int, int], place: tuple[float, float, float, float], back: tuple[int, int, int], seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A rough, facetted stone at `place` (left, top, right, bottom, as shares) before an even background; its mask."""
    rng = np.random.default_rng(seed)
    (width, height), (left, top, right, bottom) = size, place
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    reach = rng.uniform(0.85, 1.0, len(angles))
    middle = ((left + right) / 2 * width, (top + bottom) / 2 * height)
    radii = ((right - left) / 2 * width, (bottom - top) / 2 * height)
    corners = [
        (middle[0] + radii[0] * r * np.cos(a), middle[1] + radii[1] * r * np.sin(a))
        for a, r in zip(angles, reach, strict=True)
    ]
    inside = Image.new("L", size, 0)
    ImageDraw.Draw(inside).polygon(corners, fill=255)
    picture, draw = Image.new("RGB", size, back), None
    draw = ImageDraw.Draw(picture)
    for number, corner in enumerate(corners):
        shade = 60 + int(rng.integers(0, 120))
        draw.polygon([middle, corner, corners[number - 1]], fill=(shade, shade // 2, shade // 2 + 40))
    grain = rng.normal(0, 12, (height, width, 1))
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    where = np.asarray(inside) > 0
    pixels = np.where(where[..., None], pixels + grain, pixels + grain / 6)
    return np.clip(pixels, 0, 255).astype(np.uint8), where


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def as_mask(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    picture = Image.fromarray(where.astype(np.uint8) * 255).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)
    return np.asarray(picture) >= 128


def grid_of(rows: slice, columns: slice, side: int = 16) -> NDArray[np.float32]:
    grid = np.zeros((side, side), np.float32)
    grid[rows, columns] = 1
    return grid


# --- grids, masks and boxes


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.65])
def test_components_are_those_of_scikit_image(share: float) -> None:
    inside = np.random.default_rng(3).random((48, 48)) < share
    expected = reference_components(inside, connectivity=2)  # type: ignore[no-untyped-call]  # ships no types
    found = components(inside)
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == expected.max() + 1 == found.max() + 1
    assert (found == 0).tolist() == (~inside).tolist()


@pytest.mark.parametrize("value", [False, True])
def test_components_of_an_even_grid(value: bool) -> None:
    assert components(np.full((5, 7), value)).tolist() == [[int(value)] * 7] * 5


def test_a_speck_is_left_out_and_a_second_stone_is_not() -> None:
    grid = grid_of(slice(2, 12), slice(2, 8))  # 60 cells
    grid[4:8, 10:14] = 1  # 16 cells: another stone
    grid[14, 14] = 1  # one cell: a speck
    mask = clean_mask(grid)[0] >= MASK_THRESHOLD
    assert mask[6 * 8 - 4, 12 * 8]
    assert not mask[14 * 8 :, 13 * 8 :].any()


def test_a_mask_is_read_only_and_of_the_documented_kind() -> None:
    mask, _ = clean_mask(grid_of(slice(4, 12), slice(4, 12)))
    assert (mask.shape, mask.flags.writeable) == ((MASK_SIDE, MASK_SIDE), False)
    assert mask.dtype == np.uint8
    assert (mask.min(), mask.max()) == (0, 255)


def test_box_in_pixels_of_the_photo_with_its_margin() -> None:
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    mask[32:64, 16:80] = 255  # a quarter to a half of the height; an eighth to five eighths of the width
    assert bounding_box(mask, 800, 400, 0.0) == Box(100, 100, 500, 200)
    assert bounding_box(mask, 800, 400, 0.1) == Box(60, 60, 540, 240)
    assert bounding_box(mask, 800, 400, 1.0) == Box(0, 0, 800, 400)


def test_box_of_an_empty_mask() -> None:
    with pytest.raises(ValueError, match="empty"):
        bounding_box(np.zeros((MASK_SIDE, MASK_SIDE), np.uint8), 10, 10, 0.1)


@pytest.mark.parametrize(
    ("grid", "fills"),
    [
        (grid_of(slice(4, 12), slice(4, 12)), 0.5),  # said by the network
        (grid_of(slice(0, 0), slice(0, 0)), 0.0),  # nothing found
        (grid_of(slice(0, 16), slice(0, 16)), 0.0),  # everything found
        (grid_of(slice(4, 5), slice(4, 5)), 0.0),  # less than a hundredth of the frame
    ],
)
def test_what_fills_the_frame(grid: NDArray[np.float32], fills: float) -> None:
    rgb = np.zeros((60, 90, 3), np.uint8)
    found = answer(rgb, grid, fills, SETTINGS)
    assert (found, found.mask) == (whole_frame(rgb), None)
    assert found.box == Box(0, 0, 90, 60)


def test_what_does_not_fill_the_frame() -> None:
    found = answer(np.zeros((160, 320, 3), np.uint8), grid_of(slice(4, 12), slice(4, 12)), 0.49, SETTINGS)
    assert found == Specimen(Box(80, 40, 240, 120), fills_frame=False)


# --- the grey background


def test_grey_background_keeps_the_specimen_and_greys_the_rest_softly() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (300, 450, 3)).astype(np.uint8)
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    mask[32:96, 32:96] = 255
    greyed = grey_background(rgb, Specimen(Box(100, 60, 350, 240), False, mask))
    assert greyed.shape == rgb.shape
    assert greyed.dtype == np.uint8
    np.testing.assert_array_equal(greyed[77:223, 115:335], rgb[77:223, 115:335])
    assert (greyed[:60] == 127).all()
    assert (greyed[:, :90] == 127).all()
    beside = np.s_[100:200, 110]  # just outside the mask: between photo and grey
    weight = (greyed[beside].astype(float) - 127).std() / (rgb[beside].astype(float) - 127).std()
    assert 0.1 < weight < 0.9


def test_grey_background_keeps_a_needle_and_a_corner() -> None:
    rgb = np.full((256, 256, 3), 250, np.uint8)
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    mask[20:100, 30] = 200
    mask[20:40, 60:90] = 200
    greyed = grey_background(rgb, Specimen(Box(50, 30, 190, 210), False, mask))
    assert greyed[80:180, 60:62].min() > 220
    assert greyed[40:42, 120:122].min() > 200


def test_grey_background_of_what_fills_the_frame_is_a_copy() -> None:
    rgb = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    copy = grey_background(rgb, whole_frame(rgb), fill=0)
    np.testing.assert_array_equal(copy, rgb)
    assert not np.shares_memory(copy, rgb)


# --- the localiser that ships


@pytest.mark.parametrize(
    ("place", "back"),
    [
        ((0.3, 0.25, 0.7, 0.75), (235, 235, 232)),
        ((0.1, 0.3, 0.5, 0.8), (20, 20, 22)),
        ((0.45, 0.1, 0.9, 0.6), (70, 100, 150)),
    ],
)
def test_a_stone_before_a_plain_background_is_found(
    localiser: Localiser, place: tuple[float, float, float, float], back: tuple[int, int, int]
) -> None:
    rgb, where = stone((480, 360), place, back)
    found = localiser.locate(rgb)
    assert not found.fills_frame
    assert found.mask is not None
    assert iou(found.mask >= MASK_THRESHOLD, as_mask(where)) > 0.8
    columns, rows = np.flatnonzero(where.any(axis=0)), np.flatnonzero(where.any(axis=1))
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    box = found.box
    assert np.abs(np.subtract((box.left, box.top, box.right, box.bottom), edges)).max() < 0.08 * 480


def even_texture(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(90, 200, (40, 60, 3)).astype(np.uint8))
    return np.asarray(coarse.resize((480, 320), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_even_texture_fills_the_frame(localiser: Localiser, seed: int) -> None:
    rgb = even_texture(seed)
    assert localiser.locate(rgb) == whole_frame(rgb)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_blank_picture_fills_the_frame(localiser: Localiser, value: int) -> None:
    rgb = np.full((200, 300, 3), value, np.uint8)
    assert localiser.locate(rgb) == whole_frame(rgb)


@pytest.mark.parametrize("size", [(16, 16), (16, 3000), (3000, 16), (1, 1), (1600, 1200)])
def test_odd_sizes_give_a_box_inside(localiser: Localiser, size: tuple[int, int]) -> None:
    rgb, _ = stone(size, (0.2, 0.2, 0.8, 0.8), (240, 240, 240))
    box = localiser.locate(rgb).box
    assert 0 <= box.left < box.right <= size[0]
    assert 0 <= box.top < box.bottom <= size[1]


@pytest.mark.parametrize(
    "rgb",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)],
)
def test_other_arrays_are_refused(localiser: Localiser, rgb: NDArray[Any]) -> None:
    with pytest.raises(UsageError, match="a photo is uint8"):
        localiser.locate(rgb)


def test_the_same_answer_every_time_on_any_thread(localiser: Localiser) -> None:
    pictures = [stone((300, 240), (0.2, 0.2, 0.7, 0.7), (200, 205, 210), seed)[0] for seed in range(4)]
    once = [localiser.locate(rgb) for rgb in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for first, again in zip(once, pool.map(localiser.locate, pictures), strict=True):
                assert first == again
                np.testing.assert_array_equal(first.mask, again.mask)


def test_the_localiser_is_small_and_needs_no_training_framework() -> None:
    assert (SHIPPED / GRAPH).stat().st_size <= 5_000_000
    script = (
        "import sys, numpy; from handlens.specimen_localiser import Localiser\n"
        "Localiser.load().locate(numpy.zeros((64, 64, 3), numpy.uint8))\n"
        "odd = {'tensorflow', 'keras', 'torch', 'sklearn', 'onnx', 'scipy', 'skimage', 'cv2'} & sys.modules.keys()\n"
        "sys.exit(', '.join(sorted(odd)) or 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_manifest_states_what_it_must() -> None:
    manifest = json.loads((SHIPPED / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["name"] == "localiser-1"
    assert manifest["sha256"] == hashlib.sha256((SHIPPED / GRAPH).read_bytes()).hexdigest()
    assert manifest["metrics"]["train, all"]["iou"] >= 0.85
    assert manifest["licences"]["teacher"].startswith("masks by TRACER-TE0")


# --- files that are not as they should be


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "localiser"))


def changed(copy: Path, **values: object) -> Path:
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    manifest = {key: value for key, value in (manifest | values).items() if value is not ...}
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def test_a_whole_copy_is_opened(copy: Path) -> None:
    assert Localiser.load(copy, threads=1).name == "localiser-1"


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_a_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BadLocaliserError, match=f"{name}: cannot be read") as caught:
        Localiser.load(copy)
    assert caught.value.code == "bad-localiser"


def test_a_damaged_graph(copy: Path) -> None:
    content = bytearray((copy / GRAPH).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / GRAPH).write_bytes(content)
    with pytest.raises(BadLocaliserError, match="is damaged"):
        Localiser.load(copy)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b"[" * 100_000, b'{"format": 2}'])
def test_a_damaged_manifest(copy: Path, text: bytes) -> None:
    (copy / MANIFEST).write_bytes(text)
    with pytest.raises(BadLocaliserError, match=MANIFEST):
        Localiser.load(copy)


@pytest.mark.parametrize(
    "values",
    [
        {"side": ...},
        {"sha256": ...},
        {"side": "192"},
        {"grid": True},
        {"margin": -0.1},
        {"least_area": 1.5},
        {"side": 8},
    ],
)
def test_a_manifest_with_a_wrong_value(copy: Path, values: dict[str, object]) -> None:
    with pytest.raises(BadLocaliserError, match="incomplete or of a wrong type"):
        Localiser.load(changed(copy, **values))


def test_a_graph_of_another_kind(copy: Path) -> None:
    graph = (SHIPPED.parent / "bundles" / "default" / "model.onnx").read_bytes()
    (copy / GRAPH).write_bytes(graph)
    with pytest.raises(BadLocaliserError, match="graph takes"):
        Localiser.load(changed(copy, sha256=hashlib.sha256(graph).hexdigest()))


def test_no_graph_at_all(copy: Path) -> None:
    (copy / GRAPH).write_bytes(b"no graph")
    with pytest.raises(BadLocaliserError, match=r"the localiser.s graph: "):
        Localiser.load(changed(copy, sha256=hashlib.sha256(b"no graph").hexdigest()))


# --- real photos


@pytest.mark.real_photos
def test_real_photos_are_masked_as_the_teacher_does(
    localiser: Localiser, real_photos: Callable[[str, int], list[Path]]
) -> None:
    overlaps = []
    for path in real_photos("train", 40):
        teacher = (
            np.asarray(Image.open(MASKS / path.relative_to(SHARED_PHOTOS).with_suffix(".png")).convert("L")) >= 128
        )
        if teacher.mean() >= 0.02:
            mask = localiser.locate(read_photo(path).rgb).mask
            overlaps.append(iou(teacher, np.ones_like(teacher) if mask is None else mask >= MASK_THRESHOLD))
    assert len(overlaps) > 30
    assert np.mean(overlaps) > 0.85


@pytest.mark.parametrize(
    ("sides", "pieces"), [((), 0), ((20,), 1), ((20, 11), 2), ((20, 9), 1), ((10, 10, 10), 3), ((20, 5, 5, 5), 1)]
)
def test_pieces_are_what_is_not_much_smaller_than_the_largest(sides: tuple[int, ...], pieces: int) -> None:
    grid, left = np.zeros((48, 48), np.float32), 0
    for side in sides:
        grid[2 : 2 + side, left : left + side] = 0.9
        left += side + 2
    assert clean_mask(grid)[1] == pieces
