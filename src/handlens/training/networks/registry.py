"""The networks that can be trained, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
from keras import layers

from handlens.errors import HandlensError, UsageError
from handlens.training.lite import LITE_FAMILY
from handlens.training.networks.cnn import CNNS, cnn
from handlens.training.networks.fused import FusedBatchNormalization
from handlens.training.networks.hub import keras_hub, preset_network, preset_side
from handlens.training.networks.transfer import TRANSFERS, lite

__all__ = ["NETWORKS", "Network", "UnknownNetworkError", "build_network", "load_network", "network"]

_HUB: Final = "hub:"
_CNN_SIDE: Final = 96
_TRANSFER_DEFAULTS: Final = {
    "epochs": 24,
    "batch": 32,
    "optimizer": "adamw",
    "rate": 3e-4,
    "schedule": "cosine",
    "augment": ("crop", "flip", "colour"),
    "label_smoothing": 0.1,
}


class UnknownNetworkError(HandlensError):
    """No network has this name (`unknown-network`)."""

    code = "unknown-network"


@dataclass(frozen=True, slots=True)
class Network:
    """`made_for`: the side of its pictures in pixels, or what finds it. `settings`: what it is trained with unless told
    otherwise. `pretrained`: how many last blocks are trained can be chosen (`unfrozen`); for the others `l2` can be.
    """

    name: str
    made_for: int | Callable[[], int]
    summary: str
    pretrained: bool
    make: Callable[..., keras.Model]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """Of the pictures it is made for, in pixels. Raises what `hub.preset_side` does for a preset of keras-hub."""
        return self.made_for if isinstance(self.made_for, int) else self.made_for()


NETWORKS: Final[Mapping[str, Network]] = {
    network.name: network
    for network in (
        *(
            Network(name, _CNN_SIDE, f"{len(shape.convolutions)} convolutions, from scratch", False, partial(cnn, name))
            for name, shape in CNNS.items()
        ),
        *(
            Network(
                name,
                LITE_FAMILY[name].side,
                "EfficientNet-Lite with ImageNet weights",
                True,
                partial(lite, name),
                _TRANSFER_DEFAULTS,
            )
            for name in TRANSFERS
        ),
    )
}


def network(name: str) -> Network:
    """The network of a name; `hub:PRESET` is a preset of keras-hub, which is only looked for when its side is asked for
    or it is made. Raises UnknownNetworkError.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if preset := name.removeprefix(_HUB) if name.startswith(_HUB) else "":
        return Network(
            name,
            partial(preset_side, preset),
            "a preset of keras-hub",
            True,
            partial(preset_network, preset),
            _TRANSFER_DEFAULTS,
        )
    raise UnknownNetworkError(f"there is no network {name!r}: choose from {', '.join(NETWORKS)}, {_HUB}PRESET")


def build_network(
    name: str,
    classes: int,
    *,
    side: int | None = None,
    l2: float | None = None,
    dropout: float | None = None,
    unfrozen: int | None = None,
    fused: bool = False,
) -> keras.Model:
    """uint8 RGB `photo` (N, side, side, 3) → `probabilities` float32 (N, classes).

    The layer before the softmax is called `logits`. Values that are None are the network's own; `fused` makes one that
    trains faster and has the same weights, in the same order. Raises UnknownNetworkError, UsageError, for a preset of
    keras-hub what `hub.preset_network` raises.
    """
    if classes < 2:
        raise UsageError(f"a classifier needs two classes or more, not {classes}")
    found = network(name)
    chosen: dict[str, Any] = {"side": side or found.side, "dropout": dropout}
    if found.pretrained:
        if l2 is not None:
            raise UsageError(f"{name} has no penalty to set (l2)")
        chosen |= {} if unfrozen is None else {"unfrozen": unfrozen}
    else:
        if unfrozen is not None:
            raise UsageError(f"{name} has no pretrained blocks to freeze (unfrozen)")
        chosen |= {"l2": l2, "normalisation": FusedBatchNormalization if fused else layers.BatchNormalization}
    return found.make(classes, **chosen)


def load_network(path: Path, name: str) -> keras.Model:
    """The network `name` that was saved at `path`. Raises MissingExtraError for a preset of keras-hub where that is not
    installed, and what `keras.models.load_model` raises.
    """
    if name.startswith(_HUB):
        keras_hub()
    return keras.models.load_model(path)
