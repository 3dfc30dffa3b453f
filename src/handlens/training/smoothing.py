"""Smoother scales: what makes the first blocks of a transformer bear 8 bits.

A few channels of what is multiplied into a matrix are far larger than the others, and with one scale for all of them
the others are left with few steps. So each channel is divided by a factor before, in the normalisation that it comes
out of, and its row of the matrix multiplied with it: nothing that the network says changes, but the steps go round.
Source: G. Xiao et al., "SmoothQuant" (ICML 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MATRIX_BEHIND", "Ranges", "smoothed"]

Ranges = Mapping[str, NDArray[np.float32]]
"""By the name of a normalisation, the largest magnitude (D,) of each channel that comes out of it over some photos."""
MATRIX_BEHIND: Final = {"norm1": "qkv", "norm2": "up"}
"""The matrix that each of a block's normalisations leads to."""
_POWER: Final = 0.75
"""How much of the unevenness the matrix takes over; 1 would be all."""
_LEAST: Final = 1e-5


def smoothed(weights: Mapping[str, NDArray[np.float32]], ranges: Ranges) -> dict[str, NDArray[np.float32]]:
    """The same network with the channels of `ranges` evened out; `weights` by `<layer>/<variable>`."""
    found = dict(weights)
    for norm, largest in ranges.items():
        block, _, which = norm.partition("_")
        kernel = f"{block}_{MATRIX_BEHIND[which]}/kernel"
        rows = np.abs(weights[kernel]).max(axis=1)
        factor = np.maximum(largest, _LEAST) ** _POWER / np.maximum(rows, _LEAST) ** (1 - _POWER)
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        for part in ("gamma", "beta"):
            found[f"{norm}/{part}"] = weights[f"{norm}/{part}"] / factor
        found[kernel] = weights[kernel] * factor[:, np.newaxis]
    return found
