"""What a picture looks like, as 128 bits: equal pictures have equal bits, and a mirrored or turned copy known others.

The picture is stretched to 32 x 32 cells of luma Y and colour differences Cb, Cr. The bits are the signs of the low
frequencies of their cosine transform (64 of Y, 32 each of Cb and Cr), after the perceptual hash of Zauner
(Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), with three changes:

- colour takes part, because minerals on one studio's background differ in it first;
- signs in place of comparisons with a median: mirroring turns the sign of odd frequencies and transposing exchanges
  down with across, so the bits of all eight orientations follow from those of one (`posed`);
- frequencies that say next to nothing (`dead`: of a grey picture, all colour) are 0, not noise, and of each sixth the
  bits that are nearest to changing (`doubtful`) are told, so that an index can try them both ways.

A picture has two views: the whole, and the whole without `MARGIN` on each side, because a copy that lost up to 5 % of
its sides is nearer to the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "DOUBTS",
    "KEY_BITS",
    "MARGIN",
    "POSES",
    "TABLES",
    "Hashes",
    "Looks",
    "Words",
    "inverse_pose",
    "look",
    "pose_pixels",
]

Words = NDArray[np.uint64]
"""(N, 2): the 128 bits of N hashes, in the order of the frequencies."""

TABLES: Final = 6
"""Sixths of the bits: each is a key of the index by itself."""
KEY_BITS: Final = 21
"""Bits of a sixth: three to a word of 64; the last bit of a word belongs to none."""
DOUBTS: Final = 3
"""Bits of each sixth that are told to be doubtful."""
POSES: Final = 8
"""Orientations of a square. Bit 0: transposed; then bit 1: turned upside down; then bit 2: mirrored left to right."""
MARGIN: Final = 0.027
"""Share of a side that the inner view leaves out on each side: about the mean of a loss of 0 to 5 %."""

_CELLS: Final = 32
_DEAD: Final = 3.0
"""Amplitude (grey levels times cells) up to which a frequency says nothing; re-encoding changes 90 % by less than 2."""
_TO_YCC: Final = np.array([[0.299, -0.168736, 0.5], [0.587, -0.331264, -0.418688], [0.114, 0.5, -0.081312]], np.float32)
"""RGB to luma and colour differences, ITU-T T.871 (JFIF)."""


def _frequencies(most: int, without: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Frequencies down and across up to a sum; the set is equal to its transpose."""
    return [(u, v) for u in range(most + 1) for v in range(most + 1 - u) if u + v and (u, v) not in without]


def _order() -> list[tuple[int, int, int]]:
    """Channel, frequency down and frequency across of every bit.

    Each sixth has one frequency that is its own transpose and ten that come with theirs, so that transposing a picture
    moves no bit to another sixth, and each has its share of low frequencies, which change least.
    """
    places = [(0, u, v) for u, v in _frequencies(10, ((5, 5),))]
    places += [(channel, u, v) for channel in (1, 2) for u, v in _frequencies(7, ((0, 7), (7, 0), (3, 3)))]
    places.sort(key=lambda place: (place[1] + place[2], place))
    alone = [place for place in places if place[1] == place[2]]
    paired = [place for place in places if place[1] < place[2]]
    sixths = []
    for table in range(TABLES):
        ten = paired[table::TABLES]
        sixths.append([alone[table], *ten, *((channel, v, u) for channel, u, v in ten)])
    halves = [*chain(*sixths[:3]), alone[TABLES]], [*chain(*sixths[3:]), alone[TABLES + 1]]
    return [*halves[0], *halves[1]]


_PLACES: Final = _order()
_CHANNEL, _DOWN, _ACROSS = (np.array(axis) for axis in zip(*_PLACES, strict=True))
_TRANSPOSED: Final = np.array([_PLACES.index((channel, v, u)) for channel, u, v in _PLACES])
# What cropping changes in a frequency, as measured: less in a high one than in a low one, less in colour.
_NOISE: Final = np.where(_CHANNEL == 0, 1.0, 0.5) / np.sqrt(_DOWN + _ACROSS)
_SIXTHS: Final = [
    np.arange(start, start + KEY_BITS) for half in (0, 64) for start in range(half, half + 3 * KEY_BITS, KEY_BITS)
]


@dataclass(frozen=True, eq=False, slots=True)
class Hashes:
    """N hashes as words: `bits`; `dead`, where a bit says nothing and is 0; `doubtful`, `DOUBTS` in each sixth."""

    bits: Words
    dead: Words
    doubtful: Words

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, part: slice) -> Hashes:
        return Hashes(self.bits[part], self.dead[part], self.doubtful[part])

    def posed(self, pose: int) -> Hashes:
        """The hashes of the same pictures in another orientation, see `POSES`."""
        bits, dead, doubtful = self.bits, self.dead, self.doubtful
        if pose & 1:
            bits, dead, doubtful = (_pack(_unpack(words)[:, _TRANSPOSED]) for words in (bits, dead, doubtful))
        turned = np.zeros(len(_PLACES), bool)
        if pose & 2:
            turned ^= _DOWN % 2 == 1
        if pose & 4:
            turned ^= _ACROSS % 2 == 1
        return Hashes((bits ^ _pack(turned[None])) & ~dead, dead, doubtful)


@dataclass(frozen=True, eq=False, slots=True)
class Looks:
    """Both views of N pictures: hashes of the `whole`, by which it is looked up, and the bits of its `inner` view."""

    whole: Hashes
    inner: Words

    def __len__(self) -> int:
        return len(self.whole)

    def to_bytes(self) -> bytes:
        """64 bytes a picture: bits, dead and doubtful bits of the whole, bits of the inner view."""
        parts = self.whole.bits, self.whole.dead, self.whole.doubtful, self.inner
        return np.stack(parts, axis=1).astype("<u8", copy=False).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes | bytearray, which: NDArray[np.int64] | slice = slice(None)) -> Looks:
        """The looks of pictures, or of some of them, from their `to_bytes`, joined."""
        words = np.frombuffer(data, "<u8").reshape(-1, 4, 2)
        bits, dead, doubtful, inner = (words[which, part].astype(np.uint64) for part in range(4))
        return cls(Hashes(bits, dead, doubtful), inner)


def inverse_pose(pose: int) -> int:
    """The pose that takes a picture in `pose` back: a quarter turn left for one right, else the pose itself."""
    return pose & 1 | (pose & 2) << 1 | (pose & 4) >> 1 if pose & 1 else pose


def pose_pixels(pixels: NDArray[np.uint8], pose: int) -> NDArray[np.uint8]:
    """An array (..., H, W) in another orientation, as `Hashes.posed` means it."""
    if pose & 1:
        pixels = np.swapaxes(pixels, -1, -2)
    if pose & 2:
        pixels = pixels[..., ::-1, :]
    return pixels[..., ::-1] if pose & 4 else pixels


def look(rgb: NDArray[np.uint8]) -> Looks:
    """The looks of one picture, (H, W, 3) uint8 sRGB."""
    im, (height, width) = Image.fromarray(rgb), rgb.shape[:2]
    amplitudes = np.empty((2, len(_PLACES)))
    for view, margin in enumerate((0.0, MARGIN)):
        box = width * margin, height * margin, width * (1 - margin), height * (1 - margin)
        cells = np.asarray(im.resize((_CELLS, _CELLS), Image.Resampling.BILINEAR, box), np.float32) @ _TO_YCC
        spectrum = np.stack([cv2.dct(np.ascontiguousarray(cells[:, :, channel])) for channel in range(3)])
        amplitudes[view] = spectrum[_CHANNEL, _DOWN, _ACROSS]
    both = _hashes(amplitudes)
    return Looks(both[:1], both.bits[1:])


def _hashes(amplitudes: NDArray[np.float64]) -> Hashes:
    distance = np.abs(np.abs(amplitudes) - _DEAD) / _NOISE
    doubtful = np.zeros(amplitudes.shape, bool)
    for sixth in _SIXTHS:
        nearest = sixth[np.argsort(distance[:, sixth], axis=1, kind="stable")[:, :DOUBTS]]
        np.put_along_axis(doubtful, nearest, values=True, axis=1)
    return Hashes(_pack(amplitudes > _DEAD), _pack(np.abs(amplitudes) <= _DEAD), _pack(doubtful))


def _pack(bits: NDArray[np.bool_]) -> Words:
    octets = np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little"))
    return octets.view("<u8").astype(np.uint64, copy=False)


def _unpack(words: Words) -> NDArray[np.bool_]:
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little").view(np.bool_)
