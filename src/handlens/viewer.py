"""Upright photo → views, with the specimen found where some view depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from handlens.localiser_files import LocaliserFiles
from handlens.specimen import Specimen, whole_frame
from handlens.views import Preprocessing, make_views

if TYPE_CHECKING:
    from handlens.specimen_localiser import Localiser

__all__ = ["Viewer", "viewer_of"]


class Viewer:
    """One preprocessing with the localiser that it needs; may be shared between threads."""

    def __init__(self, preprocessing: Preprocessing, localiser: Localiser | None = None) -> None:
        """`localiser`: there where `preprocessing.needs_specimen`, and only used then."""
        self.preprocessing = preprocessing
        self._localiser = localiser if preprocessing.needs_specimen else None
        assert self._localiser is not None or not preprocessing.needs_specimen

    def specimen(self, rgb: NDArray[np.uint8]) -> Specimen:
        """Where the specimen is in an upright photo (H, W, 3), uint8; the whole frame where no view depends on it."""
        return whole_frame(rgb) if self._localiser is None else self._localiser.locate(rgb)

    def views(
        self,
        rgb: NDArray[np.uint8],
        specimen: Specimen | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> NDArray[np.uint8]:
        """The views (V, side, side, 3), see `make_views`; `specimen`: where it is known already. `preprocessing`:
        another than the viewer's own, which needs the specimen only where that does.
        """
        return make_views(rgb, specimen or self.specimen(rgb), preprocessing or self.preprocessing)


def viewer_of(preprocessing: Preprocessing, *, threads: int | None = None) -> Viewer:
    """With the localiser that ships, where one is needed: what training looks with. Raises BadLocaliserError."""
    if not preprocessing.needs_specimen:
        return Viewer(preprocessing)
    from handlens.specimen_localiser import Localiser

    return Viewer(preprocessing, Localiser.of(LocaliserFiles.read(), threads=threads))
