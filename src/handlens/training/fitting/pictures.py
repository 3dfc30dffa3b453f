"""Every photo decoded once, as the small picture that a network is trained on.

On disk, below the folder given: `<key>/00000.npy`, `<key>/00001.npy`, ... where `key` names the preprocessing and the
list of photos; each holds the next 512 pictures, uint8 (n, side, side, 3), and `00000.json` beside it says which photos
could not be read, and why. Both are written under another name and then renamed, the pictures last: where they are, the
chunk is whole. They are read through the system's page cache, so a set of any size can be trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.photo import PhotoError, read_photo
from handlens.processors import processors
from handlens.training.samples import Sample
from handlens.viewer import viewer_of
from handlens.views import Preprocessing

__all__ = ["Pictures", "read_pictures"]

_CHUNK: Final = 512
Failure = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The readable samples, their pictures, and name, code and detail of each photo that could not be read."""

    samples: tuple[Sample, ...]
    chunks: tuple[NDArray[np.uint8], ...]
    rows: NDArray[np.intp]
    failures: tuple[Failure, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def side(self) -> int:
        """Pixels of a picture's side."""
        return int(self.chunks[0].shape[1])

    def at(self, places: NDArray[np.intp]) -> NDArray[np.uint8]:
        """The pictures of the samples at `places`, (n, side, side, 3)."""
        rows = self.rows[places]
        found = np.empty((len(rows), *self.chunks[0].shape[1:]), np.uint8)
        chunk, row = np.divmod(rows, _CHUNK)
        for number in np.unique(chunk):
            here = chunk == number
            found[here] = self.chunks[number][row[here]]
        return found

    def subset(self, places: NDArray[np.intp]) -> Pictures:
        """The part at `places`, without a copy of its pictures; failures belong to the whole."""
        return Pictures(tuple(self.samples[place] for place in places), self.chunks, self.rows[places], ())


def read_pictures(
    samples: Sequence[Sample], preprocessing: Preprocessing, folder: Path, *, quiet: bool = False
) -> Pictures:
    """Reads every photo, or takes what is kept below `folder`. The preprocessing must make one view.

    A photo that cannot be read is left out and listed.
    """
    assert len(preprocessing.views) == 1
    kept = folder / _key(samples, preprocessing)
    kept.mkdir(parents=True, exist_ok=True)

    viewer = viewer_of(preprocessing, threads=1)

    def picture(sample: Sample) -> NDArray[np.uint8] | Failure:
        try:
            photo = read_photo(sample.path, name=sample.file, needed_side=preprocessing.needed_side)
        except PhotoError as error:
            return error.photo, error.code, error.detail
        return np.asarray(viewer.views(photo.rgb)[0])

    chunks, read, failures = [], [], []
    with ThreadPoolExecutor(processors()) as pool:
        for start in tqdm(range(0, len(samples), _CHUNK), desc="pictures", unit="chunk", disable=quiet):
            part = samples[start : start + _CHUNK]
            path = kept / f"{start // _CHUNK:05d}.npy"
            shape = (len(part), preprocessing.side, preprocessing.side, 3)
            found = _kept_chunk(path, shape)
            if found is None:
                _write_chunk(path, list(pool.map(picture, part)), shape)
                found = _kept_chunk(path, shape)
                if found is None:
                    raise OSError(f"{path}: what was written cannot be read back")
            values, unread = found
            chunks.append(values)
            failures += [failure for _, failure in unread]
            read += [place not in {row for row, _ in unread} for place in range(len(part))]
    kept_samples = tuple(sample for sample, fine in zip(samples, read, strict=True) if fine)
    return Pictures(kept_samples, tuple(chunks), np.flatnonzero(read), tuple(failures))


def _kept_chunk(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], list[tuple[int, Failure]]] | None:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        unread = [(row, (name, code, detail)) for row, name, code, detail in json.loads(_list_of(path).read_text())]
    except (OSError, ValueError, EOFError):
        return None
    return (values, unread) if values.shape == shape and values.dtype == np.uint8 else None


def _write_chunk(path: Path, pictures: Sequence[NDArray[np.uint8] | Failure], shape: tuple[int, ...]) -> None:
    values = np.zeros(shape, np.uint8)
    unread = []
    for row, picture in enumerate(pictures):
        if isinstance(picture, tuple):
            unread.append([row, *picture])
        else:
            values[row] = picture
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(unread))
    temporary.replace(_list_of(path))
    with temporary.open("wb") as file:
        np.save(file, values)
    temporary.replace(path)


def _list_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _key(samples: Sequence[Sample], preprocessing: Preprocessing) -> str:
    state = hashlib.sha256(json.dumps(preprocessing.as_dict(), sort_keys=True).encode())
    for sample in samples:
        size = sample.path.stat().st_size if sample.path.is_file() else -1
        state.update(f"{sample.file}\t{size}\n".encode("utf-8", "surrogateescape"))
    return state.hexdigest()[:16]
