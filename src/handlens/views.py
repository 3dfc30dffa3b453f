"""The one preprocessing: upright photo and specimen → square uint8 views.

Training, evaluation and serving all call `make_views` with the parameters stored in the bundle, so what a network
sees in use is what it saw in training. Scaling of pixel values is no part of it: that is inside the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.errors import HandlensError, MissingExtraError
from handlens.specimen import Box, Specimen, grey_background, whole_frame

__all__ = ["BadPreprocessingError", "Preprocessing", "View", "load_mask", "make_views"]

FORMAT: Final = 1
_LEAST_FRACTION: Final = 0.01
_MASK_NEEDS: Final = 2048
"""The shorter side that the stage `prepare` reads a photo at for the origin's mask: edges depend on it."""
_BOX_SHARE: Final = 0.5
_SPARE: Final = 1.25
"""So many times the pixels that are looked at: a phone's 12 megapixels are then decoded at a quarter."""
_GAP: Final = 2.0
"""A side that is made more than four times shorter is halved by the mean of its pixels first, or divided by more: half
the time for a photo of 1,000 pixels, and hardly different."""
_RESAMPLINGS: Final = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


class BadPreprocessingError(HandlensError):
    """Stored preprocessing parameters make no sense to this version (`bad-preprocessing`)."""

    code = "bad-preprocessing"


@dataclass(frozen=True, slots=True)
class View:
    """One way of looking at the specimen.

    `region`: the part that is looked at, the whole frame or the specimen's box. `padded`: all of it, its longer side
    fitted to the square, the rest filled with grey. `crop`: the centred square whose edge is `fraction` (0.01 to 1) of
    its shorter side. `grey`: with the background greyed.
    """

    kind: Literal["padded", "crop"]
    fraction: float = 1.0
    region: Literal["frame", "specimen"] = "frame"
    grey: bool = False

    @property
    def needs_specimen(self) -> bool:
        """Whether it depends on where the specimen is."""
        return self.grey or self.region == "specimen"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; what is as always is left out."""
        stored: dict[str, Any] = {"kind": self.kind}
        if self.kind == "crop":
            stored["fraction"] = self.fraction
        if self.region != "frame":
            stored["region"] = self.region
        if self.grey:
            stored["grey"] = True
        return stored


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the bundle stores: the side of a view in pixels, the views in the network's order, fill and filter.

    `mask`: "origin" makes what is background to the origin's mask black. It is defined on the centre square, with a
    filter of its own, so the only view is then a whole crop, and neither fill nor filter is used. Raises
    BadPreprocessingError for other views with it.
    """

    side: int
    views: tuple[View, ...]
    fill: int = 127
    resampling: Literal["bicubic", "lanczos"] = "bicubic"
    mask: Literal["none", "origin"] = "none"

    def __post_init__(self) -> None:
        if self.mask == "origin" and self.views != (View("crop", 1.0),):
            raise BadPreprocessingError("the origin's mask goes with one view, a crop of fraction 1, and no other")

    @property
    def needed_side(self) -> int:
        """Pixels that a photo's shorter side should keep when it is read at reduced scale: more than are looked at.

        A specimen's box is counted on to have a good part of the frame; a smaller one is looked at less sharply.
        """
        shares = [view.fraction * (_BOX_SHARE if view.region == "specimen" else 1) for view in self.views]
        needed = round(_SPARE * self.side / min(shares))
        return max(needed, _MASK_NEEDS) if self.mask == "origin" else needed

    @property
    def needs_specimen(self) -> bool:
        """Whether some view depends on where the specimen is."""
        return any(view.needs_specimen for view in self.views)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, as bundle.json has it."""
        return {
            "format": FORMAT,
            "side": self.side,
            "views": [view.as_dict() for view in self.views],
            "fill": self.fill,
            "resampling": self.resampling,
        } | ({"mask": self.mask} if self.mask != "none" else {})

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Preprocessing:
        """Reads the JSON form strictly: an unknown key could change the pixels. Raises BadPreprocessingError."""
        try:
            if stored["format"] != FORMAT:
                raise BadPreprocessingError(f"format {stored['format']!r}: this version reads format {FORMAT}")
            if unknown := stored.keys() - {"format", "side", "views", "fill", "resampling", "mask"}:
                raise BadPreprocessingError(f"unknown parameter {sorted(unknown)[0]!r}")
            views = tuple(_view_from_dict(view) for view in stored["views"])
            side, fill, resampling = stored["side"], stored["fill"], stored["resampling"]
        except (KeyError, TypeError, AttributeError) as error:
            raise BadPreprocessingError(f"incomplete or of a wrong type: {error}") from None
        if not (_whole(side) and 16 <= side <= 2048):
            raise BadPreprocessingError(f"side {side!r} is not a whole number from 16 to 2048")
        if not (_whole(fill) and 0 <= fill <= 255):
            raise BadPreprocessingError(f"fill {fill!r} is not a whole number from 0 to 255")
        if resampling not in list(_RESAMPLINGS):
            raise BadPreprocessingError(f"resampling {resampling!r} is none of {', '.join(_RESAMPLINGS)}")
        if not 1 <= len(views) <= 16:
            raise BadPreprocessingError(f"{len(views)} views: there must be 1 to 16")
        if (mask := stored.get("mask", "none")) != "origin" and "mask" in stored:
            raise BadPreprocessingError(f"mask {mask!r} is not 'origin'")
        return cls(side, views, fill, resampling, mask)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _view_from_dict(stored: Mapping[str, Any]) -> View:
    kind, fraction = stored["kind"], stored.get("fraction", 1.0)
    region, grey = stored.get("region", "frame"), stored.get("grey", False)
    anywhere = {"kind", "region", "grey"}
    allowed = {"padded": anywhere, "crop": anywhere | {"fraction"}}
    if not (isinstance(kind, str) and kind in allowed) or stored.keys() - allowed[kind]:
        raise BadPreprocessingError(f"unknown view {dict(stored)!r}")
    if isinstance(fraction, bool) or not (isinstance(fraction, int | float) and _LEAST_FRACTION <= fraction <= 1):
        raise BadPreprocessingError(f"view fraction {fraction!r} is not from {_LEAST_FRACTION} to 1")
    if region not in ("frame", "specimen") or not isinstance(grey, bool):
        raise BadPreprocessingError(f"view region {region!r} or grey {grey!r} makes no sense")
    place: Literal["frame", "specimen"] = "specimen" if region == "specimen" else "frame"
    return View("crop" if kind == "crop" else "padded", float(fraction), place, grey)


def make_views(rgb: NDArray[np.uint8], specimen: Specimen, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The views of one photo.

    `rgb`: upright photo (H, W, 3), uint8; `specimen`: where the specimen is, for the views that depend on it. Returns
    uint8 (V, side, side, 3), the views in the order of `preprocessing.views`. Raises MissingExtraError where the mask
    cannot be made (`load_mask`).
    """
    if preprocessing.mask == "origin":
        return load_mask()(rgb, preprocessing.side)[np.newaxis]
    picture, frame = Image.fromarray(rgb), whole_frame(rgb).box
    greyed = picture
    if specimen.mask is not None and any(view.grey for view in preprocessing.views):
        greyed = Image.fromarray(grey_background(rgb, specimen, preprocessing.fill))
    side = preprocessing.side
    views = np.empty((len(preprocessing.views), side, side, 3), np.uint8)
    made: dict[tuple[object, ...], int] = {}
    for index, view in enumerate(preprocessing.views):
        seen, box = greyed if view.grey else picture, specimen.box if view.region == "specimen" else frame
        # Where the specimen fills the frame, a view of it is one of the whole photo.
        if (same := made.setdefault((id(seen), box, view.kind, view.fraction), index)) != index:
            views[index] = views[same]
        elif view.kind == "padded":
            views[index] = _padded(seen, box, preprocessing)
        else:
            views[index] = _crop(seen, box, view.fraction, preprocessing)
    return views


def load_mask() -> Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]:
    """The origin's mask pipeline: photo (H, W, 3) and side → (side, side, 3), see `dataset.prepare.origin_mask`.

    Raises MissingExtraError where there is no OpenCV.
    """
    try:
        from handlens.dataset.prepare.origin_mask import origin_picture
    except ImportError as error:
        why = f"the origin's mask needs OpenCV, which cannot be imported ({error})"
        raise MissingExtraError(f"{why}: pip install 'handlens[dataset]'") from error
    return origin_picture


def _padded(picture: Image.Image, box: Box, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    side, resampling = preprocessing.side, _RESAMPLINGS[preprocessing.resampling]
    scale = side / max(box.width, box.height)
    width, height = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    area = (box.left, box.top, box.right, box.bottom)
    fitted = picture.resize((width, height), resampling, area, reducing_gap=_GAP)
    square = np.full((side, side, 3), preprocessing.fill, np.uint8)
    left, top = (side - width) // 2, (side - height) // 2
    square[top : top + height, left : left + width] = np.asarray(fitted)
    return square


def _crop(picture: Image.Image, box: Box, fraction: float, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    edge = min(box.width, box.height) * fraction
    left, top = box.left + (box.width - edge) / 2, box.top + (box.height - edge) / 2
    area = (left, top, left + edge, top + edge)
    square = picture.resize((preprocessing.side, preprocessing.side), _RESAMPLINGS[preprocessing.resampling], area)
    return np.asarray(square)
