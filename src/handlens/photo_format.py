"""What a file's bytes are, told from their first bytes and their structure, without decoding a pixel.

Extensions are never looked at. Three questions are answered: which readable format this is, what else it is
when it is none, and whether the file stops before its own structure says it should.
"""

from __future__ import annotations

import re

import numpy as np

MAX_JPEG_SCANS = 100
"""A progressive photo has about ten scans. Each one costs a pass over the whole picture, so a file made of
thousands of empty scans would keep a decoder busy for hours."""

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_CONTAINER_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
# DIB header sizes of every BMP version: two bytes ("BM") alone would also match ordinary text.
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

_FOREIGN_IMAGES = (
    (re.compile(rb"8BPS"), "Photoshop (PSD)"),
    (re.compile(rb"\0\0[\x01\x02]\0[^\0]\0"), "icon (ICO)"),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"), "JPEG XL"),
    (re.compile(rb"II\xbc"), "JPEG XR"),
    (re.compile(rb"P[1-7FfyY]\s"), "Netpbm (PPM)"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]", re.S), "SVG"),
    (re.compile(rb"qoif"), "QOI"),
    (re.compile(rb"DDS "), "DirectDraw (DDS)"),
    (re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (re.compile(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (re.compile(rb"icns"), "icon (ICNS)"),
    (re.compile(rb"SIMPLE  ="), "FITS"),
    (re.compile(rb"FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|.{4}ftypcrx ", re.S), "camera raw"),
)
_OTHER_THINGS = (
    (re.compile(rb"%PDF"), "a PDF document"),
    (re.compile(rb"PK[\x03\x05\x07]|7z\xbc\xaf|Rar!|\x1f\x8b|BZh|\xfd7zXZ"), "an archive"),
    (re.compile(rb"\s*<(!doctype html|html|head|body)", re.I), "a web page"),
    (re.compile(rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01\xba|.{4}moov", re.S), "a video"),
    (re.compile(rb"\x7fELF|MZ"), "a program"),
    (re.compile(rb"ID3|OggS|fLaC|RIFF.{4}WAVE", re.S), "a sound"),
)
_TEXT = re.compile(rb"[\t\n\r\f\x20-\x7e\x80-\xff]+")
_BOM = b"\xef\xbb\xbf"
# From 0xFF, which entropy-coded data escapes, to a marker that is no restart and no fill byte.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_IS_MARKER = np.array([value not in (0, 0xFF) and not 0xD0 <= value <= 0xD7 for value in range(256)])
_NEAR, _LEAST_BLOCK, _MOST_BLOCK = 1 << 12, 1 << 14, 1 << 18


def image_format(data: bytes) -> str | None:
    """Which readable format the bytes claim to be: a Pillow format name, "HEIF", or None."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        return _iso_format(data)
    return None


def _iso_format(data: bytes) -> str | None:
    major = data[8:12]
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[at : at + 4] for at in range(16, end, 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIF_BRANDS:
        return "HEIF"
    if major in _CONTAINER_BRANDS:
        # The container brand does not name the codec: the compatible brands do, or else the item type.
        avif = brands & _AVIF_BRANDS or (not brands & _HEIF_BRANDS and b"av01" in data[:4096])
        return "AVIF" if avif else "HEIF"
    return None


def foreign_image(data: bytes) -> str | None:
    """The name of an image format that is recognised but not read, or None."""
    head = data[:4096].removeprefix(_BOM)
    return next((name for pattern, name in _FOREIGN_IMAGES if pattern.match(head)), None)


def other_thing(data: bytes) -> str | None:
    """What bytes that are no image are, with its article ("a web page"), or None."""
    head = data[:512].removeprefix(_BOM)
    for pattern, name in _OTHER_THINGS:
        if pattern.match(head):
            return name
    return "text" if _TEXT.fullmatch(head) else None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP canvas, read before the decoder exists: it allocates the canvas at once.

    Layout: RFC 9649, sections 2.4 to 2.7.
    """
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        return (
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def jpeg_scans(data: bytes) -> tuple[int, bool]:
    """Scans of the first picture (counted up to one past `MAX_JPEG_SCANS`), and whether its end is there."""
    at, scans = 2, 0
    while scans <= MAX_JPEG_SCANS and (found := _next_marker(data, at)) is not None:
        marker, at = data[found + 1], found + 2
        if marker == 0xD9:
            return scans, True
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")
    return scans, False


def _next_marker(data: bytes, at: int) -> int | None:
    """Where the first marker of a JPEG that is not before `at` begins."""
    if near := _JPEG_MARKER.search(data, at, at + _NEAR):
        return near.start()
    # Megabytes of entropy-coded data may lie before the next one: a pattern takes three times as long over them. The
    # blocks grow, so that many markers a little apart do not take a large one each.
    values, size = np.frombuffer(data, np.uint8), _LEAST_BLOCK
    while at < len(data) - 1:
        block = values[at : at + size + 1]
        places = np.flatnonzero(block[:-1] == 0xFF)
        markers = places[_IS_MARKER[block[places + 1]]]
        if markers.size:
            return at + int(markers[0])
        at, size = at + size, min(2 * size, _MOST_BLOCK)
    return None


def ends_early(data: bytes, image_format: str) -> bool:
    """Whether the file's own structure runs past its last byte (False where the structure cannot tell)."""
    match image_format:
        case "JPEG":
            return not jpeg_scans(data)[1]
        case "PNG":
            return not _png_has_end(data)
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "WEBP":
            return int.from_bytes(data[4:8], "little") + 8 > len(data)
        case "BMP":
            return int.from_bytes(data[2:6], "little") > len(data)
        case "AVIF" | "HEIF":
            return boxes_end_early(data)
        case "TIFF":
            return len(data) < 8 or _tiff_directory(data) >= len(data)
        case _:
            return False


def boxes_end_early(data: bytes) -> bool:
    """Whether the last top-level box of an ISO base media file (ISO/IEC 14496-12, 4.2) is incomplete."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0 is "to the end of the file"; nonsense is for the decoder to report
            return False
        at += size
    return at > len(data)


def _png_has_end(data: bytes) -> bool:
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _tiff_directory(data: bytes) -> int:
    return int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")
