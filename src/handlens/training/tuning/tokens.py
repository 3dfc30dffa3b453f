"""What comes out of the frozen blocks of a network for many photos, kept on disk; a killed run goes on where it was.

On disk, below the folder given, for every 64 photos of a list: `<key>/00000-tokens.npy` (n, looks, 1 + P, D) and
`<key>/00000.npz` with `inside` (n, looks, 2, P) float32, `read` (n,) bool and `failures` (photos not read, 3) text.
`key` names the network, the preprocessing, the list, and how many looks; the .npz is written last, so that one that is
there belongs to whole tokens. A photo of 224 pixels takes 395 KB with one look, which is kept in single precision, and
197 KB a look with several, which are kept in half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.dataset.files import atomic_file
from handlens.onnx_session import cpu_session
from handlens.photo import PhotoError, read_photo
from handlens.processors import processors
from handlens.training.arrays import read_arrays
from handlens.training.features import alike_file, cache_key
from handlens.training.samples import Sample
from handlens.training.tuning.looks import LARGER, random_looks
from handlens.viewer import viewer_of
from handlens.views import Preprocessing

__all__ = ["Tokens", "keep_tokens"]

_CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class Tokens:
    """`key`: names the photos and what was seen of them. `parts`: tokens (n, looks, 1 + P, D) of each chunk of photos,
    not in memory; `inside` (N, looks, 2, P) of all.

    `read` (N,): which photos were read; rows of others are zeros. `failures`: name, code and detail of those.
    """

    key: str
    parts: tuple[NDArray[np.floating], ...]
    inside: NDArray[np.float32]
    read: NDArray[np.bool_]
    failures: tuple[tuple[str, str, str], ...]

    @property
    def looks(self) -> int:
        """At each photo."""
        return int(self.inside.shape[1])

    def at(self, row: int, look: int) -> NDArray[np.floating]:
        """The tokens (1 + P, D) of one look at one photo."""
        return np.asarray(self.parts[row // _CHUNK][row % _CHUNK, look])


def keep_tokens(
    samples: Sequence[Sample],
    graph: Callable[[], bytes],
    identity: str,
    preprocessing: Preprocessing,
    folder: Path,
    *,
    looks: int = 1,
    alike: bool = False,
    quiet: bool = False,
) -> Tokens:
    """Runs what `graph` makes, whose weights `identity` names, over looks at photos, or finds what is kept.

    It takes `photo` uint8 (N, side, side, 3) and gives `block_tokens` (N, P, D) and, of a transformer, `inside`.

    The first look is the view of `preprocessing`, which must have one; the others are random. `alike`: of small copies,
    as in `features.extract`.
    """
    assert len(preprocessing.views) == 1
    key = cache_key(samples, f"{identity}\t{looks} looks", preprocessing, False, alike)
    kept = folder / key
    kept.mkdir(parents=True, exist_ok=True)
    look = _Look(preprocessing, looks, alike)
    session: Any = None
    rest: list[dict[str, NDArray[Any]]] = []
    parts: list[NDArray[np.floating]] = []
    with ThreadPoolExecutor(processors()) as pool:
        for start in tqdm(range(0, len(samples), _CHUNK), desc="tokens", unit="chunk", disable=quiet):
            name, chunk = f"{start // _CHUNK:05d}", samples[start : start + _CHUNK]
            found = _kept(kept, name, len(chunk))
            if found is None:
                session = session or cpu_session(graph())
                _make(kept, name, list(pool.map(look, chunk)), session, look)
                found = _kept(kept, name, len(chunk))
                assert found is not None
            parts.append(found[0])
            rest.append(found[1])
    failures = [tuple(row) for one in rest for row in one["failures"].tolist()]
    return Tokens(
        key,
        tuple(parts),
        np.concatenate([one["inside"] for one in rest]),
        np.concatenate([one["read"] for one in rest]),
        tuple((file, code, detail) for file, code, detail in failures),
    )


class _Look:
    """A photo → its looks, uint8 (looks, side, side, 3), or why it could not be read."""

    def __init__(self, preprocessing: Preprocessing, looks: int, alike: bool) -> None:
        self.side, self.looks, self._alike = preprocessing.side, looks, alike
        larger = replace(preprocessing, side=round(LARGER * preprocessing.side))
        self._viewer, self._larger = viewer_of(preprocessing, threads=1), viewer_of(larger, threads=1)
        self._needed = (larger if looks > 1 else preprocessing).needed_side

    def __call__(self, sample: Sample) -> NDArray[np.uint8] | PhotoError:
        try:
            source = alike_file(sample.path) if self._alike else sample.path
            rgb = read_photo(source, name=sample.file, needed_side=self._needed).rgb
        except PhotoError as error:
            return error
        plain = self._viewer.views(rgb)
        if self.looks == 1:
            return plain
        others = random_looks(self._larger.views(rgb)[0], self.side, self.looks - 1, sample.file)
        return np.concatenate([plain, others])


def _make(folder: Path, name: str, looked: Sequence[NDArray[np.uint8] | PhotoError], session: Any, look: _Look) -> None:
    shapes = {value.name: tuple(value.shape[1:]) for value in session.get_outputs()}
    dtype = np.float32 if look.looks == 1 else np.float16
    tokens = np.zeros((len(looked), look.looks, *shapes["block_tokens"]), dtype)
    inside = np.zeros((len(looked), look.looks, *shapes.get("inside", (0, 0))), np.float32)
    for place, row in enumerate(looked):
        if not isinstance(row, PhotoError):
            found = dict(zip(shapes, session.run(list(shapes), {"photo": row}), strict=True))
            tokens[place] = found["block_tokens"]
            if "inside" in found:
                inside[place] = found["inside"]
    read = np.array([not isinstance(row, PhotoError) for row in looked])
    failed = [(error.photo, error.code, error.detail) for error in looked if isinstance(error, PhotoError)]
    (folder / f"{name}.npz").unlink(missing_ok=True)  # of damaged tokens
    with atomic_file(folder / f"{name}-tokens.npy") as file:
        np.save(file, tokens)
    with atomic_file(folder / f"{name}.npz") as file:
        np.savez(file, inside=inside, read=read, failures=np.array(failed, np.str_).reshape(-1, 3))


def _kept(folder: Path, name: str, photos: int) -> tuple[NDArray[np.floating], dict[str, NDArray[Any]]] | None:
    """A kept chunk, or None where there is none or it is not whole."""
    try:
        arrays = read_arrays(folder / f"{name}.npz")
        tokens = np.load(folder / f"{name}-tokens.npy", mmap_mode="r")
        whole = len(tokens) == len(arrays["inside"]) == len(arrays["read"]) == photos
        whole = whole and len(arrays["failures"]) == np.sum(~arrays["read"])
    except (OSError, ValueError, KeyError):
        return None
    return (tokens, arrays) if whole else None
