"""Which part of a photo the answer rests on: an occlusion map.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 4.2.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.model import Scores
from handlens.photo import Crop, PhotoSource, read_photo
from handlens.references import Reference

__all__ = ["CELLS", "Coverable", "Explanation", "explain", "overlay"]

CELLS: Final = 10
_WINDOW: Final = 3
"""The photo is divided into 10 x 10 cells; windows of 3 x 3 cells are covered in turn."""
_FLOOR: Final = 1e-12
_COLD: Final = np.array([35.0, 95.0, 215.0])
_WARM: Final = np.array([235.0, 60.0, 25.0])
_STRONGEST: Final = 0.65
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Explanation:
    """The photo as it was looked at, (H, W, 3) uint8; the label explained and its probability; `heat` (cells, cells).

    A cell's heat is the mean fall of the label's log-probability when a window over it is covered: positive where the
    photo speaks for the label, negative where it speaks against it. A bundle with the origin's mask looks at the centre
    square, and its background has no heat. `box`: where in the upright, rotated photo that is, in its pixels; None
    where nobody told. `nearest`: the reference specimens that the photo looks most like, where the bundle has some.
    """

    rgb: NDArray[np.uint8]
    label: str
    probability: float
    heat: NDArray[np.float64]
    box: Crop | None = None
    nearest: tuple[Reference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All but the pixels, for JSON: numbers rounded to 6 decimals, `box` as [x, y, width, height]."""
        return {
            "label": self.label,
            "probability": round(self.probability, _DIGITS),
            "box": None if self.box is None else list(astuple(self.box)),
            "heat": [[round(one, _DIGITS) for one in row] for row in self.heat.tolist()],
        } | ({"nearest": [one.as_dict() for one in self.nearest]} if self.nearest else {})


def explain(
    identifier: Identifier, photo: PhotoSource, *, label: str | None = None, crop: Crop | None = None, rotate: int = 0
) -> Explanation:
    """The map of one photo for `label` (by default the most probable one).

    Takes 64 passes of the network. Errors are those of `Identifier.identify`.
    """
    preprocessing = identifier.bundle.preprocessing
    read = read_photo(photo, crop=crop, rotate=rotate, needed_side=preprocessing.needed_side)
    coverable = Coverable(identifier, read.rgb)
    scores = coverable.scores()
    whole = identifier.probabilities(scores.logits[0])
    place = int(whole.argmax()) if label is None else _place(identifier, label)
    heat, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for top in range(CELLS - _WINDOW + 1):
        for left in range(CELLS - _WINDOW + 1):
            window = np.zeros((CELLS, CELLS), bool)
            window[top : top + _WINDOW, left : left + _WINDOW] = True
            left_over = coverable.probabilities(window)[place]
            heat[window] += float(np.log(whole[place] + _FLOOR) - np.log(left_over + _FLOOR))
            count += window
    shown, box = read.rgb, crop or Crop(0, 0, read.width, read.height)
    if preprocessing.mask == "origin":
        shown, box = _centre_square(shown), _centre_box(box)
    nearest = identifier.nearest(scores)
    return Explanation(shown, identifier.bundle.labels[place], float(whole[place]), heat / count, box, nearest)


class Coverable:
    """A photo of which any of 10 x 10 cells can be covered with its mean colour before the network looks at it."""

    def __init__(self, identifier: Identifier, rgb: NDArray[np.uint8]) -> None:
        """`rgb`: an upright photo (H, W, 3)."""
        # A cover on the photo would have outlines of its own, and be specimen to the origin's mask: it is put on the
        # masked view, and is background there.
        self._masked = identifier.bundle.preprocessing.mask == "origin"
        self._identifier = identifier
        self._specimen = identifier.viewer.specimen(rgb)  # of the photo without a cover, which would be specimen, too
        self._picture = identifier.viewer.views(rgb, self._specimen)[0] if self._masked else rgb
        self._fill = np.zeros(3, np.uint8) if self._masked else np.rint(rgb.mean(axis=(0, 1))).astype(np.uint8)

    def probabilities(self, covered: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Of all labels (labels,), with the cells covered that `covered` (10, 10) names."""
        return self._identifier.probabilities(self.scores(covered).logits[0])

    def scores(self, covered: NDArray[np.bool_] | None = None) -> Scores:
        """The network's, with the cells covered that `covered` (10, 10) names."""
        picture = self._picture
        if covered is not None:
            picture = picture.copy()
            rows, columns = (_edges(pixels) for pixels in picture.shape[:2])
            for row, column in np.argwhere(covered).tolist():
                picture[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = self._fill
        viewer = self._identifier.viewer
        views = picture[np.newaxis] if self._masked else viewer.views(picture, self._specimen)
        return self._identifier.score(views)


def overlay(explanation: Explanation) -> Image.Image:
    """The map over the photo: warm where the photo speaks for the label, blue where against, clear where neither."""
    height, width = explanation.rgb.shape[:2]
    heat = explanation.heat / max(float(np.abs(explanation.heat).max()), _FLOOR)
    smooth = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    strength = np.clip(np.abs(smooth), 0, 1)[..., None] * _STRONGEST
    colour = np.where(smooth[..., None] > 0, _WARM, _COLD)
    grey = explanation.rgb.mean(axis=2, keepdims=True)
    mixed = (1 - strength) * grey + strength * colour
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _edges(pixels: int) -> list[int]:
    """Where each cell of so many pixels in a row begins, and where the last ends."""
    return [round(float(edge)) for edge in np.linspace(0, pixels, CELLS + 1)]


def _centre_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def _centre_box(box: Crop) -> Crop:
    side = min(box.width, box.height)
    return Crop(box.x + (box.width - side) // 2, box.y + (box.height - side) // 2, side, side)


def _place(identifier: Identifier, label: str) -> int:
    places = identifier.label_indices([label])
    if not places or len(places) != 1:
        raise UsageError("an explanation is of one label")
    return places[0]
