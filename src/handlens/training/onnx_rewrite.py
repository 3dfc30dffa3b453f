"""ONNX graphs as ONNX Runtime rewrites them, and as the same file every time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime

__all__ = ["name_values", "only_used_versions", "rewritten"]

_ERRORS_ONLY: Final = 3


def rewritten(graph: bytes, level: onnxruntime.GraphOptimizationLevel, *, without: Sequence[str] = ()) -> Any:
    """The model that the runtime makes of `graph` when it opens it: optimised up to `level`, `without` the optimisers
    of these names. Raises whatever the runtime raises when it refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = _ERRORS_ONLY  # it warns that some levels are for this processor only
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rewritten.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
        )
        return onnx.load(path)


def only_used_versions(graph: Any) -> None:
    """Drops the versions of operator sets of which no operator is used: the runtime lists all that it knows."""
    used = {node.domain for node in graph.graph.node}
    versions = [version for version in graph.opset_import if version.domain in used]
    del graph.opset_import[:]
    graph.opset_import.extend(versions)


def name_values(graph: Any) -> None:
    """Names nodes, weights and inner values by their order of use, and puts the weights into it: the exporter's own
    names and order differ from run to run, and so would the file.
    """
    names = {value.name: value.name for value in [*graph.graph.input, *graph.graph.output]}
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}{number}"
        for values in (node.input, node.output):
            values[:] = [names.setdefault(value, f"value{len(names)}") if value else "" for value in values]
    places = {name: place for place, name in enumerate(names)}
    used = [weight for weight in graph.graph.initializer if weight.name in places]
    weights = sorted(used, key=lambda weight: places[weight.name])
    for weight in weights:
        weight.name = names[weight.name]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(weights)
    del graph.graph.value_info[:]
