"""Several networks trained on the same folds with the same budget: `handlens compare`.

On disk, in the folder of a comparison:

    NETWORK/FOLD/      one training each (see `fitting.loop`); a killed comparison goes on from them
    pictures/          kept pictures of every photo (see `fitting.pictures`)
    held_out.npz       labels, truth, folds, groups and NETWORK/logits (photos, labels), for further study
    comparison.md      the table; plots/ the figures, SVG and PNG
    comparison.json    the same as data; written last, so a folder with it is a finished comparison

The same command on a finished one answers from comparison.json. With another network more, only that one is trained.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from handlens._version import __version__
from handlens.dataset.files import atomic_file, write_atomically
from handlens.errors import HandlensError, UsageError
from handlens.evaluation.curves import Curve, read_curve
from handlens.evaluation.machine import machine
from handlens.evaluation.metrics import balanced_accuracy, macro_f1
from handlens.evaluation.paired import paired_difference
from handlens.evaluation.protocol import HeldOut, grouped_folds, held_out, photographer_folds
from handlens.onnx_session import cpu_session
from handlens.training.classifier import as_onnx, one_view_classifier
from handlens.training.comparison import Compared, Comparison, comparison_markdown, comparison_plots
from handlens.training.fitting.loop import HISTORY, built, fit, logits_of
from handlens.training.fitting.parts import split_places
from handlens.training.fitting.settings import FitSettings
from handlens.training.pictures_run import PictureData, safe_name
from handlens.training.samples import digest
from handlens.training.series import folder_of_series, series_pictures

__all__ = ["Protocol", "compare"]

Protocol = Literal["grouped", "leave-one-fold-out"]

_REPORT: Final = "comparison.json"
_SHARED: Final = ("labels", "picture", "epochs", "patience", "seed", "validation", "keep_unusable")
"""Settings that all networks have to have alike: the photos and the budget."""
_WARM_UP, _TIMED = 10, 60


def compare(
    source: Path,
    folder: Path,
    networks: Sequence[FitSettings],
    *,
    protocol: Protocol = "grouped",
    quiet: bool = False,
) -> Comparison:
    """Trains every network on every fold of the split "train" of `source`, judges the photos held out, and writes it.

    Raises UsageError for fewer than two networks, one that is there twice, or budgets that differ; BadSamplesError,
    BadRunError, MissingWeightsError, and what `fitting.loop.fit` raises.
    """
    _check(networks, protocol)
    folder_of_series(folder)
    parts = {settings.side: series_pictures(source, ("train",), settings, folder, quiet=quiet) for settings in networks}
    data = parts[networks[0].side]
    assert all(part.samples == data.samples for part in parts.values())  # what is readable is so at any size
    folds = grouped_folds(data.samples) if protocol == "grouped" else photographer_folds(data.samples)
    identity = _identity(data, folds, networks)
    if (done := _finished(folder, identity)) is not None:
        return done
    judged, trained = {}, {}
    for settings in tqdm(networks, desc="networks", disable=quiet):
        name = settings.network
        judged[name], trained[name] = _held_out(parts[settings.side], folds, settings, folder, quiet)
    found = Comparison(
        identity=identity,
        version=__version__,
        machine=machine(),
        protocol="grouped 5-fold" if protocol == "grouped" else protocol,
        labels=judged[networks[0].network].labels,
        photos=len(judged[networks[0].network].truth),
        unreadable=len(data.failures),
        folds=tuple(np.unique(folds).tolist()),
        settings=tuple(networks),
        networks=_rows(networks, judged, trained, np.array([sample.group for sample in data.samples])),
    )
    _write(folder, found, data, judged, {name: [one.curve for one in ones] for name, ones in trained.items()})
    return found


def _check(networks: Sequence[FitSettings], protocol: str) -> None:
    names = [settings.network for settings in networks]
    if len(names) < 2:
        raise UsageError("a comparison needs two networks or more")
    if double := sorted(name for name in set(names) if names.count(name) > 1):
        raise UsageError(f"{double[0]} is there twice")
    for name in _SHARED:
        if len({getattr(settings, name) for settings in networks}) > 1:
            raise UsageError(f"{name} differs between the networks: they would not be compared fairly")
    if protocol not in ("grouped", "leave-one-fold-out"):
        raise UsageError(f"protocol is {protocol!r}: it must be grouped or leave-one-fold-out")


def _identity(data: PictureData, folds: NDArray[np.str_], networks: Sequence[FitSettings]) -> str:
    """Digest of all that the outcome depends on."""
    state = hashlib.sha256(digest(data.samples).encode())
    for sample, fold in sorted(zip((sample.file for sample in data.samples), folds.tolist(), strict=True)):
        state.update(f"{sample}\t{fold}\n".encode("utf-8", "surrogateescape"))
    state.update(json.dumps([settings.as_dict() for settings in networks], sort_keys=True).encode())
    return state.hexdigest()


def _finished(folder: Path, identity: str) -> Comparison | None:
    try:
        found = Comparison.from_dict(json.loads((folder / _REPORT).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, HandlensError):
        return None
    return found if found.identity == identity else None


@dataclass(frozen=True, slots=True)
class _Trained:
    """One training of a fold."""

    curve: Curve
    record: Mapping[str, Any]


def _held_out(
    data: PictureData, folds: NDArray[np.str_], settings: FitSettings, folder: Path, quiet: bool
) -> tuple[HeldOut, list[_Trained]]:
    trained: list[_Trained] = []

    def train(places: NDArray[np.intp], judged: NDArray[np.intp]) -> tuple[Sequence[str], NDArray[np.float32]]:
        fold = str(folds[judged[0]])
        here = folder / safe_name(settings.network) / safe_name(fold)
        taught, steering = split_places(data.at(places), settings)
        done = fit(here, data.pictures, places[taught], places[steering], settings, quiet=quiet)
        trained.append(_Trained(read_curve(here / HISTORY, f"{settings.network}, {fold}"), done.record))
        return done.labels, logits_of(done.net, data.pictures, judged)

    return held_out(data.samples, folds, train, keep_unusable=settings.keep_unusable), trained


def _rows(
    networks: Sequence[FitSettings],
    judged: Mapping[str, HeldOut],
    trained: Mapping[str, Sequence[_Trained]],
    groups: NDArray[np.str_],
) -> tuple[Compared, ...]:
    named = {name: found.logits.argmax(axis=1) for name, found in judged.items()}
    right = {name: named[name] == found.truth for name, found in judged.items()}
    best = max(right, key=lambda name: int(right[name].sum()))
    # Bonferroni: the intervals hold together, although the best is chosen by the same photos.
    level = 1 - 0.05 / (len(networks) - 1)
    rows = []
    for settings in networks:
        name = settings.network
        found, records = judged[name], [one.record for one in trained[name]]
        assert np.array_equal(found.places, judged[best].places)
        net = built(settings, len(found.labels))
        graph = as_onnx(one_view_classifier(net))
        rows.append(
            Compared(
                network=name,
                parameters=net.count_params(),
                top1=float(right[name].mean()),
                balanced=balanced_accuracy(named[name], found.truth),
                macro_f1=macro_f1(named[name], found.truth),
                seconds=float(np.mean([record["seconds"] for record in records])),
                epochs=float(np.mean([record["epochs"] for record in records])),
                megabytes=len(graph) / 1e6,
                milliseconds=_milliseconds(graph, settings.side),
                behind=None
                if name == best
                else paired_difference(right[best], right[name], groups[found.places], level=level),
            )
        )
    return tuple(rows)


def _milliseconds(graph: bytes, side: int) -> float:
    """Median of one photo a call; what is in the photo takes no part in it."""
    session = cpu_session(graph)
    photo = np.zeros((1, 1, side, side, 3), np.uint8)
    taken = []
    for _ in range(_WARM_UP + _TIMED):
        start = time.perf_counter()
        session.run(None, {"views": photo})
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken[_WARM_UP:]))


def _write(
    folder: Path,
    found: Comparison,
    data: PictureData,
    judged: Mapping[str, HeldOut],
    curves: Mapping[str, Sequence[Curve]],
) -> None:
    """Each file is made beside its place and then moved there, the one that makes the folder finished last."""
    one = next(iter(judged.values()))
    groups = np.array([data.samples[place].group for place in one.places])
    arrays: dict[str, Any] = {"labels": np.array(one.labels), "truth": one.truth, "folds": one.folds, "groups": groups}
    arrays |= {f"{name}/logits": held.logits for name, held in judged.items()}
    with atomic_file(folder / "held_out.npz") as file:
        np.savez_compressed(file, **arrays)
    comparison_plots(folder / "plots", found, curves)
    write_atomically(folder / "comparison.md", comparison_markdown(found))
    write_atomically(folder / _REPORT, json.dumps(found.as_dict(), indent=1, ensure_ascii=False) + "\n")
