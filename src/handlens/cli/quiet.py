"""Keeping TensorFlow's start-up notes off the terminal; must run before it is imported."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quieten_tensorflow"]


def quieten_tensorflow() -> None:
    """Imports TensorFlow. From then on it tells errors only, in this process; a level that the user set stays."""
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # The exporter asks NumPy for an alias that is gone, and patches itself when it is.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")
    with _no_standard_error():  # what it notes before its log is open obeys no level
        import tensorflow as tf

        tf.zeros(1)


@contextmanager
def _no_standard_error() -> Iterator[None]:
    """Nothing is written to standard error meanwhile, not by libraries in C either."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
