"""A graph as ONNX Runtime itself makes it ready for a processor, so that opening it takes half of the time."""

from __future__ import annotations

from typing import Final

import onnx
import onnxruntime

from handlens.training.onnx_rewrite import name_values, only_used_versions, rewritten

__all__ = ["fused"]

_UNFOLDED: Final = ["ConstantFolding"]


def fused(graph: bytes) -> bytes:
    """The same graph with the runtime's fusions done: those at its level "extended", which are the same on every
    processor. They are what takes half of the time of making a session, and the numbers that come out are the same.

    Constants are left as they are: weights in half precision would be folded into twice the size.
    """
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model = rewritten(graph, level, without=_UNFOLDED)
    name_values(model)
    only_used_versions(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
