"""One photo, looked at once: what it is, whether it can be read, its scores and hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.looks import look
from handlens.dataset.check.same_picture import Thumbnail
from handlens.dataset.check.scores import scores
from handlens.dataset.check.settings import FLAGS, CheckSettings
from handlens.dataset.check.text import text_score
from handlens.photo import PhotoError, read_photo

__all__ = ["READER_DIED", "Inspection", "flags_of", "inspect_file", "reason_of"]

READER_DIED: Final = "reader-died"
"""Code of a photo that killed the process that read it, twice."""

_LEAST_TO_SEE: Final = 0.04
"""Contrast under which a picture is too even to be told from others by its looks."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in one file, by itself and without any threshold; the fields are those of the manifest.

    `error` is the code of a photo that cannot be read, and then all that follows is empty. `looks` and `thumbnail` are
    those of `looks` and `same_picture` as bytes, None for a picture of one colour.
    """

    sha256: str
    error: str | None = None
    detail: str | None = None
    format: str | None = None
    width: int = 0
    height: int = 0
    pixel_hash: str | None = None
    sharpness: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    text: float = 0.0
    colour: tuple[float, ...] = ()
    looks: bytes | None = None
    thumbnail: bytes | None = None

    @property
    def perceptual_hash(self) -> str | None:
        """The 128 bits of the whole picture, in hex."""
        return None if self.looks is None else self.looks[:16].hex()


def inspect_file(sha256: str, path: Path) -> Inspection:
    """Reads and measures one file, whose content has the hash `sha256`; what is wrong with it is in the answer."""
    try:
        photo = read_photo(path, name=path.name)
    except PhotoError as error:
        return Inspection(sha256, error.code, error.detail)
    measured = scores(photo.rgb)
    seen = measured.contrast >= _LEAST_TO_SEE
    return Inspection(
        sha256=sha256,
        format=photo.format,
        width=photo.width,
        height=photo.height,
        pixel_hash=_pixel_hash(photo.rgb, photo.width, photo.height),
        sharpness=round(measured.sharpness, 4),
        brightness=round(measured.brightness, 4),
        contrast=round(measured.contrast, 4),
        text=round(text_score(photo.rgb), 4),
        colour=tuple(round(level, 4) for level in measured.colour),
        looks=look(photo.rgb).to_bytes() if seen else None,
        thumbnail=Thumbnail.of(photo.rgb).to_bytes() if seen else None,
    )


def _pixel_hash(rgb: NDArray[np.uint8], width: int, height: int) -> str:
    """sha256 of size and pixels. A photo of twice 800 pixels or more a side is read reduced, and its size tells it."""
    state = hashlib.sha256(f"{width}x{height}:{rgb.shape[1]}x{rgb.shape[0]}:".encode())
    state.update(rgb.data)
    return state.hexdigest()


def flags_of(found: Inspection, settings: CheckSettings, *, conflict: bool = False) -> tuple[str, ...]:
    """Everything that is odd about a photo; `conflict`: the same picture carries another label elsewhere."""
    if found.error is not None:
        own = {"too-small" if found.error == "image-too-small" else found.error}
        return (*own, *(["label-conflict"] if conflict else []))
    long, short = max(found.width, found.height), min(found.width, found.height)
    raised = {
        "too-small": short < settings.least_side,
        "odd-aspect": long > settings.most_aspect * short,
        "blank": found.contrast < settings.least_contrast,
        "text-card": found.text >= settings.most_text,
        "label-conflict": conflict,
        "blurred": found.sharpness < settings.least_sharpness,
        "dark": found.brightness < settings.least_brightness,
    }
    return tuple(flag for flag in FLAGS if raised[flag])


def reason_of(flags: tuple[str, ...], settings: CheckSettings) -> str | None:
    """The first of a photo's flags that sets it aside, or None: it stays."""
    for flag in flags:
        if flag == "label-conflict":
            counts = settings.conflicts == "set-aside"
        else:
            counts = (flag if flag in FLAGS else "unreadable") in settings.set_aside
        if counts:
            return flag
    return None
