"""The whole protocol of a run: `handlens evaluate`.

On disk, in the run's folder:

    evaluation/report.json       every figure, and the settings that the bundle answers with
    evaluation/report.md         the same as tables
    evaluation/held_out.npz      labels, logits, truth, folds and places of each protocol, for further study

Leave-one-fold-out (other photographers) is the headline, grouped cross-validation the second figure; both are taken
for all labels and, where the data have them all, for the origin's ten. Data that do not say who photographed what
have the second figure only. `field` decides nothing and is measured only when asked for.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens._version import __version__
from handlens.evaluation.answers import calibrate, decisions, sets
from handlens.evaluation.describe import describe, restricted
from handlens.evaluation.field import field_figures
from handlens.evaluation.protocol import HeldOut, grouped_folds, held_out, photographer_folds
from handlens.evaluation.tables import markdown
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.training.run import BadRunError, FrozenData, Run, read_split
from handlens.training.samples import Sample, digest

__all__ = ["evaluate", "machine", "read_report"]

FOLDER: Final = "evaluation"
REPORT: Final = "report.json"
STRANGERS: Final = "leave-one-fold-out"
GROUPED: Final = "grouped 5-fold"


def evaluate(run: Run, *, field: bool = False, quiet: bool = False) -> dict[str, Any]:
    """Runs the protocol, writes the report into the run's folder and returns it.

    `field`: also measure the run's own model on the split "field". Raises BadRunError where the photos are not those
    of the run, BadSamplesError where they do not suffice for the protocol.
    """
    data = read_split(run.source, "train", run.settings, run.folder, mirror=run.settings.mirror, quiet=quiet)
    trained = data.places(run.settings)
    if digest(data.at(trained)) != run.record["data_digest"]:
        raise BadRunError(f"{run.folder}: the photos of {run.source} have changed since: run handlens train again")
    shown = read_split(run.source, "field", run.settings, run.folder, mirror=False, quiet=quiet) if field else None
    minerals = KnowledgeBase.load()
    plans = _plans(data)
    protocols = {
        name: _predict(run, part, folds) for name, (part, folds) in tqdm(plans.items(), desc="protocols", disable=quiet)
    }
    basis = next(name for name in (f"all labels, {STRANGERS}", f"all labels, {GROUPED}") if name in protocols)
    strangers = protocols[basis]
    settings = calibrate(strangers.logits, strangers.truth, strangers.labels, minerals)
    report: dict[str, Any] = {
        "handlens": __version__,
        "run": _identity(run),
        "machine": machine(),
        "answers": settings.as_dict(),
        "answers_from": basis,
        "protocols": {name: describe(found, minerals) for name, found in protocols.items()},
        "prediction_sets": sets(strangers),
        "decisions": decisions(strangers, minerals),
    }
    if set(ORIGIN_TEN) <= set(run.labels):
        among = describe(restricted(strangers, ORIGIN_TEN), minerals)
        report["protocols"][basis.replace("all labels", "ten labels among all")] = among
    if shown is not None:
        head = data.fit(trained, run.settings.head)
        logits = head.logits(shown.plain)
        report["field"] = field_figures(shown.samples, logits, head.labels, settings, minerals)
    _write(run.folder / FOLDER, report, protocols)
    return report


def read_report(run: Run) -> dict[str, Any]:
    """The report of an evaluated run. Raises BadRunError, also for one of an earlier training in the same folder."""
    path = run.folder / FOLDER / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BadRunError(f"{run.folder}: not evaluated yet: run handlens evaluate first") from None
    except ValueError as error:
        raise BadRunError(f"{path}: is not JSON: {error}") from error
    if not isinstance(report, dict) or not report.keys() >= {"run", "answers", "answers_from", "protocols"}:
        raise BadRunError(f"{path}: is not a report of this version: run handlens evaluate again")
    if report["run"] != _identity(run):
        raise BadRunError(f"{path}: is of an earlier training: run handlens evaluate again")
    return report


def _identity(run: Run) -> dict[str, Any]:
    """What a report says of its run; a model trained anew with other data or settings has another."""
    return {key: value for key, value in run.record.items() if key not in ("source", "failures")}


def machine() -> str:
    """The machine a figure was taken on, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"


def _plans(data: FrozenData) -> dict[str, tuple[FrozenData, NDArray[np.str_]]]:
    """The protocols that the data allow, each with its part of the data and their folds."""
    parts = {"all labels": data}
    if {sample.label for sample in data.samples if sample.usable} >= set(ORIGIN_TEN):
        parts = {"ten labels": data.subset(ORIGIN_TEN)} | parts
    ways: dict[str, Callable[[Sequence[Sample]], NDArray[np.str_]]] = {GROUPED: grouped_folds}
    if any(sample.fold for sample in data.samples) and len({sample.fold for sample in data.samples}) > 1:
        ways = {STRANGERS: photographer_folds} | ways
    return {
        f"{name}, {way}": (part, split(part.samples)) for name, part in parts.items() for way, split in ways.items()
    }


def _predict(run: Run, data: FrozenData, folds: NDArray[np.str_]) -> HeldOut:
    def fit(places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        head = data.fit(places, run.settings.head)
        return head.labels, head.logits(data.plain[judged])

    return held_out(data.samples, folds, fit, keep_unusable=run.settings.keep_unusable)


def _write(folder: Path, report: dict[str, Any], protocols: dict[str, HeldOut]) -> None:
    """Each file is made beside its place and then moved there, the report that `export` needs last."""
    folder.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {
        f"{name}/{part}": np.asarray(getattr(found, part))
        for name, found in protocols.items()
        for part in ("labels", "logits", "truth", "folds", "places")
    }
    np.savez_compressed(folder / "partial.npz", **arrays)
    (folder / "partial.npz").replace(folder / "held_out.npz")
    for name, text in (
        ("report.md", markdown(report)),
        (REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n"),
    ):
        (folder / "partial").write_text(text, encoding="utf-8")
        (folder / "partial").replace(folder / name)
