"""The localiser that ships, as `prepare` uses it: one thread a process, and its digest among the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.files import file_digest
from handlens.specimen import Specimen

__all__ = ["Finder", "load_localiser", "localiser_digest"]


class Finder(Protocol):
    """What finds the specimen in a photo."""

    def locate(self, rgb: NDArray[np.uint8]) -> Specimen:
        """The specimen in an upright photo (H, W, 3)."""


def load_localiser() -> Finder:
    """The localiser that ships. Raises BadLocaliserError."""
    from handlens.specimen_localiser import Localiser  # the runtime takes memory that the other modes do not need

    return Localiser.load(threads=1)


def localiser_digest() -> str:
    """sha256 of the localiser's manifest, which has that of its graph. Raises BadLocaliserError."""
    from handlens import specimen_localiser

    load_localiser()
    return file_digest(Path(specimen_localiser.__file__).parent / "localiser" / specimen_localiser.MANIFEST)
