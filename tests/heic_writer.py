"""The smallest HEIC writer: one still picture, stored as HEVC blocks of plain samples (I_PCM).

No HEVC encoder is among the dependencies, so the tests write their own samples from drawn pictures. The bit
stream follows ITU-T H.265 (7.3 syntax, 9.3.4 CABAC encoding), the boxes ISO/IEC 23008-12 and 14496-12. Every
block is 16 by 16 and coded alike, which leaves two decisions to the arithmetic coder: `part_mode` (always the
most probable value) and `pcm_flag` / `end_of_slice_segment_flag` (terminating bins).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

# H.265 table 9-52, last column: the only one that a range of 508 or 510 selects.
_LPS = (
    240, 227, 216, 205, 195, 185, 175, 166, 158, 150, 142, 135, 128, 122, 116, 110,
    104, 99, 94, 89, 85, 80, 76, 72, 69, 65, 62, 59, 56, 53, 50, 48,
    45, 43, 41, 39, 37, 35, 33, 31, 30, 28, 27, 25, 24, 23, 22, 21,
    20, 19, 18, 17, 16, 15, 14, 14, 13, 12, 12, 11, 11, 10, 9,
)  # fmt: skip
_PROFILE = struct.pack(">BI6sB", 1, 0x60000000, b"\x90\0\0\0\0\0", 93)  # Main, level 3.1


class _Bits:
    def __init__(self) -> None:
        self.text: list[str] = []

    def u(self, value: int, count: int) -> None:
        self.text.append(format(value, f"0{count}b"))

    def ue(self, *values: int) -> None:
        for value in values:
            digits = format(value + 1, "b")
            self.text.append("0" * (len(digits) - 1) + digits)

    def raw(self, data: bytes) -> None:
        self.text.append("".join(format(byte, "08b") for byte in data))

    def align(self, stop_bit: bool) -> None:
        if stop_bit:
            self.text.append("1")
        joined = "".join(self.text)
        self.text = [joined + "0" * (-len(joined) % 8)]

    def data(self) -> bytes:
        joined = "".join(self.text)
        return int(joined, 2).to_bytes(len(joined) // 8, "big")


class _Cabac:
    """The arithmetic encoder of H.265, 9.3.4.2 to 9.3.4.5, as far as it is needed."""

    def __init__(self, bits: _Bits) -> None:
        self.bits, self.state = bits, 0
        self.start()

    def start(self) -> None:
        self.low, self.range, self.first, self.outstanding = 0, 510, True, 0

    def most_probable(self) -> None:
        self.range -= _LPS[self.state]
        self.state = min(self.state + 1, 62)

    def terminate(self, last: bool) -> None:
        self.range -= 2
        if not last:
            return
        self.low += self.range
        self.range = 2
        for _ in range(7):
            self._shift()
        self._put(self.low >> 9 & 1)
        self.bits.u(self.low >> 7 & 3 | 1, 2)

    def _shift(self) -> None:
        if self.low < 256:
            self._put(0)
        elif self.low >= 512:
            self.low -= 512
            self._put(1)
        else:
            self.low -= 256
            self.outstanding += 1
        self.range <<= 1
        self.low <<= 1

    def _put(self, bit: int) -> None:
        if self.first:
            self.first = False
        else:
            self.bits.u(bit, 1)
        while self.outstanding:
            self.bits.u(1 - bit, 1)
            self.outstanding -= 1


def _nal(kind: int, payload: bytes) -> bytes:
    out, zeros = bytearray([kind << 1, 1]), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)  # emulation prevention
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _parameter_sets(width: int, height: int) -> tuple[bytes, bytes, bytes]:
    vps = _Bits()
    vps.raw(b"\x0c\x01\xff\xff" + _PROFILE)
    vps.u(1, 1)
    vps.ue(0, 0, 0)
    vps.u(0, 6)
    vps.ue(0)
    vps.u(0, 2)
    vps.align(stop_bit=True)
    sps = _Bits()
    sps.raw(b"\x01" + _PROFILE)
    sps.ue(0, 1, width, height)  # 4:2:0
    sps.u(0, 1)
    sps.ue(0, 0, 0)
    sps.u(1, 1)
    sps.ue(0, 0, 0)
    sps.ue(1, 0, 0, 2, 0, 0)  # blocks of 16, transforms of 4 to 16
    sps.u(0b0001, 4)  # no scaling lists, no asymmetric partitions, no sample offsets; I_PCM
    sps.u(0x77, 8)  # 8 bits a sample
    sps.ue(1, 0)
    sps.u(1, 1)
    sps.ue(0)
    sps.u(0, 5)
    sps.align(stop_bit=True)
    pps = _Bits()
    pps.ue(0, 0)
    pps.u(0, 7)
    pps.ue(0, 0, 0)
    pps.u(0, 3)
    pps.ue(0, 0)
    pps.u(0b0000000101, 10)  # deblocking control present, deblocking disabled
    pps.u(0, 2)
    pps.ue(0)
    pps.u(0, 2)
    pps.align(stop_bit=True)
    return _nal(32, vps.data()), _nal(33, sps.data()), _nal(34, pps.data())


def _slice(planes: list[NDArray[np.uint8]]) -> bytes:
    bits = _Bits()
    bits.u(0b10, 2)
    bits.ue(0, 2, 0)  # picture parameters 0, an I slice, no change of quantiser
    bits.align(stop_bit=True)
    cabac = _Cabac(bits)
    height, width = planes[0].shape
    corners = [(y, x) for y in range(0, height, 16) for x in range(0, width, 16)]
    for y, x in corners:
        cabac.most_probable()
        cabac.terminate(last=True)
        bits.align(stop_bit=False)
        for plane in planes:
            step = 16 * plane.shape[0] // height
            top, left = y * step // 16, x * step // 16
            bits.raw(plane[top : top + step, left : left + step].tobytes())
        cabac.start()
        cabac.terminate(last=(y, x) == corners[-1])
    bits.align(stop_bit=False)  # the arithmetic coder's last bit is the stop bit
    return _nal(19, bits.data())


def _ycbcr(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """BT.601 full range, chroma at half size."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [luma]
    for channel, scale in ((blue, 1.772), (red, 1.402)):
        chroma = (channel - luma) / scale + 128
        planes.append(chroma.reshape(luma.shape[0] // 2, 2, luma.shape[1] // 2, 2).mean(axis=(1, 3)))
    return [np.rint(plane).clip(0, 255).astype(np.uint8) for plane in planes]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def heic(
    rgb: NDArray[np.uint8],
    *,
    quarters_left: int = 0,
    exif: bytes | None = None,
    brands: tuple[bytes, ...] = (b"heic", b"mif1", b"heic"),
    claimed_size: tuple[int, int] | None = None,
) -> bytes:
    """A HEIC file of a (H, W, 3) picture whose sides are multiples of 16.

    `quarters_left`: an `irot` property of that many quarter turns anticlockwise. `exif`: a TIFF block.
    `brands`: the major brand, then the compatible ones. `claimed_size`: another (width, height) for `ispe`.
    """
    height, width = rgb.shape[:2]
    assert height % 16 == width % 16 == 0
    sets = _parameter_sets(width, height)
    config = b"\x01" + _PROFILE + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03"
    for kind, nal in zip((32, 33, 34), sets, strict=True):
        config += struct.pack(">BHH", 0x80 | kind, 1, len(nal)) + nal
    coded = _slice(_ycbcr(rgb))
    items = [(1, b"hvc1", struct.pack(">I", len(coded)) + coded)]
    if exif is not None:
        items.append((2, b"Exif", struct.pack(">I", 0) + exif))
    properties = [
        _box(b"hvcC", config),
        _box(b"ispe", bytes(4), struct.pack(">II", *(claimed_size or (width, height)))),
        _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
    ]
    if quarters_left:
        properties.append(_box(b"irot", bytes([quarters_left])))
    uses = bytes([0x81, 2, 3, 0x84][: len(properties)])

    def file(at: int) -> bytes:
        places = b""
        for number, _, data in items:
            places += struct.pack(">HHHII", number, 0, 1, at, len(data))
            at += len(data)
        infos = (_box(b"infe", b"\x02\0\0\0", struct.pack(">HH4sx", number, 0, kind)) for number, kind, _ in items)
        reference = _box(b"iref", bytes(4), _box(b"cdsc", struct.pack(">HHH", 2, 1, 1))) if exif else b""
        meta = _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", bytes(4), struct.pack(">H", 1)),
            _box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", len(items)), places),
            _box(b"iinf", bytes(4), struct.pack(">H", len(items)), *infos),
            reference,
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _box(b"ipma", bytes(4), struct.pack(">IHB", 1, 1, len(uses)), uses),
            ),
        )
        start = _box(b"ftyp", brands[0], bytes(4), *brands[1:]) + meta
        return start + _box(b"mdat", *(data for _, _, data in items))

    media = sum(len(data) for _, _, data in items)
    return file(len(file(0)) - media)
