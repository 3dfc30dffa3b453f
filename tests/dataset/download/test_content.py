"""The bytes that arrive: kept within bounds, unpacked piece by piece, told by what they are."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.download.conftest import quick
from dataset.loopback import PHOTOS, encoded
from handlens.dataset.download.content import Body, ends_before_its_picture, kind_of, unpacker
from handlens.dataset.download.reasons import NotFetched

LARGE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)), "JPEG", quality=95)


@pytest.mark.parametrize("content", [PHOTOS[0], LARGE], ids=["small", "large"])
def test_a_body_gives_back_what_it_was_given_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    part = tmp_path / "images" / ".part-1"
    part.parent.mkdir()
    for is_left in (False, True):
        body = Body(str(part), quick())
        for at in range(0, len(content), 7000):
            body.add(content[at : at + 7000])
        assert body.size == len(content)
        assert body.data() == content
        assert part.exists() == (content is LARGE)
        if is_left:
            body.leave()
        body.close()
        assert part.exists() == is_left
    assert part.read_bytes() == content


def test_a_body_stops_at_its_limits(tmp_path: Path) -> None:
    body = Body(str(tmp_path / "part"), quick(max_bytes=10_000))
    body.add(LARGE[:9_000])
    with pytest.raises(NotFetched, match="too-large"):
        body.add(bytes(2_000))
    with pytest.raises(NotFetched, match="not-an-image"):
        Body(str(tmp_path / "part"), quick()).add(b"<html>" + bytes(5_000))
    with pytest.raises(NotFetched, match="too-many-pixels"):
        Body(str(tmp_path / "part"), quick(max_pixels=299_999)).add(LARGE[:70_000])
    with pytest.raises(NotFetched, match="too-many-pixels"):
        Body(str(tmp_path / "part"), quick(max_side=599)).add(LARGE[:70_000])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_pixels_are_counted_in_every_format(image_format: str) -> None:
    content = encoded(Image.new("RGB", (300, 200)), image_format)
    assert kind_of(content, quick(max_pixels=60_000)) == image_format
    with pytest.raises(NotFetched, match="too-many-pixels"):
        kind_of(content, quick(max_pixels=59_999))


def test_a_damaged_header_is_no_matter_of_the_download() -> None:
    assert kind_of(b"\xff\xd8\xff" + bytes(100), quick()) == "JPEG"


def test_where_a_picture_ends() -> None:
    assert not ends_before_its_picture(PHOTOS[0], "JPEG")
    assert not ends_before_its_picture(PHOTOS[0] + b"after", "JPEG")
    assert ends_before_its_picture(PHOTOS[0][:-2], "JPEG")
    png = encoded(Image.new("RGB", (9, 9)), "PNG")
    assert not ends_before_its_picture(png, "PNG")
    assert ends_before_its_picture(png[:-5], "PNG")


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (None, LARGE),
        ("identity", LARGE),
        (" GZIP ", gzip.compress(LARGE)),
        ("x-gzip", gzip.compress(LARGE)),
        ("deflate", zlib.compress(LARGE)),
    ],
)
def test_what_is_packed_is_unpacked(encoding: str | None, data: bytes) -> None:
    unpack = unpacker(encoding)
    content = b"".join(piece for at in range(0, len(data), 999) for piece in unpack(data[at : at + 999]))
    assert content == LARGE


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_unknown_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(NotFetched, match="encoding"):
        unpacker(encoding)


def test_broken_gzip_is_an_encoding_error() -> None:
    with pytest.raises(NotFetched, match="encoding"):
        list(unpacker("gzip")(PHOTOS[0]))


def test_a_bomb_is_never_unpacked_as_a_whole() -> None:
    bomb = gzip.compress(bytes(200 * 2**20), compresslevel=1)
    tracemalloc.start()
    taken = 0
    for piece in unpacker("gzip")(bomb):
        taken += len(piece)
        assert len(piece) <= 64 * 2**10
        if taken > 2**20:
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(bomb) + 3 * 2**20
