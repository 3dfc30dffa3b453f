"""Tiny bundles: a graph of a few nodes that names a mineral by the mean colour of its views.

`write_bundle(folder)` writes a valid one; its keyword arguments change one thing at a time. What the graph computes is
written out once more with NumPy in `expected_logits`, so that a test has something to compare with.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from handlens.bundle import CARD, GRAPH, MANIFEST
from handlens.localiser_files import GRAPH as LOCALISER_GRAPH
from handlens.localiser_files import MANIFEST as LOCALISER_MANIFEST
from handlens.localiser_files import LocaliserFiles
from handlens.photo import read_photo
from handlens.selftest import drawn_picture
from handlens.viewer import viewer_of
from handlens.views import Preprocessing, View

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "quartz": (235, 235, 235),
    "amethyst": (120, 60, 190),
    "calcite": (230, 200, 120),
    "almandine": (200, 20, 20),
    "garnet": (90, 10, 20),
    "azurite": (20, 20, 200),
}
"""Labels in the network's order, which is not the alphabet's, and the colour that speaks most for each."""
LABELS: Final = tuple(COLOURS)
PREPROCESSING: Final = Preprocessing(32, (View("padded"), View("crop", 0.5)))
MASKED_PREPROCESSING: Final = Preprocessing(32, (View("crop", 1.0),), mask="origin")
"""Needs OpenCV, to open a bundle and for its self-test."""
FINDING_PREPROCESSING: Final = Preprocessing(32, (View("padded"), View("padded", 1.0, "specimen", True)))
"""Needs the specimen found."""
SHARPNESS: Final = 30.0
OPSET: Final = 17
REMOVED: Final = object()
"""As the value of a key of bundle.json: leave the key out."""
WITHOUT_OPENCV: Final = "import sys; sys.modules['cv2'] = None\n"
"""The first line of a program that is to find no OpenCV."""


def weights(labels: Sequence[str] = LABELS) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A matrix (3, labels) and a bias: their logits differ as minus the squared distances to the colours do."""
    colours = np.array([COLOURS.get(label, (128, 128, 128)) for label in labels], np.float64) / 255
    return (2 * SHARPNESS * colours.T).astype(np.float32), (-SHARPNESS * (colours**2).sum(1)).astype(np.float32)


def model_proto(labels: Sequence[str] = LABELS, preprocessing: Preprocessing = PREPROCESSING) -> ModelProto:
    """uint8 views (N, V, side, side, 3) → mean colour (N, 3) as embedding → logits."""
    matrix, bias = weights(labels)
    shape: list[str | int | None] = ["N", len(preprocessing.views), preprocessing.side, preprocessing.side, 3]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["views"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Div", ["mean", "white"], ["embedding"]),
            helper.make_node("Gemm", ["embedding", "matrix", "bias"], ["logits"]),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("views", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(labels)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3]),
        ],
        [
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array(255, np.float32), "white"),
        ],
    )
    return as_model(graph)


def as_model(graph: Any) -> ModelProto:
    """A model of this graph that the runtime reads."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def graph_bytes(labels: Sequence[str] = LABELS, preprocessing: Preprocessing = PREPROCESSING) -> bytes:
    """The file of `model_proto`."""
    return bytes(model_proto(labels, preprocessing).SerializeToString(deterministic=True))


def expected_logits(views: NDArray[np.uint8], labels: Sequence[str] = LABELS) -> NDArray[np.float64]:
    """What the graph gives for views (N, V, side, side, 3), computed with NumPy."""
    matrix, bias = weights(labels)
    mean = views.astype(np.float64).mean(axis=(1, 2, 3)) / 255
    return np.asarray(mean @ matrix + bias)


def views_of(picture: NDArray[np.uint8], preprocessing: Preprocessing = PREPROCESSING) -> NDArray[np.uint8]:
    """The views (1, V, side, side, 3) of a picture, without going through an Identifier."""
    rgb = read_photo(picture, needed_side=preprocessing.needed_side).rgb
    return viewer_of(preprocessing).views(rgb)[np.newaxis]


@cache
def _self_test_logits(labels: tuple[str, ...], preprocessing: Preprocessing) -> list[float]:
    return [float(value) for value in expected_logits(views_of(drawn_picture(), preprocessing), labels)[0]]


def _localiser_files() -> dict[str, bytes]:
    files = LocaliserFiles.read()
    return {LOCALISER_MANIFEST: files.manifest, LOCALISER_GRAPH: files.graph}


def bundle_files(
    *,
    labels: Sequence[str] = LABELS,
    preprocessing: Preprocessing = PREPROCESSING,
    graph: bytes | None = None,
    extra: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> dict[str, bytes]:
    """The files of a bundle; `changes` replace keys of bundle.json, whose digests are right unless `files` is given."""
    logits = _self_test_logits(tuple(labels), preprocessing)
    contents = {
        GRAPH: graph_bytes(labels, preprocessing) if graph is None else graph,
        CARD: b"# A tiny bundle for tests\n",
        **(_localiser_files() if preprocessing.needs_specimen else {}),
        **(extra or {}),
    }
    manifest: dict[str, Any] = {
        "format": 1,
        "name": "tiny-1",
        "labels": list(labels),
        "preprocessing": preprocessing.as_dict(),
        "temperature": 1.0,
        "thresholds": {"variety": 0.6, "species": 0.6, "group": 0.6},
        "prediction_set": {"coverage": 0.9, "quantile": 0.9},
        "self_test": {"logits": logits},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    } | changes
    manifest = {key: value for key, value in manifest.items() if value is not REMOVED}
    return {MANIFEST: json.dumps(manifest).encode("ascii"), **contents}


def write_bundle(folder: Path, **changes: Any) -> Path:
    """Writes `bundle_files(**changes)` as a new directory and returns it."""
    folder.mkdir(parents=True)
    for name, content in bundle_files(**changes).items():
        (folder / name).write_bytes(content)
    return folder


def edit_manifest(bundle: Path, **changes: Any) -> Path:
    """Replaces keys of a written bundle's bundle.json, or takes them out (REMOVED), and touches nothing else."""
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in manifest.items() if value is not REMOVED}
    (bundle / MANIFEST).write_text(json.dumps(kept), encoding="ascii")
    return bundle


def write_archive(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Writes the files as a .zip and returns its path."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def solid(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of one colour."""
    return np.full((height, width, 3), colour, np.uint8)
