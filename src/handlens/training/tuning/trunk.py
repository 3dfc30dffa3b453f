"""A network in two parts: what is left as it is, whose output is kept once a look, and the blocks that are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.training.tuning.tokens import Tokens
from handlens.training.vit import VITS

__all__ = ["Trunk", "Weights", "trunk_of"]

Weights = Mapping[str, NDArray[np.float32]]
"""Of the whole network, by `<layer>/<variable>`."""


class Trunk(Protocol):
    """What differs between the families of networks."""

    def identity(self, *, training: bool) -> str:
        """Names what `frozen` computes: of looks to train on, or of the look that a bundle has."""

    def frozen(self, weights: Weights, *, training: bool) -> bytes:
        """The ONNX graph of the first part, see `tokens.keep_tokens`."""

    def rest(self, weights: Weights, kept: float) -> keras.Model:
        """The second part: what `shown` gives → features (N, D) float32. Its layers are trainable where they shall be
        trained. `kept`: the share of the places of a look that a step sees, where the network can leave some out.
        """

    def shown(
        self, tokens: Tokens, rows: NDArray[np.intp], looks: NDArray[np.intp], kept: float, rng: np.random.Generator
    ) -> Sequence[NDArray[np.float32]]:
        """What `rest` takes, of one look at each photo."""

    def features(self, weights: Weights, tokens: Tokens, *, quiet: bool) -> NDArray[np.float32]:
        """Features (n, D) of the first look at each photo; zeros for those that were not read."""


def trunk_of(network: str, side: int, unfrozen: int, patches: int) -> Trunk:
    """That of a network that can be tuned. `unfrozen`: its last blocks that are trained; `patches`: see `vit`."""
    trunk: Any
    if network in VITS:
        from handlens.training.tuning.vit_trunk import VitTrunk

        trunk = VitTrunk(network, side, unfrozen, patches)
    else:
        from handlens.training.tuning.lite_trunk import LiteTrunk

        trunk = LiteTrunk(network, side, unfrozen)
    tuned: Trunk = trunk
    return tuned


def filled(net: keras.Model, weights: Weights) -> keras.Model:
    """It with its layers' weights from `weights`."""
    for layer in net.layers:
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}/{weight.name}"] for weight in layer.weights])
    return net
