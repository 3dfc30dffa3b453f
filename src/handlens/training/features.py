"""Features of many photos from a frozen graph, kept on disk so that a killed run goes on where it was.

On disk, below the folder given: `<key>/00000.npz`, `<key>/00001.npz`, ... where `key` names the network, the
preprocessing and the list of photos; each file holds the next 128 photos' `features` (n, D) float32 and `read` (n,)
bool, written under another name first and then renamed, so a file that is there is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.model import default_threads
from handlens.photo import PhotoError, read_photo
from handlens.specimen import locate
from handlens.training.samples import Sample
from handlens.views import Preprocessing, make_views

__all__ = ["Backbone", "Features", "extract"]

_CHUNK: Final = 128
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Backbone:
    """A frozen network: `graph` makes its ONNX file, uint8 (N, side, side, 3) → float32 (N, D); `identity` names its
    weights, since two exports of one network need not be equal byte for byte.
    """

    identity: str
    graph: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Features:
    """`values` float32 (n, V * D), views in the order of the preprocessing; `read` (n,) says which photos were read.

    `failures` has name, code and detail of each that was not; its row of `values` is zeros.
    """

    values: NDArray[np.float32]
    read: NDArray[np.bool_]
    failures: tuple[tuple[str, str, str], ...]


def extract(
    samples: Sequence[Sample],
    backbone: Backbone,
    preprocessing: Preprocessing,
    folder: Path,
    *,
    mirrored: bool = False,
    quiet: bool = False,
) -> Features:
    """Runs the backbone over every view of every photo, `mirrored` left to right or as they are."""
    kept = folder / _key(samples, backbone.identity, preprocessing, mirrored)
    kept.mkdir(parents=True, exist_ok=True)
    # Building the graph takes seconds, which a run whose features are all kept does not need to spend.
    session = cache(lambda: onnxruntime.InferenceSession(backbone.graph(), providers=["CPUExecutionProvider"]))
    failures: list[tuple[str, str, str]] = []

    def views(sample: Sample) -> NDArray[np.uint8] | None:
        try:
            photo = read_photo(sample.path, name=sample.file, needed_side=preprocessing.needed_side)
        except PhotoError as error:
            failures.append((sample.file, error.code, error.detail))
            return None
        views = make_views(photo.rgb, locate(photo.rgb), preprocessing)
        return np.ascontiguousarray(views[:, :, ::-1]) if mirrored else views

    parts = []
    starts = range(0, len(samples), _CHUNK)
    with ThreadPoolExecutor(default_threads()) as pool:
        for start in tqdm(starts, desc="features", unit="chunk", disable=quiet):
            path = kept / f"{start // _CHUNK:05d}.npz"
            if not path.is_file():
                chunk = list(pool.map(views, samples[start : start + _CHUNK]))
                _write(path, *_chunk(chunk, session()))
            with np.load(path, allow_pickle=False) as arrays:
                parts.append((arrays["features"], arrays["read"]))
    values, read = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    known = {file for file, _, _ in failures}
    earlier = [(sample.file, "unreadable", "could not be read in an earlier run") for sample in _unread(samples, read)]
    return Features(values, read, tuple(failures) + tuple(row for row in earlier if row[0] not in known))


def _unread(samples: Sequence[Sample], read: NDArray[np.bool_]) -> list[Sample]:
    return [sample for sample, fine in zip(samples, read, strict=True) if not fine]


def _chunk(
    views: Sequence[NDArray[np.uint8] | None], session: onnxruntime.InferenceSession
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    name, width = session.get_inputs()[0].name, int(session.get_outputs()[0].shape[-1])
    rows: list[NDArray[np.float32] | None] = []
    for start in range(0, len(views), _BATCH):
        batch = [row for row in views[start : start + _BATCH] if row is not None]
        found = iter(session.run(None, {name: np.concatenate(batch)})[0].reshape(len(batch), -1) if batch else ())
        rows += [None if row is None else next(found) for row in views[start : start + _BATCH]]
    length = next((len(row) for row in rows if row is not None), width)
    values = np.stack([np.zeros(length, np.float32) if row is None else row for row in rows])
    return values, np.array([row is not None for row in rows])


def _write(path: Path, features: NDArray[np.float32], read: NDArray[np.bool_]) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.savez(file, features=features, read=read)
    temporary.replace(path)


def _key(samples: Sequence[Sample], identity: str, preprocessing: Preprocessing, mirrored: bool) -> str:
    state = hashlib.sha256(f"{identity}\t{mirrored}\n".encode())
    state.update(json.dumps(preprocessing.as_dict(), sort_keys=True).encode())
    for sample in samples:
        size = sample.path.stat().st_size if sample.path.is_file() else -1
        state.update(f"{sample.file}\t{size}\n".encode("utf-8", "surrogateescape"))
    return state.hexdigest()[:16]
