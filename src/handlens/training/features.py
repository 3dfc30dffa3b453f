"""Features of many photos from a frozen graph, kept on disk so that a killed run goes on where it was.

On disk, below the folder given: `<key>/00000.npz`, `<key>/00001.npz`, ... where `key` names the network, the
preprocessing and the list of photos; each file holds the next 128 photos' `features` (n, D) float32, `read` (n,)
bool and `failures` (photos not read, 3) text. It is written under another name first and then renamed; one that is
damaged all the same is made again.
"""

from __future__ import annotations

import hashlib
import io
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
from PIL import Image
from tqdm import tqdm

from handlens.localiser_files import LocaliserFiles
from handlens.photo import PhotoError, read_photo
from handlens.processors import processors
from handlens.training.arrays import read_arrays
from handlens.training.samples import Sample
from handlens.viewer import viewer_of
from handlens.views import Preprocessing

__all__ = ["Backbone", "Features", "alike_file", "cache_key", "embeddings_of", "extract"]

_CHUNK: Final = 128
_ALIKE_SIDE: Final = 256
_ALIKE_QUALITY: Final = 85


@dataclass(frozen=True, slots=True)
class Backbone:
    """A frozen network: `graph` makes its ONNX file, uint8 (N, side, side, 3) → float32 (N, D); `identity` names its
    weights, since two exports of one network need not be equal byte for byte. `batch`: photos that are run together,
    1 where the network's answer for one depends on the others.
    """

    identity: str
    graph: Callable[[], bytes]
    batch: int = 8


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
    alike: bool = False,
    quiet: bool = False,
) -> Features:
    """Runs the backbone over every view of every photo, `mirrored` left to right or as they are.

    `alike`: of small copies of one size and quality (`alike_file`), so that photos of several collections differ in
    what they show and not in how they are stored.
    """
    kept = folder / cache_key(samples, backbone.identity, preprocessing, mirrored, alike)
    kept.mkdir(parents=True, exist_ok=True)
    # Building the graph takes seconds, which a run whose features are all kept does not need to spend.
    session = cache(lambda: onnxruntime.InferenceSession(backbone.graph(), providers=["CPUExecutionProvider"]))

    viewer = viewer_of(preprocessing, threads=1)

    def views(sample: Sample) -> NDArray[np.uint8] | PhotoError:
        try:
            source = alike_file(sample.path) if alike else sample.path
            photo = read_photo(source, name=sample.file, needed_side=preprocessing.needed_side)
        except PhotoError as error:
            return error
        views = viewer.views(photo.rgb)
        return np.ascontiguousarray(views[:, :, ::-1]) if mirrored else views

    parts = []
    starts = range(0, len(samples), _CHUNK)
    with ThreadPoolExecutor(processors()) as pool:
        for start in tqdm(starts, desc="features", unit="chunk", disable=quiet):
            path, chunk = kept / f"{start // _CHUNK:05d}.npz", samples[start : start + _CHUNK]
            part = _kept_part(path, len(chunk))
            if part is None:
                part = _made_part(list(pool.map(views, chunk)), session(), len(preprocessing.views), backbone.batch)
                _write(path, part)
            parts.append(part)
    return Features(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.read for part in parts]),
        tuple(failure for part in parts for failure in part.failures),
    )


def embeddings_of(features: NDArray[np.float32], views: int) -> NDArray[np.float32]:
    """Features of all views side by side (n, V * D) → embeddings of length 1, (n, D), as the graph gives them."""
    mean = features.reshape(len(features), views, features.shape[1] // views).mean(axis=1)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12))


def alike_file(path: Path) -> bytes:
    """A JPEG of the photo, 256 px at most and of quality 85. Raises PhotoError."""
    picture = Image.fromarray(read_photo(path, needed_side=2 * _ALIKE_SIDE).rgb)
    picture.thumbnail((_ALIKE_SIDE, _ALIKE_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_ALIKE_QUALITY)
    return file.getvalue()


def _kept_part(path: Path, photos: int) -> Features | None:
    """The kept features of one file, or None where there is none or it is not whole."""
    try:
        arrays = read_arrays(path)
        values, read = arrays["features"], arrays["read"]
        rows = arrays["failures"].tolist() if "failures" in arrays else []
        failures = tuple((file, code, detail) for file, code, detail in rows)
    except (ValueError, KeyError):
        return None
    whole = len(values) == len(read) == photos and len(failures) == np.sum(~read)
    return Features(values, read, failures) if whole else None


def _made_part(
    views: Sequence[NDArray[np.uint8] | PhotoError],
    session: onnxruntime.InferenceSession,
    views_each: int,
    rows_together: int,
) -> Features:
    name, width = session.get_inputs()[0].name, int(session.get_outputs()[0].shape[-1])
    read = np.array([not isinstance(row, PhotoError) for row in views])
    values = np.zeros((len(views), views_each * width), np.float32)
    for start in range(0, len(views), rows_together):
        batch = [row for row in views[start : start + rows_together] if not isinstance(row, PhotoError)]
        if batch:
            places = start + np.flatnonzero(read[start : start + rows_together])
            values[places] = session.run(None, {name: np.concatenate(batch)})[0].reshape(len(batch), -1)
    failures = tuple((error.photo, error.code, error.detail) for error in views if isinstance(error, PhotoError))
    return Features(values, read, failures)


def _write(path: Path, part: Features) -> None:
    temporary = path.with_name(f".{path.name}")
    failures = np.array(part.failures, dtype=np.str_).reshape(-1, 3)
    with temporary.open("wb") as file:
        np.savez(file, features=part.values, read=part.read, failures=failures)
    temporary.replace(path)


def cache_key(
    samples: Sequence[Sample], identity: str, preprocessing: Preprocessing, mirrored: bool, alike: bool
) -> str:
    """Names what is kept of these photos as a network of this identity sees them."""
    state = hashlib.sha256(f"{identity}\t{mirrored}\n{'alike' if alike else ''}".encode())
    state.update(json.dumps(preprocessing.as_dict(), sort_keys=True).encode())
    if preprocessing.needs_specimen:
        state.update(LocaliserFiles.read().digest.encode())
    for sample in samples:
        size = sample.path.stat().st_size if sample.path.is_file() else -1
        state.update(f"{sample.file}\t{size}\n".encode("utf-8", "surrogateescape"))
    return state.hexdigest()[:16]
