"""Maps of the encoder for every photo and variant, kept on disk.

On disk, below the folder given: `<key>/<variant>/00000.npy`, ... where `key` names network and photos. Each file holds
the next 256 photos as records of `fine`, `coarse` and `deep` (float16) and `mask` (uint8, as the decoder answers it);
it is written under another name and renamed, so a killed run goes on where it was. Files are mapped into memory, not
read: 4 variants of 6,368 photos are 2.5 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from handlens.photo import read_photo
from handlens.processors import processors
from handlens.specimen_localiser import stretched
from handlens.training.classifier import as_onnx
from handlens.training.localiser.data import MaskedPhoto, teacher_mask
from handlens.training.localiser.net import LEVELS, NETWORK, LocaliserNet

__all__ = ["VARIANTS", "Maps", "make_maps"]

VARIANTS: Final = ("plain", "mirrored", "zoomed0", "zoomed1")
"""The photo as it is (first), mirrored, and two random cut-outs of it with other light and colours."""
_CHUNK: Final = 256
_BATCH: Final = 16
_VERSION: Final = 1
"""Raised when variants are made in another way, so that kept maps are not taken for new ones."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Records of n photos in each of V variants, as memory maps of `_CHUNK` photos."""

    chunks: tuple[tuple[NDArray[np.void], ...], ...]

    def at(self, places: Sequence[int] | NDArray[np.intp], variants: Sequence[int] | NDArray[np.intp]) -> NDArray[Any]:
        """The records of the photos at `places`, each in the variant given beside it."""
        return np.stack([self.chunks[v][p // _CHUNK][p % _CHUNK] for p, v in zip(places, variants, strict=True)])


def make_maps(
    photos: Sequence[MaskedPhoto],
    net: LocaliserNet,
    folder: Path,
    *,
    variants: Sequence[str] = VARIANTS,
    quiet: bool = False,
) -> Maps:
    """The maps of every photo, from the disk where they are kept. Raises PhotoError, BadMasksError."""
    # Building the graph takes seconds, which a run whose maps are all kept does not need to spend.
    session = cache(lambda: _session(net.encoder))
    place = folder / _key(photos, net)
    dtype = _record(net)
    side = int(net.encoder.input_shape[1])
    starts = range(0, len(photos), _CHUNK)
    with (
        ThreadPoolExecutor(processors()) as pool,
        tqdm(total=len(variants) * len(starts), desc="maps", unit="chunk", disable=quiet) as bar,
    ):
        made = []
        for variant in variants:
            (place / variant).mkdir(parents=True, exist_ok=True)
            chunks = []
            for start in starts:
                path, part = place / variant / f"{start // _CHUNK:05d}.npy", photos[start : start + _CHUNK]
                if not path.is_file():
                    _write(path, _records(part, variant, side, session, dtype, pool))
                chunks.append(np.load(path, mmap_mode="r"))
                bar.update()
            made.append(tuple(chunks))
    return Maps(tuple(made))


def _session(encoder: keras.Model) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(as_onnx(encoder), providers=["CPUExecutionProvider"])


def _record(net: LocaliserNet) -> np.dtype[np.void]:
    maps = [(name, np.float16, tuple(net.encoder.output[name].shape[1:])) for name in LEVELS]
    return np.dtype([*maps, ("mask", np.uint8, tuple(net.decoder.output["mask"].shape[1:]))])


def _records(
    photos: Sequence[MaskedPhoto],
    variant: str,
    side: int,
    session: Callable[[], onnxruntime.InferenceSession],
    dtype: np.dtype[np.void],
    pool: ThreadPoolExecutor,
) -> NDArray[np.void]:
    records = np.zeros(len(photos), dtype)
    grid = dtype["mask"].shape[0]
    for start in range(0, len(photos), _BATCH):
        batch = slice(start, start + _BATCH)
        seen = list(pool.map(lambda photo: _variant(photo, variant, side, grid), photos[batch]))
        maps = session().run(list(LEVELS), {"photo": np.stack([pixels for pixels, _ in seen])})
        for name, values in zip(LEVELS, maps, strict=True):
            records[name][batch] = values
        records["mask"][batch] = np.stack([mask for _, mask in seen])
    return records


def _variant(photo: MaskedPhoto, variant: str, side: int, grid: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The stretched photo (side, side, 3) and its mask (grid, grid) in one variant, the same in every run."""
    rgb, mask = read_photo(photo.path, name=photo.file).rgb, Image.fromarray(teacher_mask(photo))
    mirrored = variant == "mirrored"
    if variant.startswith("zoomed"):
        seed = hashlib.sha256(f"{variant}\t{photo.file}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(seed[:8], "little"))
        rgb, mask = _zoomed(rgb, mask, rng)
        mirrored = bool(rng.random() < 0.5)
    pixels = stretched(rgb, side)
    cells = np.asarray(mask.resize((grid, grid), Image.Resampling.BOX))
    return (pixels[:, ::-1], cells[:, ::-1]) if mirrored else (pixels, cells)


def _zoomed(
    rgb: NDArray[np.uint8], mask: Image.Image, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Image.Image]:
    """A random rectangle of the photo, 65 to 100 % of its sides give or take their ratio; one in two recoloured."""
    scale, ratio = rng.uniform(0.65, 1.0), np.exp(rng.uniform(-0.2, 0.2))
    wide, high = min(1.0, scale * ratio), min(1.0, scale / ratio)
    left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    height, width = rgb.shape[:2]
    rows = slice(round(top * height), max(round((top + high) * height), round(top * height) + 1))
    columns = slice(round(left * width), max(round((left + wide) * width), round(left * width) + 1))
    part = rgb[rows, columns]
    edges = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
    cells, rest = mask.size
    box = (edges[0] * cells, edges[1] * rest, edges[2] * cells, edges[3] * rest)
    if rng.random() < 0.5:
        part = _recoloured(part, rng)
    return np.ascontiguousarray(part), mask.resize(mask.size, Image.Resampling.BILINEAR, box)


def _recoloured(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure (gamma), white balance, contrast and saturation."""
    light = 255 * (rgb.astype(np.float32) / 255) ** rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3)
    mean = light.mean()
    light = (light - mean) * rng.uniform(0.8, 1.2) + mean * rng.uniform(0.9, 1.1)
    grey = light.mean(axis=2, keepdims=True)
    coloured: NDArray[np.uint8] = np.clip(grey + (light - grey) * rng.uniform(0.5, 1.3), 0, 255).astype(np.uint8)
    return coloured


def _write(path: Path, records: NDArray[np.void]) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.save(file, records)
    temporary.replace(path)


def _key(photos: Sequence[MaskedPhoto], net: LocaliserNet) -> str:
    state = hashlib.sha256(f"{_VERSION}\t{NETWORK}\t{net.encoder.input_shape}\t{LEVELS}\n".encode())
    for weight in net.encoder.weights:
        state.update(np.asarray(weight).tobytes())
    for photo in photos:
        state.update(f"{photo.file}\t{photo.path.stat().st_size}\t{photo.mask.stat().st_size}\n".encode())
    return state.hexdigest()[:16]
