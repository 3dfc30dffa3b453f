"""Several ONNX graphs of bundles as one: views one after the other → the mean of their logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

__all__ = ["joined_graph"]

_OPSET: Final = 20
_IR: Final = 9


def joined_graph(graphs: Sequence[bytes]) -> bytes:
    """Each takes `views` uint8 (N, V, side, side, 3) of one side, or all of any, as many V as it likes, and gives
    `logits` (N, labels) and `embedding` (N, D) of length 1. The whole takes the views of all in their order, and gives
    the mean of the logits, and the embeddings side by side, made of length 1 together.
    """
    parts = [_ready(graph, f"part{number}/") for number, graph in enumerate(graphs)]
    inputs = [part.graph.input[0] for part in parts]
    counts = [value.type.tensor_type.shape.dim[1].dim_value for value in inputs]
    side = inputs[0].type.tensor_type.shape.dim[2].dim_value or "side"
    shape = ["N", sum(counts), side, side, 3]
    lengths = numpy_helper.from_array(np.array(counts, np.int64), "views_each")
    scale = numpy_helper.from_array(np.array(1 / math.sqrt(len(parts)), np.float32), "length")
    outputs = [{value.name.partition("/")[2]: value for value in part.graph.output} for part in parts]
    nodes = [helper.make_node("Split", ["views", "views_each"], [value.name for value in inputs], "split", axis=1)]
    nodes += [node for part in parts for node in part.graph.node]
    nodes.append(helper.make_node("Mean", [found["logits"].name for found in outputs], ["logits"], "mean"))
    nodes.append(
        helper.make_node("Concat", [found["embedding"].name for found in outputs], ["together"], "concat", axis=1)
    )
    nodes.append(helper.make_node("Mul", ["together", "length"], ["embedding"], "scale"))
    widths = {name: [_width(found[name]) for found in outputs] for name in ("logits", "embedding")}
    graph = helper.make_graph(
        nodes,
        "joined",
        [helper.make_tensor_value_info("views", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", widths["logits"][0]]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", sum(widths["embedding"])]),
        ],
        [lengths, scale, *(weight for part in parts for weight in part.graph.initializer)],
    )
    domains = {entry.domain: entry.version for part in parts for entry in part.opset_import if entry.domain}
    imports = [helper.make_opsetid("", _OPSET), *(helper.make_opsetid(*entry) for entry in sorted(domains.items()))]
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR)
    model.producer_name = "handlens"
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _ready(graph: bytes, prefix: str) -> Any:
    """With names of its own, in the operators of one version."""
    model = onnx.load_from_string(graph)
    if any(entry.domain == "" and entry.version != _OPSET for entry in model.opset_import):
        model = version_converter.convert_version(model, _OPSET)
    return compose.add_prefix(model, prefix)


def _width(value: Any) -> int:
    return int(value.type.tensor_type.shape.dim[1].dim_value)
