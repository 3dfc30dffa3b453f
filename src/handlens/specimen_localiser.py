"""Finds the specimen in a photo with a small network that ships with Handlens.

    localiser.json   format version, name, geometry, thresholds, metrics, training data, licences, sha256 of the graph
    localiser.onnx   uint8 photo stretched to a square (N, side, side, 3) → `mask` (N, grid, grid) and `fills` (N,)
    MODEL_CARD.md    for people

Both outputs are float32 from 0 to 1: the probability that a cell belongs to the specimen, and the probability that the
specimen fills the frame. One half is the threshold of both; those chosen on held-out photographers are in the graph.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.errors import UsageError
from handlens.localiser_files import GRAPH, MANIFEST, BadLocaliserError, LocaliserFiles
from handlens.onnx_session import cpu_session, tensor_types
from handlens.onnx_wire import BadGraphError, read_graph
from handlens.specimen import MASK_THRESHOLD, Specimen, whole_frame
from handlens.specimen_mask import bounding_box, clean_mask

__all__ = [
    "FORMAT",
    "GRAPH",
    "MANIFEST",
    "BadLocaliserError",
    "Localiser",
    "LocaliserSettings",
    "answer",
    "stretched",
]

FORMAT: Final = 1
_TYPES: Final = {"photo": "tensor(uint8)", "mask": "tensor(float)", "fills": "tensor(float)"}


@dataclass(frozen=True, slots=True)
class LocaliserSettings:
    """`side`: pixels of the square that the photo is stretched to; `grid`: cells of a side of the network's answer.

    `margin`: what the box has on each side of the mask, as a share of its longer side. `least_area` and `most_area`:
    the shares of the frame between which a mask is believed; outside them the specimen is said to fill the frame.
    """

    side: int
    grid: int
    margin: float
    least_area: float
    most_area: float


class Localiser:
    """The network in an ONNX Runtime session; `locate` may be called from several threads."""

    def __init__(self, graph: bytes, settings: LocaliserSettings, *, name: str, threads: int | None = None) -> None:
        """Raises BadLocaliserError where the graph does not fit the settings or no session can be made of it."""
        self.settings = settings
        self.name = name
        _check_shapes(graph, settings)
        try:
            self._session = cpu_session(graph, threads)
        except Exception as error:
            raise BadLocaliserError(f"{name}: the runtime refuses the graph: {error}") from error
        types = tensor_types(self._session)
        if types != _TYPES:
            raise BadLocaliserError(f"{name}: the graph has the types {types}: they must be {_TYPES}")

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Localiser:
        """The localiser in the folder `path`, by default the one that ships; `threads`: all processors by default.

        Raises BadLocaliserError where it is missing, damaged or something else.
        """
        return cls.of(LocaliserFiles.read(path), threads=threads)

    @classmethod
    def of(cls, files: LocaliserFiles, *, threads: int | None = None) -> Localiser:
        """The localiser of these files. Raises BadLocaliserError where they are damaged or something else."""
        place, manifest = files.place, _manifest(files)
        try:
            if hashlib.sha256(files.graph).hexdigest() != manifest["sha256"]:
                raise BadLocaliserError(f"{place}: {GRAPH} is damaged: its sha256 is not the one in {MANIFEST}")
            settings = LocaliserSettings(
                side=_whole(manifest["side"], 32, 1024),
                grid=_whole(manifest["grid"], 8, 1024),
                margin=_share(manifest["margin"]),
                least_area=_share(manifest["least_area"]),
                most_area=_share(manifest["most_area"]),
            )
            name = str(manifest["name"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadLocaliserError(f"{place}: {MANIFEST} is incomplete or of a wrong type: {error!r}") from error
        return cls(files.graph, settings, name=name, threads=threads)

    def locate(self, rgb: NDArray[np.uint8]) -> Specimen:
        """The specimen in an upright photo, uint8 (H, W, 3). Raises UsageError for another kind of array.

        The answer is that it fills the frame when the network says so, or when its mask covers next to nothing or
        next to everything (`LocaliserSettings`). Raises BadLocaliserError when the graph fails.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise UsageError(f"a photo is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}")
        grids, fills = self.run(stretched(rgb, self.settings.side)[np.newaxis])
        return answer(rgb, grids[0], float(fills[0]), self.settings)

    def run(self, photos: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's answer for N stretched photos, uint8 (N, side, side, 3): `mask` and `fills`, see above.

        Raises BadLocaliserError when the graph fails or answers no probabilities.
        """
        try:
            mask, fills = map(np.asarray, self._session.run(["mask", "fills"], {"photo": photos}))
        except Exception as error:
            raise BadLocaliserError(f"{self.name}: the runtime cannot run the graph: {error}") from error
        count, grid = len(photos), self.settings.grid
        if mask.shape != (count, grid, grid) or fills.shape != (count,):
            raise BadLocaliserError(f"{self.name}: the graph gave shapes {mask.shape} and {fills.shape}")
        if not all(((part >= 0) & (part <= 1)).all() for part in (mask, fills)):  # false for NaN, too
            raise BadLocaliserError(f"{self.name}: the graph gave values that are no probabilities")
        return mask, fills


def stretched(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The whole photo (H, W, 3) stretched to a square (side, side, 3): what the network sees, in training as in use."""
    # First by a whole factor, with the mean of the pixels: much faster for a large photo, and hardly different.
    # A little below 2, for both sides of a photo of four to three that was decoded at a quarter.
    picture = Image.fromarray(rgb).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=1.9)
    return np.asarray(picture)


def answer(rgb: NDArray[np.uint8], grid: NDArray[np.float32], fills: float, settings: LocaliserSettings) -> Specimen:
    """The Specimen that the network's answer for one photo stands for."""
    if fills >= 0.5:
        return whole_frame(rgb)
    mask, pieces = clean_mask(grid)
    area = float(np.mean(mask >= MASK_THRESHOLD))
    if not settings.least_area <= area <= settings.most_area:
        return whole_frame(rgb)
    height, width = rgb.shape[:2]
    box = bounding_box(mask, width, height, settings.margin)
    return Specimen(box, fills_frame=False, mask=mask, pieces=pieces)


def _manifest(files: LocaliserFiles) -> dict[str, Any]:
    path = files.place / MANIFEST
    try:
        manifest = json.loads(files.manifest.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadLocaliserError(f"{path}: is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise BadLocaliserError(f"{path}: is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise BadLocaliserError(f"{path}: format {manifest.get('format')!r}: this version reads format {FORMAT}")
    return manifest


def _check_shapes(graph: bytes, settings: LocaliserSettings) -> None:
    try:
        info = read_graph(graph)
    except BadGraphError as error:
        raise BadLocaliserError(f"the localiser's graph: {error.detail}") from error
    side, grid = settings.side, settings.grid
    wanted = {"photo": (None, side, side, 3)}, {"mask": (None, grid, grid), "fills": (None,)}
    if (info.inputs, info.outputs) != wanted:
        raise BadLocaliserError(f"the localiser's graph takes {info.inputs} and gives {info.outputs}, not {wanted}")


def _whole(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} is no whole number from {least} to {most}")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share from 0 to 1")
    return float(value)
