"""How well a linear head's run tells what it does not know from what it knows, and the statistics that do it.

Known: photos of the split "train", by statistics that saw neither their fold nor their group. Near unknowns: the split
"others" but for its half A, without varieties and members of known species, compared with known photos of the same
origin only and weighed by how many those are. Far unknowns: folders of pictures that show no mineral. All are made
small copies of one size and quality first, or the file is told in place of what it shows. What the unknown score
learns of unknown minerals is half A of "others"; `strangers` is without that of the origins that are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from handlens.decision import softmax
from handlens.minerals import KnowledgeBase
from handlens.open_set import OpenSet
from handlens.photo_files import photos_in
from handlens.training.open_set_fit import PRIOR, Judged, calibrated, fit_open_set
from handlens.training.samples import Sample

__all__ = ["Shown", "Unknowns", "far_samples", "judge_unknowns", "unknown_minerals"]

KEPT: Final = 0.95
"""The share of known photos that the operating point keeps."""
_LEAST: Final = 5
_SEEN: Final = "A"
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shown:
    """Embeddings, length 1, and the head's logits of what is judged for one fold.

    `known` (n, D): the photos as they are; `alike` (n, D): their small copies; `others` and each of `far`: small copies
    of unknown minerals and of other things. `logits`: of the latter three by name, from a head that has not seen the
    fold; empty where nobody asks for them.
    """

    known: NDArray[np.float32]
    alike: NDArray[np.float32]
    others: NDArray[np.float32]
    far: Mapping[str, NDArray[np.float32]]
    logits: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Unknowns:
    """Figures for the report, and what goes into the bundle."""

    figures: dict[str, Any]
    open_set: OpenSet


@dataclass(frozen=True, slots=True)
class _Fold:
    """What one fold's statistics say: by name of what is shown, residuals and linear scores, and of the latter the
    same by a score that saw no unknown of the judged origins.
    """

    places: NDArray[np.intp]
    residual: Mapping[str, Scores]
    linear: Mapping[str, Scores]
    strangers: Mapping[str, Scores]
    probability: Mapping[str, Scores]


def unknown_minerals(samples: Sequence[Sample], labels: Sequence[str], minerals: KnowledgeBase) -> list[Sample]:
    """The usable ones whose mineral is no label, nor a variety or member of a species that a label belongs to."""
    above = {name for label in labels for name in (minerals.ancestors(label) if label in minerals else (label,))}
    species = set(labels) | {name for name in above if name not in minerals or minerals.get(name).rank != "group"}

    def known(name: str) -> bool:
        return name in species or (name in minerals and not species.isdisjoint(minerals.ancestors(name)))

    return [sample for sample in samples if sample.usable and not known(sample.label)]


def far_samples(folder: Path) -> list[Sample]:
    """The pictures below a folder, as samples of no label."""
    files = [Path(path) for path in photos_in(folder)]
    return [Sample(path, path.relative_to(folder).as_posix(), "", path.name, "far", "", usable=True) for path in files]


def judge_unknowns(
    samples: Sequence[Sample],
    others: Sequence[Sample],
    folds: NDArray[np.str_],
    shown: Callable[[NDArray[np.intp]], Shown],
    trained: NDArray[np.intp],
    whole: Callable[[], Shown],
    *,
    quiet: bool = False,
) -> Unknowns:
    """Judges the unknown score fold by fold, and fits the one for the bundle on all.

    `samples` and `folds` (n,): known photos; `others`: unknown minerals. `shown`: given the places of the photos that a
    head is fitted on, what there is to judge; `whole`: the same of the run's own model. `trained`: the places of the
    photos that the run was trained on.
    """
    usable = np.array([sample.usable for sample in samples])
    groups = np.array([sample.group for sample in samples])
    ours, theirs = (np.array([sample.origin for sample in some], np.str_) for some in (samples, others))
    seen = np.array([sample.half == _SEEN for sample in others], bool)
    by_fold: list[_Fold] = []
    for fold in tqdm(np.unique(folds), desc="unknowns", disable=quiet):
        here = folds == fold
        judged = np.flatnonzero(here & usable)
        learnt = np.intersect1d(np.flatnonzero(~here & ~np.isin(groups, groups[here])), trained)
        if len(judged) and len(learnt):
            strange = seen & ~np.isin(theirs, ours[judged])
            by_fold.append(_of_fold(shown(learnt), learnt, judged, seen, strange))
    own = whole()
    raw = fit_open_set(own.known[trained], own.alike[trained] if len(own.alike) else own.alike, own.others[seen])
    open_set = calibrated(raw, _judged(by_fold, ours, theirs, seen))
    return Unknowns(_figures(by_fold, ours, theirs, seen), open_set)


def _of_fold(
    shown: Shown,
    learnt: NDArray[np.intp],
    judged: NDArray[np.intp],
    seen: NDArray[np.bool_],
    strange: NDArray[np.bool_],
) -> _Fold:
    alike = shown.alike[learnt] if len(shown.alike) else shown.alike
    exposed, strangers = (fit_open_set(shown.known[learnt], alike, shown.others[some]) for some in (seen, strange))
    asked = {"plain": shown.known[judged], "others": shown.others, **shown.far}
    asked["known"] = shown.alike[judged] if len(shown.alike) else asked["plain"]
    standard = {name: exposed.standardised(values) for name, values in asked.items()}
    probability = {name: 1 - softmax(values, 1.0).max(axis=1) for name, values in shown.logits.items()}
    if "known" in probability:
        probability["known"] = probability["known"][judged]
    return _Fold(
        judged,
        {name: exposed.residual(values) for name, values in standard.items()},
        {name: values @ exposed.weights + exposed.bias for name, values in standard.items()},
        {name: values @ strangers.weights + strangers.bias for name, values in standard.items()},
        probability,
    )


def _judged(
    by_fold: Sequence[_Fold], ours: NDArray[np.str_], theirs: NDArray[np.str_], seen: NDArray[np.bool_]
) -> Judged:
    """What the folds' statistics say of photos that they have not seen: of unknown minerals those of half A whose
    origin they were kept from.
    """
    residual: list[Scores] = []
    linear: list[Scores] = []
    whose: list[NDArray[np.str_]] = []
    unknown: list[Scores] = []
    collections: list[NDArray[np.str_]] = []
    for fold in by_fold:
        residual += [fold.residual["plain"], fold.residual["known"]]
        linear.append(fold.strangers["known"])
        whose.append(ours[fold.places])
        strange = seen & np.isin(theirs, ours[fold.places])
        unknown.append(fold.strangers["others"][strange])
        collections.append(theirs[strange])
    return Judged(
        np.concatenate(residual),
        np.concatenate(linear),
        np.concatenate(whose),
        np.concatenate(unknown),
        np.concatenate(collections),
    )


def _figures(
    by_fold: Sequence[_Fold], ours: NDArray[np.str_], theirs: NDArray[np.str_], seen: NDArray[np.bool_]
) -> dict[str, Any]:
    far = [name for name in by_fold[0].residual if name not in ("plain", "known", "others")]
    areas: dict[str, list[tuple[int, dict[str, float]]]] = {name: [] for name in ("near", *far)}
    points: list[tuple[int, dict[str, float]]] = []
    origins: dict[str, list[tuple[int, float]]] = {}
    unseen = ~seen
    for place, fold in enumerate(by_fold):
        rest = [one for at, one in enumerate(by_fold) if at != place] or by_fold
        scale = _judged(rest, ours, theirs, seen)
        score = {name: _unknown(fold, name, fold.linear, scale) for name in fold.residual}
        strangers = {name: _unknown(fold, name, fold.strangers, scale) for name in fold.residual}
        for origin in np.unique(ours[fold.places]):
            mine, other = ours[fold.places] == origin, unseen & (theirs == origin)
            if min(mine.sum(), other.sum()) < _LEAST:
                continue
            row = _told(score["known"][mine], score["others"][other])
            row["strangers"] = _area(strangers["known"][mine], strangers["others"][other])
            if fold.probability:
                row["probability"] = _area(fold.probability["known"][mine], fold.probability["others"][other])
            areas["near"].append((int(mine.sum()), row))
            origins.setdefault(str(origin), []).append((int(mine.sum()), row["auroc"]))
        point: dict[str, float] = {"threshold": float(np.quantile(score["known"], KEPT))}
        for name in far:
            row = _told(score["known"], score[name])
            if fold.probability:
                row["probability"] = _area(fold.probability["known"], fold.probability[name])
            areas[name].append((len(fold.places), row))
        points.append((len(fold.places), point))
    counts = {
        "known": sum(len(fold.places) for fold in by_fold),
        "near": int(unseen.sum()),
        "learnt": int(seen.sum()),
        **{name: len(by_fold[0].residual[name]) for name in far},
    }
    return {
        "prior": PRIOR,
        "kept": KEPT,
        "pictures": counts,
        "near": _mean(areas["near"]) if areas["near"] else None,
        "near_by_origin": {
            origin: round(float(np.average([area for _, area in found], weights=[size for size, _ in found])), 4)
            for origin, found in origins.items()
        },
        "far": {name: _mean(areas[name]) for name in far},
        "threshold": _mean(points)["threshold"],
    }


def _unknown(fold: _Fold, name: str, linear: Mapping[str, Scores], scale: Judged) -> Scores:
    """The unknown score of the bundle, its two parts scaled by the other folds."""
    one = np.ones(1, np.float32)
    exposed = bool(np.isfinite(linear[name]).all())
    found = calibrated(OpenSet(0 * one, one, one[np.newaxis], 0.0, 1.0, one, 0.0 if exposed else -np.inf), scale)
    far = _logistic((fold.residual[name] - found.centre) / found.width)
    if not np.isfinite(found.bias):
        return far
    near = _logistic(found.weights[0] * linear[name] + found.bias)
    return np.asarray(1 - (1 - far) * (1 - near))


def _logistic(x: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))


def _told(known: Scores, unknown: Scores) -> dict[str, float]:
    """How well scores, higher for what is unknown, tell the two apart."""
    accepted = float(np.mean(unknown <= np.quantile(known, KEPT)))
    return {"auroc": _area(known, unknown), "accepted": accepted, "rejected": 1 - accepted}


def _area(known: Scores, unknown: Scores) -> float:
    truth = np.arange(len(known) + len(unknown)) >= len(known)
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def _mean(rows: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Weighed by the known photos of each row."""
    sizes = [size for size, _ in rows]
    return {key: round(float(np.average([row[key] for _, row in rows], weights=sizes)), 4) for key in rows[0][1]}
