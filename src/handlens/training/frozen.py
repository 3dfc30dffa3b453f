"""The pretrained networks that can be frozen under a linear head, by name: one place for what differs between them."""

from __future__ import annotations

from functools import cache, partial
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.training.features import Backbone
from handlens.training.lite import LITE_FAMILY, lite_backbone
from handlens.training.vit import FEATURE_BLOCKS, VIT_SIDE, VITS, vit_backbone
from handlens.training.weights import load_weights, weights_digest

__all__ = ["FROZEN", "backbone_of", "frozen_network", "frozen_side", "views_graph"]

FROZEN: Final = (*LITE_FAMILY, *VITS)
"""Their names."""


def frozen_side(network: str) -> int:
    """Pixels of a side of what it looks at."""
    return VIT_SIDE if network in VITS else LITE_FAMILY[network].side


def frozen_network(network: str) -> keras.Model:
    """It with its pretrained weights, uint8 (N, side, side, 3) → features (N, D). Raises MissingWeightsError."""
    net = vit_backbone() if network in VITS else lite_backbone(network)
    load_weights(net, network)
    return net


def backbone_of(network: str) -> Backbone:
    """It as what `extract` runs: a transformer in whole numbers, as the bundle will have it, so that a head is fitted
    and judged on the features that it will meet.
    """
    if network not in VITS:
        return Backbone(f"{network}:{weights_digest(network)}", partial(_graph, network))
    # What is between its matrices has one scale for all that runs together.
    return Backbone(f"{network}:{weights_digest(network)}:int8:alone", partial(_graph, network), batch=1)


def views_graph(net: keras.Model) -> bytes | None:
    """The bundle's graph of a `multi_view_classifier` over a transformer; None for another network.

    Its embedding and logits are those of the features of `backbone_of`.
    """
    from handlens.training.vit_graph import vit_views_graph

    backbone = next((layer for layer in net.layers if layer.name in VITS), None)
    if backbone is None:
        return None
    _, views, side, _, _ = net.input_shape
    matrix, bias = net.get_layer("logits").get_weights()
    return vit_views_graph(_arrays(backbone), (matrix, bias), side=side, views=views, blocks=FEATURE_BLOCKS)


def _arrays(net: keras.Model) -> dict[str, NDArray[np.float32]]:
    return {f"{layer.name}/{weight.name}": np.asarray(weight) for layer in net.layers for weight in layer.weights}


@cache
def _graph(network: str) -> bytes:
    """Its ONNX file; making it takes longer than the features of many photos."""
    from handlens.training.classifier import as_onnx
    from handlens.training.vit_graph import vit_features_graph

    net = frozen_network(network)
    if network in VITS:
        return vit_features_graph(_arrays(net), side=VIT_SIDE, blocks=FEATURE_BLOCKS)
    return as_onnx(net)
