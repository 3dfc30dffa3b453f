"""ONNX Runtime: views → logits and embedding."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from handlens.bundle import BadBundleError, Bundle

__all__ = ["Model", "Scores", "default_threads"]

_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """What the graph says of N photos: `logits` float32 (N, labels), `embedding` float32 (N, D)."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


def default_threads() -> int:
    """The processors this process may use; more threads than that only wait for each other."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


class Model:
    """A bundle's graph in an ONNX Runtime session; `run` may be called from several threads."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Raises BadBundleError when the runtime cannot make a session of the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        # A thread that spins while it waits takes a processor from decoding and from other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.graph, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BadBundleError(f"{bundle.path}: the runtime refuses the graph: {error}") from error

    def run(self, views: NDArray[np.uint8]) -> Scores:
        """Scores of N photos from their views, uint8 (N, V, side, side, 3)."""
        logits, embedding = self._session.run(["logits", "embedding"], {"views": views})
        return Scores(np.asarray(logits), np.asarray(embedding))

    @property
    def providers(self) -> list[str]:
        """The runtime's execution providers in use."""
        return list(self._session.get_providers())
