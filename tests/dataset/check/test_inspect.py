"""One file: what it is, its scores, and every flag."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from handlens.dataset.check.inspect import Inspection, flags_of, inspect_file, reason_of
from handlens.dataset.check.scores import scores
from handlens.dataset.check.settings import CheckSettings
from handlens.dataset.check.text import text_score
from odd_files import OddFile, encode, exif, generate

from .drawn import card, encoded, mirrored, picture

SETTINGS = CheckSettings()


def inspected(path: Path, data: bytes) -> Inspection:
    path.write_bytes(data)
    return inspect_file(hashlib.sha256(data).hexdigest(), path)


@pytest.mark.parametrize("odd", [*generate(count=170)], ids=lambda odd: odd.name)
def test_odd_files(odd: OddFile, tmp_path: Path) -> None:
    found = inspected(tmp_path / odd.name, odd.data)
    if found.error is None:
        assert odd.expected is None
        assert found.format is not None
        assert found.pixel_hash is not None
        assert all(0 <= score <= 1 for score in (found.sharpness, found.brightness, found.contrast, found.text))
        return
    assert not odd.must_open
    assert odd.expected is None or found.error in odd.expected
    flags = flags_of(found, SETTINGS)
    assert flags == ("too-small" if found.error == "image-too-small" else found.error,)
    assert reason_of(flags, SETTINGS) == flags[0]


@pytest.mark.parametrize("name", ["mpo.jpg", "rgb.png", "rgb.bmp", "photo.txt"])
def test_the_content_says_what_a_file_is(name: str, tmp_path: Path) -> None:
    data = next(odd.data for odd in generate(count=80) if odd.name == name)
    found = inspected(tmp_path / name, data)
    assert found.error is None
    assert found.format == {"mpo.jpg": "MPO", "rgb.png": "PNG", "rgb.bmp": "BMP", "photo.txt": "PNG"}[name]


def test_pixels_and_not_files_are_hashed(tmp_path: Path) -> None:
    im = picture(1)
    png, bmp = inspected(tmp_path / "a.png", encoded(im, "PNG")), inspected(tmp_path / "a.bmp", encoded(im, "BMP"))
    stored = mirrored(im)  # and EXIF orientation 2 says to mirror it back
    turned = inspected(tmp_path / "b.png", encode(stored, "PNG", exif=exif(2)))
    assert png.pixel_hash == bmp.pixel_hash == turned.pixel_hash
    assert inspected(tmp_path / "c.png", encoded(stored, "PNG")).pixel_hash != png.pixel_hash
    changed = np.asarray(im).copy()
    changed[0, 0, 0] ^= 1
    assert inspected(tmp_path / "d.png", encoded(Image.fromarray(changed), "PNG")).pixel_hash != png.pixel_hash


def flags(im: Image.Image, tmp_path: Path) -> tuple[str, ...]:
    return flags_of(inspected(tmp_path / "photo.png", encoded(im, "PNG")), SETTINGS)


def test_nothing_against_a_good_photo(tmp_path: Path) -> None:
    assert flags(picture(2), tmp_path) == ()


@pytest.mark.parametrize(
    ("flag", "im"),
    [
        ("too-small", picture(3).resize((90, 60))),
        ("odd-aspect", picture(3).crop((0, 0, 320, 70))),
        ("text-card", card()),
        ("blurred", picture(3).resize((960, 720)).filter(ImageFilter.GaussianBlur(12))),
        ("dark", picture(3).point(lambda level: level * 0.25)),
    ],
)
def test_each_flag_alone(flag: str, im: Image.Image, tmp_path: Path) -> None:
    assert flags(im, tmp_path) == (flag,)


def test_a_blank_photo_has_no_looks(tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(120, 124, (200, 300, 3)).astype(np.uint8)
    found = inspected(tmp_path / "blank.png", encoded(Image.fromarray(grain), "PNG"))
    assert "blank" in flags_of(found, SETTINGS)
    assert (found.looks, found.thumbnail, found.perceptual_hash) == (None, None, None)


def test_flags_keep_their_order_and_settings_choose_the_reason(tmp_path: Path) -> None:
    found = inspected(tmp_path / "a.png", encoded(picture(4).crop((0, 0, 320, 40)).point(lambda v: v * 0.2), "PNG"))
    raised = flags_of(found, SETTINGS, conflict=True)
    assert raised[:2] == ("too-small", "odd-aspect")
    assert raised.index("label-conflict") < raised.index("dark")
    assert reason_of(raised, SETTINGS) == "too-small"
    assert reason_of(raised, CheckSettings(set_aside=("dark",))) == "label-conflict"
    assert reason_of(raised, CheckSettings(set_aside=("dark",), conflicts="keep")) == "dark"
    assert reason_of(raised, CheckSettings(set_aside=(), conflicts="keep")) is None


def test_sharpness_falls_with_blur() -> None:
    im = picture(5).resize((800, 600), Image.Resampling.BICUBIC)
    sharp = [scores(np.asarray(im.filter(ImageFilter.GaussianBlur(radius)))).sharpness for radius in (0, 2, 4)]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] - sharp[-1] > 0.1
    assert scores(np.asarray(im.filter(ImageFilter.GaussianBlur(16)))).sharpness < SETTINGS.least_sharpness


def test_scores_of_plain_pictures() -> None:
    black, white = (scores(np.full((80, 90, 3), level, np.uint8)) for level in (0, 255))
    assert (black.brightness, black.contrast, black.colour) == (0, 0, (0, 0, 0))
    assert (white.brightness, white.contrast, white.colour) == (1, 0, (1, 1, 1))
    specimen = np.zeros((100, 100, 3), np.uint8)
    specimen[40:60, 40:60] = (250, 240, 10)  # bright on black is not dark
    assert scores(specimen).brightness > 0.8


def test_print_is_told_from_stones() -> None:
    assert text_score(np.asarray(card())) > 0.8
    assert text_score(np.asarray(card(["NO IMAGE", "AVAILABLE"]))) > 0.8
    assert text_score(np.asarray(card().rotate(3, fillcolor=(238, 232, 215)))) > 0.5
    assert max(text_score(np.asarray(picture(seed))) for seed in range(10)) < 0.1


def test_a_watermark_makes_no_card() -> None:
    im = picture(6).resize((960, 720), Image.Resampling.BICUBIC)
    label = card(["(c) somebody-minerals"]).crop((30, 40, 460, 100)).resize((215, 30))
    im.paste(label, (720, 680))
    assert text_score(np.asarray(im)) < 0.3
