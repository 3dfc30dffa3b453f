"""The whole protocol of a run: `handlens evaluate`.

On disk, in the run's folder:

    evaluation/report.json       every figure, and the settings that the bundle answers with
    evaluation/report.md         the same as tables
    evaluation/report.html       the same as one page with plots; the plots, SVG and PNG, are in evaluation/plots/
    evaluation/open_set_*.npy    what a bundle's unknown score is made of, of a linear head
    evaluation/thorough_*.npy    heads for more views, where the run has them
    evaluation/references.npz    the photos of a linear head's training as references for explanations
    evaluation/held_out.npz      labels, logits, truth, folds and places of each protocol, for further study

Leave-one-fold-out (other photographers) is the headline, grouped cross-validation the second figure. Those of a linear
head are taken for all labels and, where the data have them all, for the origin's ten alone; those of a taught network,
of joined ones, and of one trained by gradient descent, which takes an hour a figure, for all its labels. Data that do
not say who photographed what have the second figure only. `field` decides nothing and is measured only when asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens._version import __version__
from handlens.bundle import REFERENCES_FILE
from handlens.dataset.files import write_atomically
from handlens.evaluation.answers import WIDER_COVERAGE, calibrate, decisions, sets
from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.curves import Curve, read_curve
from handlens.evaluation.describe import describe, restricted
from handlens.evaluation.field import field_figures
from handlens.evaluation.machine import machine
from handlens.evaluation.page import report_page
from handlens.evaluation.plots import most_confused, write_plots
from handlens.evaluation.protocol import HeldOut, grouped_folds, held_out, photographer_folds
from handlens.evaluation.selective import selective
from handlens.evaluation.tables import markdown
from handlens.evaluation.unknowns import Shown, Unknowns, far_samples, judge_unknowns, unknown_minerals
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.open_set import OpenSet
from handlens.references import References
from handlens.training.features import Features
from handlens.training.fitting.loop import HISTORY
from handlens.training.fitting.settings import FitSettings
from handlens.training.pictures_run import PictureData, fold_folder, read_picture_split
from handlens.training.run import BadRunError, FrozenData, JoinSettings, Run, TrainSettings, read_split
from handlens.training.samples import Sample, digest, read_samples, with_split
from handlens.training.thorough_fit import fit_thorough, thorough_logits

__all__ = ["Protocol", "evaluate", "read_report"]

FOLDER: Final = "evaluation"
REPORT: Final = "report.json"
STRANGERS: Final = "leave-one-fold-out"
GROUPED: Final = "grouped 5-fold"
_WAYS: Final = (STRANGERS, GROUPED)
_THOROUGH: Final = "thorough"
_PARTS: Final = ("all labels", "ten labels")
_NEEDED: Final = frozenset(
    {
        "run",
        "answers",
        "answers_from",
        "protocols",
        "prediction_sets",
        "wider_prediction_sets",
        "selective",
        "decisions",
    }
)

Protocol = Literal["leave-one-fold-out", "grouped"]


def evaluate(
    run: Run,
    *,
    protocol: Protocol | None = None,
    field: bool = False,
    far: Sequence[Path] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """Runs the protocol, writes the report into the run's folder and returns it.

    `protocol`: one of the two figures only; by default a linear head has both, a network the first that the data allow.
    `field`: also measure the run's own model on the split "field". `far`: folders of pictures that show no mineral, to
    judge a linear head's unknown score by. Raises BadRunError where the photos are not those
    of the run, BadSamplesError where they do not suffice for the protocol.
    """
    data = _data(run, "train", quiet)
    trained = _places(data, run)
    if digest(data.at(trained)) != run.record["data_digest"]:
        raise BadRunError(f"{run.folder}: the photos of {run.source} have changed since: run handlens train again")
    shown = _data(run, "field", quiet) if field else None
    minerals = KnowledgeBase.load()
    plans = _plans(run, data, protocol)
    found = {
        name: _predict(run, part, name, folds, quiet)
        for name, (part, folds) in tqdm(plans.items(), desc="protocols", disable=quiet)
    }
    basis = next(f"{part}, {way}" for part, way in product(_PARTS, _WAYS) if f"{part}, {way}" in found)
    strangers = found[basis]
    settings = calibrate(strangers, minerals)
    report: dict[str, Any] = {
        "handlens": __version__,
        "run": _identity(run),
        "machine": machine(),
        "answers": settings.as_dict(),
        "answers_from": basis,
        "protocols": {name: _described(held, plans[name][0], minerals) for name, held in found.items()},
        "prediction_sets": sets(strangers),
        "wider_prediction_sets": sets(strangers, WIDER_COVERAGE),
        "selective": selective(strangers, minerals),
        "decisions": decisions(strangers, minerals),
        "confused_pairs": [asdict(pair) for pair in most_confused(strangers)],
    }
    files: dict[str, bytes] = {}
    if isinstance(data, FrozenData) and not isinstance(run.settings, FitSettings) and run.settings.more_looks:
        name = f"{basis}, {_THOROUGH}"
        found[name] = _predict_thorough(data, plans[basis][1], run.settings)
        report["protocols"][name] = _described(found[name], data, minerals)
        scale = settings.temperature / fit_temperature(found[name].logits, found[name].truth)
        look = fit_thorough(data.seen_by(trained, run.settings), trained, run.settings, scale)
        report["thorough"] = look.numbers()
        files |= look.files()
    if set(ORIGIN_TEN) < set(strangers.labels):
        for name in [name for name in found if name.startswith("all labels")]:
            among = _described(restricted(found[name], ORIGIN_TEN), data, minerals)
            report["protocols"][name.replace("all labels", "ten labels among all")] = among
    if isinstance(data, FrozenData):
        unknowns = _unknowns(run, data, strangers, far, minerals, quiet)
        report["unknowns"], report["open_set"] = unknowns.figures, unknowns.open_set.numbers()
        files |= unknowns.open_set.files()
        files[REFERENCES_FILE] = _references(run, data, trained, unknowns.open_set).file(run.labels)
    if shown is not None:
        logits = _own_logits(run, data, shown, trained)
        report["field"] = field_figures(shown.samples, logits, run.labels, settings, minerals)
    _write(run, report, found, files)
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
    if not isinstance(report, dict) or not report.keys() >= _NEEDED:
        raise BadRunError(f"{path}: is not a report of this version: run handlens evaluate again")
    if report["run"] != _identity(run):
        raise BadRunError(f"{path}: is of an earlier training: run handlens evaluate again")
    return report


def _identity(run: Run) -> dict[str, Any]:
    """What a report says of its run; a model trained anew with other data or settings has another."""
    return {key: value for key, value in run.record.items() if key not in ("source", "failures")}


def _data(run: Run, split: str, quiet: bool) -> FrozenData | PictureData:
    if isinstance(run.settings, FitSettings):
        return read_picture_split(run.source, (split,), run.settings, run.folder, quiet=quiet)
    mirror = isinstance(run.settings, TrainSettings) and run.settings.mirror and split == "train"
    return read_split(run.source, split, run.settings, run.folder, mirror=mirror, quiet=quiet)


def _places(data: FrozenData | PictureData, run: Run) -> NDArray[np.intp]:
    """The places of the samples that the run was trained on."""
    return np.flatnonzero([sample.usable or run.settings.keep_unusable for sample in data.samples])


def _plans(
    run: Run, data: FrozenData | PictureData, protocol: Protocol | None
) -> dict[str, tuple[FrozenData | PictureData, NDArray[np.str_]]]:
    """The protocols that the data allow and that are wanted, each with its part of the data and their folds."""
    network = isinstance(run.settings, FitSettings)
    ten = set(ORIGIN_TEN)
    parts = {"ten labels" if set(run.labels) == ten else "all labels": data}
    if not network and not _taught(run) and {sample.label for sample in data.samples if sample.usable} > ten:
        parts = {"ten labels": data.subset(ORIGIN_TEN)} | parts
    ways: dict[str, Callable[[Sequence[Sample]], NDArray[np.str_]]] = {}
    if len({sample.fold for sample in data.samples} - {""}) > 0 and len({sample.fold for sample in data.samples}) > 1:
        ways[STRANGERS] = photographer_folds
    ways[GROUPED] = grouped_folds
    if protocol == "leave-one-fold-out":
        ways = {STRANGERS: photographer_folds}
    elif protocol == "grouped":
        ways = {GROUPED: grouped_folds}
    elif protocol is None and network:
        ways = dict([next(iter(ways.items()))])
    return {
        f"{name}, {way}": (part, split(part.samples)) for name, part in parts.items() for way, split in ways.items()
    }


def _taught(run: Run) -> bool:
    """Whether it is made from other runs, each of which is tuned anew for every figure, too."""
    return isinstance(run.settings, JoinSettings) or (
        isinstance(run.settings, TrainSettings) and bool(run.settings.teacher)
    )


def _predict(run: Run, data: FrozenData | PictureData, name: str, folds: NDArray[np.str_], quiet: bool) -> HeldOut:
    def fit(places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        if isinstance(data, PictureData) and isinstance(run.settings, FitSettings):
            folder = fold_folder(run.folder, name, str(folds[judged[0]]))
            return data.fit_fold(folder, places, judged, run.settings, quiet=quiet)
        assert isinstance(data, FrozenData)
        assert not isinstance(run.settings, FitSettings)
        seen = data.seen_by(places, run.settings)
        head = seen.head(places, run.settings.head)
        return head.labels, head.logits(seen.plain[judged])

    return held_out(data.samples, folds, fit, keep_unusable=run.settings.keep_unusable)


def _predict_thorough(data: FrozenData, folds: NDArray[np.str_], settings: TrainSettings | JoinSettings) -> HeldOut:
    """By a thorough look, with what `_predict` has tuned."""

    def fit(places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        return thorough_logits(data.seen_by(places, settings), places, judged, settings)

    return held_out(data.samples, folds, fit, keep_unusable=settings.keep_unusable)


def _described(found: HeldOut, data: FrozenData | PictureData, minerals: KnowledgeBase) -> dict[str, Any]:
    return describe(found, minerals, np.array([data.samples[place].group for place in found.places]))


def _own_logits(
    run: Run, data: FrozenData | PictureData, shown: FrozenData | PictureData, trained: NDArray[np.intp]
) -> NDArray[np.float32]:
    """What the run's own model says of photos."""
    if isinstance(shown, PictureData):
        return shown.logits(run)
    assert isinstance(data, FrozenData)
    assert not isinstance(run.settings, FitSettings)
    seen = data.seen_by(trained, run.settings)
    values = shown.plain if seen.source is data.source else seen.source.features(shown.samples).values
    return seen.head(trained, run.settings.head).logits(values)


def _unknowns(
    run: Run, data: FrozenData, basis: HeldOut, far: Sequence[Path], minerals: KnowledgeBase, quiet: bool
) -> Unknowns:
    settings = run.settings
    assert not isinstance(settings, FitSettings)
    listed = with_split(read_samples(run.source), "others")
    others = unknown_minerals(listed, run.labels, minerals)
    pictures = {folder.name: far_samples(folder) for folder in far}

    def alike(of: FrozenData, samples: Sequence[Sample]) -> Features:
        if not samples:
            return Features(np.zeros((0, data.plain.shape[1]), np.float32), np.zeros(0, bool), ())
        return of.source.features(samples, alike=True)

    readable = alike(data, others).read
    others = [one for one, read in zip(others, readable, strict=True) if read]
    # Without anything to compare them with, small copies of the known photos tell nothing.
    compared = data.samples if others or pictures else ()

    def shown(places: NDArray[np.intp], *, judged: bool = True) -> Shown:
        seen = data.seen_by(places, settings)
        asked = {"known": alike(seen, compared).values, "others": alike(seen, others).values}
        for name, some in pictures.items():
            found = alike(seen, some)
            asked[name] = found.values[found.read]
        head = seen.head(places, settings.head) if judged and compared else None
        embeddings = {name: seen.source.embeddings(values) for name, values in asked.items()}
        return Shown(
            seen.source.embeddings(seen.plain),
            embeddings.pop("known"),
            embeddings.pop("others"),
            embeddings,
            {} if head is None else {name: head.logits(values) for name, values in asked.items()},
        )

    folds = _folds(data.samples, basis)
    trained = _places(data, run)
    return judge_unknowns(
        data.samples, others, folds, shown, trained, lambda: shown(trained, judged=False), quiet=quiet
    )


def _references(run: Run, data: FrozenData, trained: NDArray[np.intp], open_set: OpenSet) -> References:
    """The usable photos that the run's own model was trained on."""
    assert not isinstance(run.settings, FitSettings)
    seen = data.seen_by(trained, run.settings)
    places = [place for place in trained if data.samples[place].usable]
    shown = seen.source.embeddings(seen.plain[places])
    chosen = data.at(np.array(places, np.intp))
    sources = [sample.source or sample.file for sample in chosen]
    return References.of(shown, [sample.label for sample in chosen], sources, open_set)


def _folds(samples: Sequence[Sample], basis: HeldOut) -> NDArray[np.str_]:
    """The folds that the basis was judged by."""
    by_photographer = {sample.fold for sample in samples if sample.usable} >= set(basis.folds.tolist())
    return photographer_folds(samples) if by_photographer else grouped_folds(samples)


def _curves(run: Run, protocols: Mapping[str, HeldOut]) -> list[Curve]:
    """How a network learnt, the run's own and those of the folds; a linear head has no such curves."""
    if not isinstance(run.settings, FitSettings):
        return []
    found = [read_curve(run.folder / HISTORY, "all folds")]
    for name, held in protocols.items():
        for fold in np.unique(held.folds):
            found.append(read_curve(fold_folder(run.folder, name, str(fold)) / HISTORY, f"without {fold}"))
    return found


def _write(run: Run, report: dict[str, Any], protocols: dict[str, HeldOut], files: Mapping[str, bytes]) -> None:
    """Each file is made beside its place and then moved there, the report that `export` needs last."""
    folder = run.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    arrays: dict[str, Any] = {
        f"{name}/{part}": np.asarray(getattr(found, part))
        for name, found in protocols.items()
        for part in ("labels", "logits", "truth", "folds", "places")
    }
    np.savez_compressed(folder / "partial.npz", **arrays)
    (folder / "partial.npz").replace(folder / "held_out.npz")
    basis = report["answers_from"]
    plots = write_plots(
        folder / "plots", protocols[basis], report["protocols"][basis]["per_label"], _curves(run, protocols)
    )
    for name, text in (
        ("report.md", markdown(report)),
        ("report.html", report_page(report, plots, f"{run.settings.network}: {basis}")),
        (REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n"),
    ):
        (folder / "partial").write_text(text, encoding="utf-8")
        (folder / "partial").replace(folder / name)
