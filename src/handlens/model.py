"""ONNX Runtime: views → logits and embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import BadBundleError, Bundle
from handlens.onnx_session import cpu_session, tensor_types

__all__ = ["Model", "Scores"]

_TYPES = {"views": "tensor(uint8)", "logits": "tensor(float)", "embedding": "tensor(float)"}


@dataclass(frozen=True, slots=True)
class Scores:
    """What the graph says of N photos: `logits` float32 (N, labels), `embedding` float32 (N, D)."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


class Model:
    """A bundle's graph in an ONNX Runtime session; `run` may be called from several threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Raises BadBundleError when the runtime cannot make a session of the graph."""
        try:
            self._session = cpu_session(bundle.graph, threads)
        except Exception as error:
            raise BadBundleError(f"{bundle.path}: the runtime refuses the graph: {error}") from error
        self._bundle = bundle.without_graphs()
        types = tensor_types(self._session)
        if any(types.get(name) != wanted for name, wanted in _TYPES.items()):
            raise BadBundleError(f"{bundle.path}: the graph has the types {types}: they must be {_TYPES}")

    def run(self, views: NDArray[np.uint8]) -> Scores:
        """Scores of N photos from their views, uint8 (N, V, side, side, 3).

        A graph may take the scales of its 8-bit numbers from all that it is given, so that what it says of a photo
        depends a little on those beside it: every door gives it one photo at a time.
        Raises BadBundleError when the graph fails, or gives other than one finite logit a label: what a file says of
        its shapes need not be true.
        """
        try:
            logits, embedding = map(np.asarray, self._session.run(["logits", "embedding"], {"views": views}))
        except Exception as error:
            raise BadBundleError(f"{self._bundle.path}: the runtime cannot run the graph: {error}") from error
        if logits.shape != (len(views), len(self._bundle.labels)) or embedding.shape[:1] != logits.shape[:1]:
            shapes = f"logits {logits.shape} and an embedding {embedding.shape}"
            raise BadBundleError(f"{self._bundle.path}: the graph gave {shapes} for {len(views)} photos")
        if not (np.isfinite(logits).all() and np.isfinite(embedding).all()):
            raise BadBundleError(f"{self._bundle.path}: the graph gave values that are no numbers")
        return Scores(logits, embedding)

    @property
    def providers(self) -> list[str]:
        """The runtime's execution providers in use."""
        return list(self._session.get_providers())
