"""The pretrained networks that can be frozen under a linear head, by name: one place for what differs between them."""

from __future__ import annotations

from functools import cache, partial
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.errors import UsageError
from handlens.training.features import Backbone
from handlens.training.lite import LITE_FAMILY, lite_backbone
from handlens.training.vit import DEPTH, FEATURE_BLOCKS, PATCH, VIT_SIDE, VITS, vit_backbone
from handlens.training.weights import kept_ranges, load_weights, ranges_digest, weights_digest

__all__ = [
    "FROZEN",
    "backbone_of",
    "check_patches",
    "check_side",
    "frozen_network",
    "frozen_side",
    "views_graph",
    "weights_of",
]

FROZEN: Final = (*LITE_FAMILY, *VITS)
"""Their names."""
_LEAST_PATCHES: Final = 8


def frozen_side(network: str) -> int:
    """Pixels of a side of what it looks at, where nothing else is asked for."""
    return VIT_SIDE if network in VITS else LITE_FAMILY[network].side


def check_side(network: str, side: int) -> None:
    """Raises UsageError for a `side` in pixels that the network cannot look at."""
    multiple, least, most = (PATCH, 4 * PATCH, 40 * PATCH) if network in VITS else (1, 64, 640)
    if side % multiple or not least <= side <= most:
        of = f"a multiple of {multiple} " if multiple > 1 else ""
        raise UsageError(f"side is {side}: for {network} it must be {of}from {least} to {most}")


def check_patches(network: str, side: int, patches: int) -> None:
    """Raises UsageError for a number of patches that the network cannot look at in a view of `side` pixels."""
    if network not in VITS:
        raise UsageError(f"{network} has no patches to choose from: {', '.join(VITS)} has")
    if not _LEAST_PATCHES <= patches <= (side // PATCH) ** 2:
        raise UsageError(f"patches is {patches}: it must be from {_LEAST_PATCHES} to {(side // PATCH) ** 2}")


def frozen_network(network: str, side: int | None = None, patches: int = 0) -> keras.Model:
    """It with its pretrained weights, uint8 (N, side, side, 3) → features (N, D). Raises MissingWeightsError.

    `patches`: of a transformer, see `vit_backbone`.
    """
    side = side or frozen_side(network)
    net = vit_backbone(side=side, patches=patches) if network in VITS else lite_backbone(network, side=side)
    load_weights(net, network)
    return net


def backbone_of(network: str, side: int | None = None, patches: int = 0) -> Backbone:
    """It as what `extract` runs: a transformer in whole numbers, as the bundle will have it, so that a head is fitted
    and judged on the features that it will meet.
    """
    graph = partial(_graph, network, side or frozen_side(network), patches)
    if network not in VITS:
        return Backbone(f"{network}:{weights_digest(network)}", graph)
    # What is between its matrices has one scale for all that runs together.
    of_all = f":{patches}-patches" if patches else ""
    return Backbone(f"{network}:{weights_digest(network)}:int8-{ranges_digest(network)}:alone{of_all}", graph, batch=1)


def views_graph(net: keras.Model, larger: int = 0) -> bytes | None:
    """The bundle's graph of a `multi_view_classifier` over a transformer; None for another network.

    Its embedding and logits are those of the features of `backbone_of`. `larger`: another side that it takes as well.
    """
    from handlens.training.vit_graph import vit_views_graph

    backbone = next((layer for layer in net.layers if layer.name in VITS), None)
    if backbone is None:
        return None
    _, views, side, _, _ = net.input_shape
    matrix, bias = net.get_layer("logits").get_weights()
    patches = backbone.get_layer(f"block{DEPTH - 1:02d}_norm1").input.shape[1] - 1
    return vit_views_graph(
        weights_of(backbone),
        (matrix, bias),
        side=side,
        views=views,
        blocks=FEATURE_BLOCKS,
        patches=patches,
        ranges=kept_ranges(backbone.name),
        larger=larger,
    )


def weights_of(net: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Its arrays, by `<layer>/<variable>`."""
    return {f"{layer.name}/{weight.name}": np.asarray(weight) for layer in net.layers for weight in layer.weights}


@cache
def _graph(network: str, side: int, patches: int) -> bytes:
    """Its ONNX file; making it takes longer than the features of many photos."""
    from handlens.training.classifier import as_onnx
    from handlens.training.vit_graph import vit_features_graph

    net = frozen_network(network, side, patches)
    if network in VITS:
        weights, ranges = weights_of(net), kept_ranges(network)
        return vit_features_graph(weights, side=side, blocks=FEATURE_BLOCKS, patches=patches, ranges=ranges)
    return as_onnx(net)
