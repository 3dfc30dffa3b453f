"""The precision that layers compute in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

__all__ = ["precision"]


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Layers that are made within have the dtype policy `name`, such as mixed_bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
