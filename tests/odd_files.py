"""Odd and broken image files, the same ones for the same seed, made from drawn pictures only.

`generate` yields good files in unusual modes, then files of other kinds, bombs, and then cuts and bit flips
of the good ones until `count` is reached. What may be answered to each is part of it: a set of error codes,
or None where a photo is a fine answer too (a photo or any decoder error: never another exception).
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from heic_writer import heic

DAMAGED = frozenset({"truncated-image", "corrupt-image"})
BROKEN = DAMAGED | {"image-too-large", "image-too-small", "not-an-image", "unsupported-format"}
"""Every code that flipped bits can lead to: they may hit the size or the magic bytes."""


@dataclass(frozen=True)
class OddFile:
    """`expected`: the codes of which one must come, or None where a photo may come out as well."""

    name: str
    data: bytes
    expected: frozenset[str] | None
    must_open: bool = False


def picture(width: int = 96, height: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth drawn picture (H, W, 3) that no turn and no mirror image leaves the same."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    wave = 0.5 + 0.5 * np.sin(6 * x + 4 * y + seed)
    channels = np.stack([230 * x + 10, 200 * y + 20 + 20 * wave, 60 + 120 * wave * (1 - x)], axis=-1)
    return channels.clip(0, 255).astype(np.uint8)


def encode(im: Image.Image, image_format: str, **options: Any) -> bytes:
    """The bytes of the image in this format."""
    out = io.BytesIO()
    im.copy().save(out, image_format, **options)  # a copy: saving leaves encoder settings in the image
    return out.getvalue()


def exif(orientation: int) -> bytes:
    """An EXIF block that holds an orientation and nothing else."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def wide_gamut_profile() -> bytes:
    """An RGB profile with sRGB's curve, its red and blue primaries exchanged: easy to see when it is used."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(data[128:132], "big")):
        at = 132 + 12 * number
        exchanged = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(bytes(data[at : at + 4]))
        if exchanged:
            data[at : at + 4] = exchanged
    data[24:36] = bytes(12)  # the date it was made
    # Another name, too: a reader may take the profile's word for being sRGB.
    return bytes(data).replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))


def inverted_cmyk_jpeg(im: Image.Image, *, keep_marker: bool = True) -> bytes:
    """A CMYK JPEG as Adobe's programs write it: an APP14 marker, and values inverted."""
    data = encode(im, "JPEG", quality=95)  # Pillow writes exactly that
    assert b"Adobe" in data
    return data if keep_marker else data.replace(b"Adobe", b"Eboda", 1)


def _good() -> Iterator[tuple[str, bytes]]:
    rgb = Image.fromarray(picture())
    grey = rgb.convert("L")
    alpha = Image.fromarray(np.linspace(0, 255, 96 * 64).reshape(64, 96).astype(np.uint8))
    rgba, la = rgb.copy(), Image.merge("LA", (grey, alpha))
    rgba.putalpha(alpha)
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16)) * 257)
    palette = rgb.quantize(32)
    yield "rgb.jpg", encode(rgb, "JPEG")
    yield "progressive.jpg", encode(rgb, "JPEG", progressive=True)
    yield "grey.jpg", encode(grey, "JPEG")
    yield "cmyk-adobe.jpg", inverted_cmyk_jpeg(rgb.convert("CMYK"))
    yield "cmyk-plain.jpg", inverted_cmyk_jpeg(rgb.convert("CMYK"), keep_marker=False)
    for orientation in range(1, 9):
        yield f"exif-{orientation}.jpg", encode(rgb, "JPEG", exif=exif(orientation))
    yield "exif-9.jpg", encode(rgb, "JPEG", exif=exif(9))
    yield "exif-broken.jpg", encode(rgb, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken")
    yield "icc.jpg", encode(rgb, "JPEG", icc_profile=wide_gamut_profile())
    yield "icc-broken.jpg", encode(rgb, "JPEG", icc_profile=b"\0\0\2\0broken  RGB " + bytes(range(200)))
    yield "icc-large.png", encode(rgb, "PNG", icc_profile=wide_gamut_profile() + bytes(900_000))
    yield "mpo.jpg", encode(rgb, "MPO", save_all=True, append_images=[rgb.rotate(180)])
    yield "junk-after.jpg", encode(rgb, "JPEG") + b"\0\xff\xd8 motion photo " * 99
    for mode, im in (("rgb", rgb), ("grey", grey), ("la", la), ("rgba", rgba), ("palette", palette)):
        yield f"{mode}.png", encode(im, "PNG")
    yield "palette-alpha.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 8)))
    yield "rgb-transparent.png", encode(rgb, "PNG", transparency=(10, 20, 60))
    yield "one-bit.png", encode(grey.convert("1"), "PNG")
    yield "deep.png", encode(deep, "PNG")
    yield "exif-6.png", encode(rgb, "PNG", exif=exif(6))
    yield "lossless.webp", encode(rgba, "WEBP", lossless=True)
    yield "lossy.webp", encode(rgb, "WEBP", exif=exif(3))
    yield "animated.webp", encode(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)])
    for kind in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        yield f"{kind}.tif", encode(rgb, "TIFF", compression=kind)
    yield "deep.tif", encode(deep, "TIFF")
    yield "int.tif", encode(grey.convert("I"), "TIFF")
    yield "float.tif", encode(grey.convert("F"), "TIFF")
    yield "cmyk.tif", encode(rgb.convert("CMYK"), "TIFF")
    yield "lab.tif", encode(_lab(rgb), "TIFF")
    yield "pages.tif", encode(rgb, "TIFF", save_all=True, append_images=[grey, rgba])
    yield "group4.tif", encode(grey.convert("1"), "TIFF", compression="group4")
    yield "rgb.bmp", encode(rgb, "BMP")
    yield "palette.bmp", encode(palette, "BMP")
    yield "palette.gif", encode(palette, "GIF", transparency=3)
    yield "animated.gif", encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)])
    yield "rgb.avif", encode(rgb, "AVIF", quality=90)
    yield "rgba-6.avif", encode(rgba, "AVIF", exif=exif(6))
    yield "animated.avif", _undated(encode(rgb, "AVIF", save_all=True, append_images=[rgb.rotate(180)]))
    yield "block.heic", heic(picture())
    yield "turned.heic", heic(picture(), quarters_left=1, exif=exif(6).removeprefix(b"Exif\0\0"))
    yield "container.heif", heic(picture(), brands=(b"mif1", b"mif1", b"heic"))
    yield "photo.txt", encode(rgb, "PNG")


def _undated(avif: bytes) -> bytes:
    """An animated AVIF without the time of its making, which its track headers hold."""
    data = bytearray(avif)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(kind) + 4
        times = 16 if data[at] == 1 else 8
        data[at + 4 : at + 4 + times] = bytes(times)
    return bytes(data)


def _lab(rgb: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    im = ImageCms.profileToProfile(rgb, srgb, lab, outputMode="LAB")
    assert im is not None
    im.info.pop("icc_profile", None)
    return im


def png(width: int, height: int, *, extra: bytes = b"", rows: int | None = None) -> bytes:
    """A grey PNG of zeros, with other chunks before its data."""
    body = zlib.compressobj(9)
    line = bytes(width + 1)
    packed = b"".join(body.compress(line) for _ in range(height if rows is None else rows)) + body.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _tiff(*tags: tuple[int, int, int, int], body: bytes = b"") -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + body


def _bmp(width: int, height: int, body: bytes = b"") -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + info + body


def scans_bomb(scans: int = 3000) -> bytes:
    """A progressive JPEG whose last scan is repeated: each one costs another pass over the picture."""
    data = encode(Image.fromarray(picture()), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def bombs() -> Iterator[OddFile]:
    """Files that unfold to far more than they are, or say that they do, and two that are too small."""
    large = frozenset({"image-too-large"})
    yield OddFile("claims-30000.png", png(30_000, 30_000, rows=30), large)
    yield OddFile("zeros-9000.png", png(9000, 9000), large)
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "\0" * 40_000_000, zip=True)
    yield OddFile("text-bomb.png", encode(Image.fromarray(picture()), "PNG", pnginfo=info), large)
    one = b"note\0\0" + zlib.compress(bytes(1_000_000), 9)
    yield OddFile("texts.png", png(64, 64, extra=_chunk(b"zTXt", one) * 100), large | DAMAGED)
    profile = b"icc\0\0" + zlib.compress(bytes(50_000_000), 9)
    yield OddFile("profile.png", png(64, 64, extra=_chunk(b"iCCP", profile)), large | DAMAGED)
    gif = encode(Image.fromarray(picture()).quantize(16), "GIF")
    screen = gif[:6] + struct.pack("<HH", 65_000, 65_000) + gif[10:]
    yield OddFile("screen.gif", screen, large)
    at = gif.index(b",")
    yield OddFile("frame.gif", gif[: at + 5] + struct.pack("<HH", 65_000, 65_000) + gif[at + 9 :], large)
    jpeg = bytearray(encode(Image.fromarray(picture()), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    yield OddFile("claims-65500.jpg", bytes(jpeg), large)
    yield OddFile("scans.jpg", scans_bomb(), frozenset({"corrupt-image"}))
    webp = bytearray(encode(Image.fromarray(picture()), "WEBP", exif=exif(1)))
    webp[24:30] = b"\xff\x3f\0\xff\x3f\0"
    yield OddFile("canvas.webp", bytes(webp), large)
    strip = (273, 4, 1, 200), (277, 3, 1, 1), (258, 3, 1, 8), (262, 3, 1, 1), (259, 3, 1, 1)
    sizes = (256, 4, 1, 2**31), (257, 4, 1, 2**31), (278, 4, 1, 1), (279, 4, 1, 2**31)
    yield OddFile("sizes.tif", _tiff(*strip, *sizes), large | DAMAGED)
    sizes = (256, 4, 1, 64), (257, 4, 1, 64), (278, 4, 1, 64), (279, 4, 1, 2**31)
    yield OddFile("strip-bytes.tif", _tiff(*strip, *sizes, body=bytes(99)), DAMAGED)
    many = _tiff((273, 4, 2**31, 8), *strip[1:], *sizes, body=bytes(99))
    yield OddFile("strip-count.tif", many, DAMAGED)
    tile = (324, 4, 1, 300), (325, 4, 1, 40), (322, 4, 1, 60_000), (323, 4, 1, 60_000), (259, 3, 1, 8)
    body = zlib.compress(bytes(9999))
    yield OddFile("tile.tif", _tiff(*strip[1:4], *sizes[:2], *tile, body=body), large)
    for width, height in ((2**31 - 1, 2**31 - 1), (-64, -64), (70_000, 3), (0, 0), (64, -(2**31))):
        codes = BROKEN if min(width, height) <= 0 else large
        yield OddFile(f"{width}x{height}.bmp", _bmp(width, height, bytes(999)), codes)
    yield OddFile("claims-8000.heic", heic(picture(), claimed_size=(20_000, 16_000)), large)
    yield OddFile("tiny.png", png(8, 8), frozenset({"image-too-small"}))
    yield OddFile("line.png", png(5000, 1), frozenset({"image-too-small"}))


def _others() -> Iterator[OddFile]:
    no_image, foreign = frozenset({"not-an-image"}), frozenset({"unsupported-format"})
    rgb = Image.fromarray(picture())
    noise = random.Random(5).randbytes(4000)
    for name, data in {
        "page.jpg": b"<!DOCTYPE html><html><head><title>404</title></head></html>",
        "text.jpg": b"BMW is no bitmap, and P6 is no number of mine.\n" * 9,
        "text.png": "Cuarzo ahumado, de Galicia: ¿qué es?".encode(),
        "data.json": b'{"photo": "a.jpg", "format": "JPEG"}',
        "paper.jpg": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        "archive.png": b"PK\3\4\x14\0\0\0\x08\0" + noise,
        "program.gif": b"\x7fELF\2\1\1\0" + noise,
        "film.heic": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + noise,
        "film.avi": b"RIFF\x10\0\0\0AVI LIST" + noise,
        "noise.jpg": b"\x91\x17" + noise,
        "zeros.tif": bytes(5000),
        "one-byte.jpg": b"\xff",
        "zero-byte.png": b"\0",
    }.items():
        yield OddFile(name, data, no_image)
    for name, data in {
        "picture.svg": b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "photoshop.jpg": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(99),
        "icon.png": encode(rgb, "ICO", sizes=[(48, 48)]),
        "jpeg2000.jp2": encode(rgb, "JPEG2000"),
        "codestream.jpg": encode(rgb, "JPEG2000", no_jp2=True),
        "netpbm.ppm": encode(rgb, "PPM"),
        "jpeg-xl.jxl": b"\xff\x0a" + noise,
    }.items():
        yield OddFile(name, data, foreign)
    yield OddFile("empty.jpg", b"", frozenset({"empty-file"}))
    starts = {
        "jpg": b"\xff\xd8\xff",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "tif": b"II*\0",
        "tiff": b"MM\0*",
        "bmp": b"BM",
        "webp": b"RIFF\x99\0\0\0WEBP",
        "avif": b"\0\0\0\x1cftypavif",
        "heic": b"\0\0\0\x18ftypheic",
    }
    for ending, magic in starts.items():
        yield OddFile(f"magic.{ending}", magic, DAMAGED | no_image)
        yield OddFile(f"magic-noise.{ending}", magic + noise, BROKEN)


def generate(seed: int = 7, count: int = 300) -> Iterator[OddFile]:
    """`count` odd files: the good, the foreign and the bombs first, then cuts and flips of the good ones."""
    chance = random.Random(seed)
    good = list(_good())
    fixed = [OddFile(name, data, None, must_open=True) for name, data in good] + [*_others(), *bombs()]
    yield from fixed[:count]
    for number in range(count - len(fixed)):
        name, data = good[number // 2 % len(good)]
        if number % 2:
            share = chance.choice((0.05, 0.2, 0.5, 0.8, 0.95)) + chance.uniform(-0.04, 0.04)
            yield OddFile(f"cut-{number}-{name}", data[: int(len(data) * share)], None)
            continue
        flipped = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        yield OddFile(f"flip-{number}-{name}", bytes(flipped), None)
