"""An ONNX Runtime session as Handlens wants it: one graph, on the processor, beside other work."""

from __future__ import annotations

from typing import Final

import onnxruntime

from handlens.processors import processors

__all__ = ["cpu_session", "tensor_types"]

_ERRORS_ONLY: Final = 3


def cpu_session(graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of a graph that `onnx_wire` has checked; `threads`: one a processor by default.

    Raises whatever the runtime raises, which has no one base, when it refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or processors()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    # Only what onnx_wire has checked: the runtime's other format would be told by bytes in the middle of the file.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A thread that spins while it waits takes a processor from decoding and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, sess_options=options, providers=["CPUExecutionProvider"])
    # The session keeps the bytes for a change of providers, which is never made here; they are a second copy of the
    # weights, tens of megabytes of a small machine. A runtime that no longer has the attribute loses nothing by this.
    session._model_bytes = b""
    return session


def tensor_types(session: onnxruntime.InferenceSession) -> dict[str, str]:
    """Name and type of every input and output, as the runtime spells them: "tensor(float)"."""
    return {value.name: value.type for value in (*session.get_inputs(), *session.get_outputs())}
