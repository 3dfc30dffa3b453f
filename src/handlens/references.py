"""The reference specimens that a photo looks most like: by embeddings of the photos that a bundle was trained on.

Not the photos, which mostly may not be passed on: of each a compact embedding, its label, and where it is from.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import REFERENCES_FILE
from handlens.open_set import OpenSet

__all__ = ["BadReferencesError", "Reference", "References"]

MAX_BYTES: Final = 64 * 2**20
"""The most bytes that its arrays may have together, unpacked."""
_ARRAYS: Final = frozenset({"embeddings", "labels", "sources"})
_MOST: Final = 127
_LEAST: Final = 1e-12
_DIGITS: Final = 6


class BadReferencesError(ValueError):
    """The file of references is damaged or contradicts the bundle."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference specimen: its label, where its photo is from, and the cosine, -1 to 1, of the two embeddings."""

    label: str
    source: str
    similarity: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the similarity rounded to 6 decimals."""
        return {"label": self.label, "source": self.source, "similarity": round(self.similarity, _DIGITS)}


@dataclass(frozen=True)
class References:
    """`embeddings` (n, k) int8: of each reference the direction of its standardised embedding along the k directions of
    the bundle's unknown score. `labels` and `sources` (n,).
    """

    embeddings: NDArray[np.int8]
    labels: tuple[str, ...]
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls, embeddings: NDArray[np.floating], labels: Sequence[str], sources: Sequence[str], open_set: OpenSet
    ) -> References:
        """From the embeddings (n, D) of photos as the network gives them."""
        along = _along(embeddings, open_set)
        largest = np.maximum(np.abs(along).max(axis=1, keepdims=True), _LEAST)
        return cls(np.rint(_MOST * along / largest).astype(np.int8), tuple(labels), tuple(sources))

    def nearest(self, embedding: NDArray[np.floating], open_set: OpenSet, top: int = 5) -> tuple[Reference, ...]:
        """The `top` that a photo's embedding (D,) is most like, the nearest first; of equally near ones the first."""
        shown = _unit(_along(embedding[np.newaxis], open_set))[0]
        # Not `@`: threads of BLAS wait for more work after every product, and take the processors from the network.
        similarity = np.einsum("nk,k->n", self._units, shown)
        order = np.argsort(-similarity, kind="stable")[:top]
        return tuple(Reference(self.labels[row], self.sources[row], float(similarity[row])) for row in order)

    @cached_property
    def _units(self) -> NDArray[np.float32]:
        return _unit(self.embeddings.astype(np.float32))

    def file(self, labels: Sequence[str]) -> bytes:
        """As a bundle of these `labels` has it."""
        places = {label: place for place, label in enumerate(labels)}
        content = io.BytesIO()
        np.savez_compressed(
            content,
            embeddings=self.embeddings,
            labels=np.array([places[label] for label in self.labels], np.uint16),
            sources=np.frombuffer("\n".join(_line(source) for source in self.sources).encode(), np.uint8),
        )
        return content.getvalue()

    @classmethod
    def read(cls, content: bytes, labels: Sequence[str], open_set: OpenSet) -> References:
        """From a bundle's file, its labels and its unknown score. Raises BadReferencesError."""
        embeddings, of, text = _arrays(content)
        if embeddings.dtype != np.int8 or embeddings.ndim != 2 or embeddings.shape[1] != len(open_set.directions):
            raise BadReferencesError(f"{REFERENCES_FILE}: embeddings {embeddings.shape} do not fit the directions")
        if of.dtype != np.uint16 or of.shape != embeddings.shape[:1] or (len(of) and of.max() >= len(labels)):
            raise BadReferencesError(f"{REFERENCES_FILE}: its labels are not those of the bundle")
        if text.dtype != np.uint8 or text.ndim != 1:
            raise BadReferencesError(f"{REFERENCES_FILE}: its sources are no text")
        try:
            sources = text.tobytes().decode().split("\n")
        except UnicodeDecodeError as error:
            raise BadReferencesError(f"{REFERENCES_FILE}: its sources are no text: {error.reason}") from error
        if len(sources) != len(of) or not all(source.isprintable() for source in sources):
            raise BadReferencesError(f"{REFERENCES_FILE}: {len(sources)} sources for {len(of)} references")
        return cls(embeddings, tuple(labels[place] for place in of), tuple(sources))


def _along(embeddings: NDArray[np.floating], open_set: OpenSet) -> NDArray[np.float64]:
    return np.asarray(np.einsum("nd,kd->nk", open_set.standardised(embeddings), open_set.directions))


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST), np.float32)


def _line(text: str) -> str:
    """Foreign text on one line, fit to be shown."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _arrays(content: bytes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise BadReferencesError(f"{REFERENCES_FILE}: larger than {MAX_BYTES // 2**20} MiB")
        with np.load(io.BytesIO(content)) as arrays:  # refuses pickled objects by itself
            if set(arrays.files) != _ARRAYS:
                raise BadReferencesError(f"{REFERENCES_FILE}: has {', '.join(sorted(arrays.files)) or 'nothing'}")
            return arrays["embeddings"], arrays["labels"], arrays["sources"]
    except BadReferencesError:
        raise
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, RuntimeError, zlib.error) as error:
        raise BadReferencesError(f"{REFERENCES_FILE}: cannot be read: {error}") from error
    except (MemoryError, OverflowError, TypeError, SyntaxError) as error:  # of headers that are damaged
        raise BadReferencesError(f"{REFERENCES_FILE}: cannot be read: {error!r}") from error
