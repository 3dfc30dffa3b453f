"""Small pictures for the report, as data URIs, read as every photo is read; and what a photo measures."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from handlens.dataset.errors import BadManifestError
from handlens.dataset.manifest import Row
from handlens.dataset.view.sampling import Picked
from handlens.photo import PhotoError, read_photo

__all__ = ["Thumbnail", "measured_row", "thumbnails"]

_THREADS: Final = 2
"""Pillow decodes outside the interpreter's lock; more threads hold more decoded photos than they save time."""

_AT_ONCE: Final = 32
_LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness. Source: ITU-R BT.601."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A row as it is shown: `uri` "" and `error` the code of what is wrong where the photo cannot be read.

    `width` and `height` are those of the small picture, `size` is the photo's own, "1,024 × 768" or "".
    """

    row: Picked
    uri: str
    width: int
    height: int
    size: str
    error: str | None = None


def thumbnails(
    rows: Iterable[Picked], locate: Callable[[Picked], Path | None], side: int, most_bytes: int
) -> Iterator[Thumbnail]:
    """Small pictures of the rows, in their order, until `most_bytes` of data URIs have been made.

    `locate` says where a row's photo is. `side`: longest side in pixels. A photo that cannot be read gives a
    placeholder with the reason.
    """
    used, waiting = 0, iter(rows)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(itertools.islice(waiting, _AT_ONCE)):
            for thumbnail in pool.map(lambda row: _thumbnail(row, locate, side), batch):
                used += len(thumbnail.uri)
                if used > most_bytes:
                    return
                yield thumbnail


def _thumbnail(row: Picked, locate: Callable[[Picked], Path | None], side: int) -> Thumbnail:
    try:
        path = locate(row)
        if path is None:
            return Thumbnail(row, "", side, side, "", "not-found")
        photo = read_photo(path, name=row.id, needed_side=side)
    except (PhotoError, BadManifestError) as error:
        return Thumbnail(row, "", side, side, "", error.code)
    picture = Image.fromarray(photo.rgb)
    picture.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=70, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return Thumbnail(row, uri, *picture.size, f"{photo.width:,} × {photo.height:,}")


def measured_row(row: Picked, path: Path | None) -> Row | None:
    """The row with size, format, brightness and mean colour (0 to 1) of its photo; None where it cannot be read."""
    if path is None:
        return None
    try:
        photo = read_photo(path, name=row.id, needed_side=64)
        size = path.stat().st_size
    except (PhotoError, OSError):
        return None
    # Means over some 10,000 pixels are those over all of them to a few thousandths.
    step = max(1, min(photo.rgb.shape[:2]) // 100)
    red, green, blue = (float(part) for part in photo.rgb[::step, ::step].mean(axis=(0, 1), dtype=np.float64) / 255)
    return Row(
        row.id,
        row.label,
        "listed",
        bytes=size,
        format=photo.format,
        width=photo.width,
        height=photo.height,
        brightness=_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue,
        colour=(red, green, blue),
    )
