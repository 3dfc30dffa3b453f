"""The nearest specimens of a run by the angle between embeddings (`handlens batch --index`).

Up to 100,000 rows every one is compared. Beyond, where usearch is installed (extra `similar`), its graph of neighbours
(HNSW: Malkov and Yashunin, IEEE TPAMI 2020) names the rows to compare; it is built once and kept beside the shards:

    index/<digest of the shards>.usearch

Without usearch every row is compared there too, which takes longer and gives the exact answer.
"""

from __future__ import annotations

import hashlib
import heapq
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handlens.batch.errors import JournalError, MixedRunError, NoIndexError
from handlens.batch.journal import Journal, bundle_digest, saving
from handlens.dataset.files import TEMPORARY_PREFIX
from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.photo import PhotoSource

__all__ = ["EXACT_TO", "Index", "Neighbour", "embedding_of"]

EXACT_TO: Final = 100_000
"""Rows up to which every one is compared."""
_CANDIDATES: Final = 4
"""Times as many rows as are asked for are compared of those that the graph names."""
_ROW_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row of the run. `similarity`: the cosine of the angle between the embeddings, -1 to 1. `name`: its answer."""

    photo: str
    similarity: float
    name: str

    def as_dict(self) -> dict[str, Any]:
        """As one line of `--format jsonl`."""
        return {"photo": self.photo, "similarity": round(self.similarity, 6), "name": self.name}


@dataclass(frozen=True, slots=True)
class _Shard:
    """Keys and answers of the rows with an embedding, and these, float32 (rows, D)."""

    keys: list[bytes]
    names: list[str]
    embeddings: NDArray[np.float32]


def embedding_of(identifier: Identifier, photo: PhotoSource) -> NDArray[np.float32]:
    """The embedding (D,) of a photo, of length 1. Raises PhotoError."""
    _, views = identifier.views(photo)
    embedding = identifier.score(views).embedding[0]
    return np.asarray(embedding / max(float(np.linalg.norm(embedding)), 1e-12), np.float32)


class Index:
    """The embeddings of a run, which need not be finished."""

    def __init__(self, run: Path, identifier: Identifier, *, exact_to: int = EXACT_TO) -> None:
        """Raises NoIndexError, MixedRunError for a run with another bundle, JournalError."""
        self._journal = Journal.at(run)
        parameters = self._journal.parameters
        if not parameters.get("index"):
            raise NoIndexError(f"{run}: the run keeps no embeddings: begin it with --index")
        if parameters.get("bundle_sha256") != bundle_digest(identifier.bundle):
            raise MixedRunError(
                f"{run}: its embeddings are those of the bundle {parameters.get('bundle')}: name that one"
            )
        self._exact_to = exact_to
        self._shards = [number for number in range(len(self._journal.bounds) + 1) if self._path(number).is_file()]
        try:
            self.rows = sum(pq.read_metadata(self._path(number)).num_rows for number in self._shards)
        except (OSError, pa.ArrowException) as error:
            raise JournalError(f"{run}: a shard cannot be read: {error}") from error

    @property
    def exact(self) -> bool:
        """Whether every row is compared."""
        return self.rows <= self._exact_to or importlib.util.find_spec("usearch") is None

    def nearest(self, embedding: NDArray[np.float32], top: int = 10) -> list[Neighbour]:
        """The rows nearest to an embedding (D,), nearest first; of equally near ones, by name. Raises UsageError."""
        if top < 1:
            raise UsageError(f"top is {top}: it must be 1 or more")
        places: dict[int, list[int] | None] = dict.fromkeys(self._shards)
        if not self.exact:
            places = self._named_by_graph(embedding, top)
        best: list[tuple[float, bytes, str]] = []
        for number, rows in places.items():
            best = heapq.nsmallest(top, [*best, *self._compared(number, rows, embedding)])
        found = [(key.decode("utf-8", "surrogateescape"), -minus, name) for minus, key, name in best]
        return [Neighbour(photo, similarity, name) for photo, similarity, name in found]

    def _compared(
        self, number: int, rows: list[int] | None, embedding: NDArray[np.float32]
    ) -> Iterator[tuple[float, bytes, str]]:
        shard = self._read(number)
        for row in range(len(shard.keys)) if rows is None else rows:
            # A product for each row: of a matrix, the last digits of a row would depend on those beside it.
            yield -float(shard.embeddings[row] @ embedding), shard.keys[row], shard.names[row]

    def _named_by_graph(self, embedding: NDArray[np.float32], top: int) -> dict[int, list[int] | None]:
        from usearch.index import Index as Graph

        path = self._graph()
        try:
            graph = Graph.restore(str(path), view=True)
        except (OSError, ValueError, RuntimeError):
            graph = None
        if graph is None:
            raise JournalError(f"{path}: cannot be read as a graph of neighbours: delete it, and it is made anew")
        places: dict[int, list[int] | None] = {}
        for key in graph.search(embedding, max(top * _CANDIDATES, 64)).keys:
            rows = places.setdefault(int(key) >> _ROW_BITS, [])
            assert rows is not None
            rows.append(int(key) & (1 << _ROW_BITS) - 1)
        return places

    def _graph(self) -> Path:
        """The file of the graph, made where there is none of these shards."""
        from usearch.index import Index as Graph

        state = hashlib.sha256(self._journal.digest.encode())
        for number in self._shards:
            status = self._path(number).stat()
            state.update(f"{number} {status.st_size} {status.st_mtime_ns}\n".encode())
        folder = self._journal.root / "index"
        path = folder / f"{state.hexdigest()[:32]}.usearch"
        if path.is_file():
            return path
        graph = None
        for number in self._shards:
            shard = self._read(number)
            if not shard.keys:
                continue
            if graph is None:
                graph = Graph(ndim=shard.embeddings.shape[1], metric="cos", dtype="f16")
            first = number << _ROW_BITS
            graph.add(np.arange(first, first + len(shard.keys), dtype=np.uint64), shard.embeddings)
        assert graph is not None
        with saving(path):
            folder.mkdir(exist_ok=True)
            part = folder / f"{TEMPORARY_PREFIX}{path.name}"
            graph.save(str(part))
            for older in folder.glob("*.usearch"):
                if older != part:
                    older.unlink()
            part.replace(path)
        return path

    def _path(self, number: int) -> Path:
        return self._journal.shard(number)

    def _read(self, number: int) -> _Shard:
        try:
            table = pq.read_table(self._path(number), columns=["key", "name", "embedding", "error_type"])
        except (OSError, pa.ArrowException) as error:
            raise JournalError(f"{self._path(number)}: cannot be read: {error}") from error
        rows = [row for row in table.to_pylist() if row["error_type"] is None]
        numbers = np.frombuffer(b"".join(row["embedding"] for row in rows), "<f2").astype(np.float32)
        embeddings = numbers.reshape(len(rows), -1) if rows else numbers.reshape(0, 0)
        # Rounding to 16 bits has changed the lengths a little.
        embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return _Shard([row["key"] for row in rows], [row["name"] for row in rows], embeddings)
