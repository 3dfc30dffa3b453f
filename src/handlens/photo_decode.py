"""The one place where decoders are called: on which bytes, at what scale, and what their failures mean."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any, cast

from PIL import Image, ImageFile

from handlens.photo_errors import (
    CorruptImageError,
    EmptyFileError,
    ImageTooLargeError,
    NotAnImageError,
    PhotoError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from handlens.photo_format import (
    MAX_JPEG_SCANS,
    boxes_end_early,
    ends_early,
    foreign_image,
    image_format,
    jpeg_scans,
    other_thing,
)
from handlens.photo_pixels import Box

# Importing one plugin by name spares the first photo the import of all forty.
_PLUGINS = {"TIFF": "TiffImagePlugin", "WEBP": "WebPImagePlugin", "AVIF": "AvifImagePlugin"}
_SAYS_TRUNCATED = re.compile(r"truncat|premature|end of file|unexpected end|not large enough", re.I)
_SAYS_TOO_LARGE = re.compile(r"too large|MAX_TEXT", re.I)


def readable_format(data: bytes, name: str) -> str:
    """The format of bytes that a decoder may see; refuses here what can be refused without one."""
    if not data:
        raise EmptyFileError(name, "The file is empty.")
    kind = image_format(data)
    if kind is None:
        if foreign := foreign_image(data):
            raise UnsupportedFormatError(name, f"This is a {foreign} image, a format that is not supported.")
        thing = other_thing(data)
        raise NotAnImageError(name, f"This is {thing}, not a photo." if thing else "This is not an image.")
    if kind in ("AVIF", "HEIF") and boxes_end_early(data):
        raise TruncatedImageError(name, _cut_short(kind))
    if kind == "JPEG" and jpeg_scans(data)[0] > MAX_JPEG_SCANS:
        raise CorruptImageError(name, "The JPEG is made of more scans than any photo has.")
    return kind


def open_image(data: bytes, kind: str) -> ImageFile.ImageFile:
    """Read the header, and no pixel, of bytes of this format."""
    if kind == "HEIF":
        # The class itself, not `register_heif_opener`: Pillow's registry belongs to the host program.
        from pi_heif import HeifImageFile

        return cast("ImageFile.ImageFile", HeifImageFile(io.BytesIO(data)))
    if kind in _PLUGINS:
        importlib.import_module(f"PIL.{_PLUGINS[kind]}")
    im = Image.open(io.BytesIO(data), formats=[kind])
    if kind == "JPEG":
        # The whole file at once. In the usual pieces of 64 KiB the decoder gives the interpreter back and asks for it
        # again at each of them, and waits where other threads have it: a tenth of a service's time.
        im.decodermaxblock = max(im.decodermaxblock, len(data))
    return im


def tile_pixels(im: ImageFile.ImageFile) -> int:
    """Pixels of one tile of a TIFF, which is decoded whole however little of it lies in the picture; or 0."""
    tags = getattr(im, "tag_v2", None)
    return 0 if tags is None else int(tags.get(322, 0)) * int(tags.get(323, 0))


def draft(im: ImageFile.ImageFile, box: Box, needed_side: int) -> None:
    """Have a JPEG decoded at 1/8, 1/4 or 1/2 of its size, the least that leaves `box` large enough."""
    side = min(box[2] - box[0], box[3] - box[1])
    scale = next((scale for scale in (8, 4, 2) if side // scale >= needed_side), 1)
    if scale > 1:
        im.draft(im.mode, (im.width // scale, im.height // scale))


def scaled_box(box: Box, full: tuple[int, int], decoded: tuple[int, int]) -> Box:
    """A box of the full-size picture, in the picture as decoded: whole pixels, at least one."""
    if full == decoded:
        return box
    scale = round(max(full) / max(decoded))  # 2, 4 or 8; the decoded sides are rounded up
    left, right = _scaled_span(box[0], box[2], full[0], decoded[0], scale)
    top, bottom = _scaled_span(box[1], box[3], full[1], decoded[1], scale)
    return left, top, right, bottom


def _scaled_span(start: int, stop: int, full: int, decoded: int, scale: int) -> tuple[int, int]:
    start = min((start + scale // 2) // scale, decoded - 1)
    stop = decoded if stop == full else min((stop + scale // 2) // scale, decoded)
    return start, max(stop, start + 1)


@contextlib.contextmanager
def decoding(name: str, kind: str, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into a `PhotoError`, and keep its warnings from the terminal."""
    try:
        with _quiet_decoders():
            yield
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        detail = f"The {kind} has more pixels than can be decoded safely."
        if count := re.search(r"\d+", str(error)):
            detail = f"The {kind} has {count[0]} pixels, more than can be decoded safely."
        raise ImageTooLargeError(name, detail) from error
    except MemoryError as error:
        raise ImageTooLargeError(name, f"The {kind} needs more memory than there is.") from error
    except ImportError as error:
        raise UnsupportedFormatError(name, f"No decoder for {kind} is installed.") from error
    except Exception as error:
        # Every class, on purpose: given damaged bytes, decoders raise SyntaxError, struct.error, ValueError,
        # IndexError, KeyError, TypeError, ZeroDivisionError, RuntimeError, EOFError, OSError and zlib.error.
        if isinstance(error, ValueError) and _SAYS_TOO_LARGE.search(str(error)):
            detail = f"The {kind} carries a text or a colour profile that is far too large."
            raise ImageTooLargeError(name, detail) from error
        if isinstance(error, EOFError) or _SAYS_TRUNCATED.search(str(error)) or ends_early(data, kind):
            raise TruncatedImageError(name, _cut_short(kind)) from error
        raise CorruptImageError(name, f"The {kind} is damaged and cannot be decoded.") from error


def _cut_short(kind: str) -> str:
    return f"The {kind} is cut short: the file ends before the picture does."


class _Quiet:
    """The decoders' warnings are ignored while any thread decodes.

    `warnings.catch_warnings` saves and restores the whole list of filters, which goes wrong when threads
    overlap. Here the first one in adds one filter, for the decoders' modules only, and the last one out takes
    that one away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._filter: Any = None

    def enter(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)(\.|$)")
                self._filter = warnings.filters[0]

    def leave(self) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                with contextlib.suppress(ValueError):  # the host program reset its filters meanwhile
                    cast("list[Any]", warnings.filters).remove(self._filter)


_quiet = _Quiet()


@contextlib.contextmanager
def _quiet_decoders() -> Iterator[None]:
    _quiet.enter()
    try:
        yield
    finally:
        _quiet.leave()
