"""What 8 bits cost and save: held-out answers, size and milliseconds of a network in int8 beside the same in float32.

    python benchmarks/int8.py RUN [--json FILE] [--rounds 5]

`RUN` is a run of `handlens train --method fit` that `handlens evaluate --protocol leave-one-fold-out` has measured. The
network of every fold is exported twice, the ranges of the int8 one taken from 300 of its own training photos, and both
answer the photos of the fold that it never saw: the same photos, so that the difference is paired. Milliseconds are of
ONNX Runtime, one photo a call, the sessions in turns. Must reach: at most one point lost, at most 30 % of the size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.evaluation.evaluate import STRANGERS
from handlens.evaluation.machine import machine
from handlens.evaluation.metrics import balanced_accuracy
from handlens.evaluation.paired import paired_difference
from handlens.evaluation.protocol import photographer_folds
from handlens.onnx_session import cpu_session
from handlens.training.classifier import as_onnx, one_view_classifier
from handlens.training.fitting.parts import label_columns
from handlens.training.pictures_run import PictureData, fold_folder, read_picture_split
from handlens.training.quantise import quantise
from handlens.training.run import Run, load_run

SHOWN = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    run = load_run(options.run)
    data = read_picture_split(run.source, ("train",), run.settings, run.folder, quiet=True)
    print(f"{machine()}; {run.settings.network}, {len(run.labels)} labels, {STRANGERS}")
    found = {"float32": [], "int8": []}
    truth, groups, graphs = [], [], {}
    for fold in np.unique(photographer_folds(data.samples)):
        judged, graphs, labels = of_fold(run, data, fold)
        truth.append(label_columns(data.at(judged), run.labels))
        groups.append(np.array([sample.group for sample in data.at(judged)]))
        for name, graph in graphs.items():
            answers = np.array([run.labels.index(label) for label in labels])
            found[name].append(answers[answered(graph, data.pictures.at(judged))])
        print(f"  {fold}: {len(judged)} photos", flush=True)
    true = np.concatenate(truth)
    right = {name: np.concatenate(parts) == true for name, parts in found.items()}
    times = milliseconds(graphs, data.pictures.at(np.arange(min(64, len(data.pictures)))), options.rounds)
    lost, won = int((right["float32"] & ~right["int8"]).sum()), int((~right["float32"] & right["int8"]).sum())
    difference = paired_difference(right["float32"], right["int8"], np.concatenate(groups))
    figures = {
        "machine": machine(),
        "photos": len(true),
        "accuracy": {name: round(float(part.mean()), 4) for name, part in right.items()},
        "balanced": {
            name: round(balanced_accuracy(np.concatenate(found[name]), true), 4) for name in ("float32", "int8")
        },
        "only_float32_right": lost,
        "only_int8_right": won,
        "same_answer": round(float(np.mean(np.concatenate(found["float32"]) == np.concatenate(found["int8"]))), 4),
        "lost": round(difference.share, 4),
        "lost_interval": [round(difference.low, 4), round(difference.high, 4)],
        "bytes": {name: len(graph) for name, graph in graphs.items()},
        "size_ratio": round(len(graphs["int8"]) / len(graphs["float32"]), 3),
        "milliseconds": {name: round(value, 2) for name, value in times.items()},
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    loss = figures["accuracy"]["float32"] - figures["accuracy"]["int8"]
    return 0 if loss <= 0.01 and figures["size_ratio"] <= 0.3 else 1


def of_fold(run: Run, data: PictureData, fold: str) -> tuple[NDArray[np.intp], dict[str, bytes], tuple[str, ...]]:
    """Places of a fold's usable photos, and the network that did not see them, in float32 and int8, with its labels."""
    name = f"{'ten' if len(run.labels) == 10 else 'all'} labels, {STRANGERS}"
    folder = fold_folder(run.folder, name, str(fold))
    labels = tuple(json.loads((folder / "fitted.json").read_text())["labels"])
    folds = photographer_folds(data.samples)
    groups = np.array([sample.group for sample in data.samples])
    judged = np.flatnonzero((folds == fold) & [sample.usable for sample in data.samples])
    seen = np.flatnonzero((folds != fold) & ~np.isin(groups, groups[folds == fold]))
    shown = np.random.default_rng(0).permutation(seen)[:SHOWN]
    graph = as_onnx(one_view_classifier(keras.models.load_model(folder / "model.keras")))
    small = quantise(graph, data.pictures.at(shown)[:, np.newaxis])
    return judged, {"float32": graph, "int8": small}, labels


def answered(graph: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.intp]:
    session = cpu_session(graph)
    return np.array([int(session.run(["logits"], {"views": one[None, None]})[0].argmax()) for one in pictures])


def milliseconds(graphs: dict[str, bytes], pictures: NDArray[np.uint8], rounds: int) -> dict[str, float]:
    """Median of a call with one photo."""
    sessions = {name: cpu_session(graph) for name, graph in graphs.items()}
    spent: dict[str, list[float]] = {name: [] for name in graphs}
    for number in range(rounds + 1):
        for one in pictures:
            for name, session in sessions.items():
                start = time.perf_counter()
                session.run(["logits"], {"views": one[None, None]})
                if number:
                    spent[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in spent.items()}


if __name__ == "__main__":
    sys.exit(main())
