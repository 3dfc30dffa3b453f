"""What arrives: its bytes, unpacked and kept within bounds, and what they are."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.settings import DownloadSettings
from handlens.photo import ImageTooLargeError, PhotoError
from handlens.photo_decode import decoding, open_image
from handlens.photo_format import ends_early, foreign_image, image_format, other_thing, webp_size

__all__ = ["EXTENSIONS", "Answer", "Body", "ends_before_its_picture", "kind_of", "unpacker"]

EXTENSIONS: Final = {
    "JPEG": "jpg",
    "PNG": "png",
    "GIF": "gif",
    "WEBP": "webp",
    "TIFF": "tif",
    "BMP": "bmp",
    "AVIF": "avif",
    "HEIF": "heic",
}
"""Of a file in images/, by what its content is. An MPO is a JPEG with another behind it."""

_IN_MEMORY: Final = 256 * 2**10
"""Bytes of one photo held in memory; a larger one goes to its part file while it arrives."""
_FIRST_LOOK: Final = 4 * 2**10
_SECOND_LOOK: Final = 64 * 2**10
_UNPACKED_AT_ONCE: Final = 64 * 2**10


class Body:
    """The content of one photo while it arrives; `data` is the whole of it.

    It is looked at when 4 KiB are there, and again at 64 KiB and every doubling from then on, so that what is no photo,
    or has too many pixels, need not be sent in full. `part`: the path, in a folder that is there, where a
    large one is written; text, for a Path takes longer to make than the photo to write. Close it in any case.
    """

    def __init__(self, part: str, settings: DownloadSettings) -> None:
        self.size = 0
        self._settings = settings
        self._part = part
        self._file: BinaryIO | None = None
        self._memory = bytearray()
        self._look_at = _FIRST_LOOK

    def add(self, piece: bytes) -> None:
        """Takes the next piece. Raises NotFetched (`too-large`, `too-many-pixels`, `not-an-image`...), OSError."""
        self.size += len(piece)
        if self.size > self._settings.max_bytes:
            raise NotFetched("too-large", f"more than {self._settings.max_bytes} bytes")
        if self._file is None:
            self._memory += piece
            if self.size >= self._look_at:
                kind_of(bytes(self._memory[:_IN_MEMORY]), self._settings, header_is_there=self.size >= _SECOND_LOOK)
                self._look_at = max(_SECOND_LOOK, 2 * self.size)
            if self.size > _IN_MEMORY:
                self._file = open(self._part, "wb")  # noqa: PTH123, SIM115
                self._file.write(self._memory)
                self._memory = bytearray()
        else:
            self._file.write(piece)

    def data(self) -> bytes:
        """All bytes. Raises OSError."""
        if self._file is None:
            return bytes(self._memory)
        self._file.flush()
        return Path(self._part).read_bytes()

    def leave(self) -> None:
        """Leaves the whole of it in the part file. Raises OSError."""
        if self._file is None:
            with open(self._part, "wb", buffering=0) as file:  # noqa: PTH123
                file.write(self._memory)
        else:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Closes and removes the part file, unless it was to be left."""
        if self._file is not None:
            self._file.close()
            Path(self._part).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: the whole `body`, which is whoever's to close who has the answer, or None for "not modified".

    `etag`, `last_modified`: for the next conditional request; `url`: where the redirects ended.
    """

    status: int
    body: Body | None
    etag: str | None
    last_modified: str | None
    url: str


def kind_of(head: bytes, settings: DownloadSettings, *, header_is_there: bool = True) -> str:
    """The format of a file from its first bytes, a key of `EXTENSIONS`.

    Raises NotFetched for what is no readable image, and for one whose header tells of too many pixels. A header that
    cannot be read is no matter of this stage; it is not tried where `header_is_there` is False.
    """
    if not head:
        raise NotFetched("empty-file", "there is no content")
    kind = image_format(head)
    if kind is None:
        if foreign := foreign_image(head):
            raise NotFetched("unsupported-format", f"this is a {foreign} image")
        raise NotFetched("not-an-image", f"this is {other_thing(head) or 'no image'}")
    width, height = _pixels(head, kind) if header_is_there else (0, 0)
    if width * height > settings.max_pixels or max(width, height) > settings.max_side:
        raise NotFetched("too-many-pixels", f"{width} by {height} pixels")
    return kind


def _pixels(head: bytes, kind: str) -> tuple[int, int]:
    """Width and height, or zeros where the header does not say, or not yet."""
    if kind == "WEBP":
        return webp_size(head) or (0, 0)
    if kind == "JPEG" and (size := _jpeg_size(head)):
        return size
    try:
        with decoding("photo", kind, head), contextlib.closing(open_image(head, kind)) as im:
            return im.size
    except ImageTooLargeError as error:
        raise NotFetched("too-many-pixels", error.detail) from error
    except PhotoError:
        return 0, 0


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the first frame, where nothing odd comes before it: ten times as fast as a decoder.

    Layout: ITU-T T.81, B.1.1.4 and B.2.2.
    """
    at = 2
    while data[at : at + 1] == b"\xff" and at + 9 <= len(data):
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def ends_before_its_picture(data: bytes, kind: str) -> bool:
    """Whether the structure of the file runs past its last byte."""
    return not (kind == "JPEG" and data.endswith(b"\xff\xd9")) and ends_early(data, kind)


def unpacker(encoding: str | None) -> Callable[[bytes], Iterator[bytes]]:
    """A function that turns what is sent in a Content-Encoding into pieces of content of 64 KiB at most.

    What a few bytes would unpack to is never made at once: who counts the pieces can stop at any. Nothing but
    `identity` is ever asked for; gzip and deflate come all the same. Raises NotFetched (`encoding`) for others, as the
    function does for broken data.
    """
    name = (encoding or "identity").strip().lower()
    if name in ("identity", ""):
        return lambda chunk: iter((chunk,))
    if name in ("gzip", "x-gzip", "deflate"):
        return _Inflater().pieces
    raise NotFetched("encoding", f"Content-Encoding: {name[:40]}")


class _Inflater:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, told by the header

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk and not self._zlib.eof:
                if piece := self._zlib.decompress(chunk, _UNPACKED_AT_ONCE):
                    yield piece
                chunk = self._zlib.unconsumed_tail
        except zlib.error as error:
            raise NotFetched("encoding", f"broken: {error}") from error
