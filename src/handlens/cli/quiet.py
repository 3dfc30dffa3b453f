"""Keeping TensorFlow's start-up notes off the terminal; must run before it is imported."""

from __future__ import annotations

import os
import warnings

__all__ = ["quieten_tensorflow"]


def quieten_tensorflow() -> None:
    """Errors only, in this process; a level that the user set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # The exporter asks NumPy for an alias that is gone, and patches itself when it is.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")
