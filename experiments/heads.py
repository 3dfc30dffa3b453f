"""Heads over kept features, judged leave-one-fold-out: what an idea is worth before anything is trained for real.

    python -m experiments.heads OUT vits14224-grey-box:6,9,11:c,m lite2260-grey-box [--labels ten] [--nuisance 8] ...

A source is a folder of `experiments.features` without its split, then for tokens the blocks and of each the class token
(c), the mean (m), the mean (i) and the deviation (d) inside the mask. Sources joined by + are one head's features;
several sources are heads whose log-probabilities are averaged. Where OUT has the mirrored features too they are trained
on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from experiments.features import BLOCKS, MANIFEST, load
from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.metrics import balanced_accuracy, top_k
from handlens.evaluation.protocol import grouped_folds, photographer_folds
from handlens.identifier import ORIGIN_TEN
from handlens.training.samples import read_samples, with_split

KINDS = "cmid"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--labels", choices=("ten", "all", "both"), default="both", help="both: all, and ten among all")
    parser.add_argument("--strength", type=float, default=1e-3)
    parser.add_argument("--nuisance", type=int, default=0, help="directions between photographers to take out")
    parser.add_argument("--protocol", choices=("leave-one-fold-out", "grouped"), default="leave-one-fold-out")
    parser.add_argument("--save", type=Path, help="the held-out log-probabilities, for blends")
    options = parser.parse_args()
    samples = with_split(read_samples(MANIFEST), "train")
    labels = np.array([sample.label for sample in samples])
    usable = np.array([sample.usable for sample in samples])
    groups = np.array([sample.group for sample in samples])
    folds = photographer_folds(samples) if options.protocol != "grouped" else grouped_folds(samples)
    photographers = photographer_folds(samples)
    wanted = np.isin(labels, ORIGIN_TEN) if options.labels == "ten" else np.ones(len(labels), bool)
    names = np.unique(labels[wanted])
    column = {name: place for place, name in enumerate(names)}
    everything = np.array([column.get(label, -1) for label in labels])
    total = np.zeros((len(labels), len(names)))
    begun = time.time()
    for source in options.sources:
        sets = [features(options.out, one) for one in source.split("+")]
        plain = np.concatenate([one for one, _ in sets], axis=1)
        mirrored = None if any(two is None for _, two in sets) else np.concatenate([two for _, two in sets], axis=1)
        for fold in np.unique(folds):
            here = folds == fold
            train = np.flatnonzero(wanted & ~here & ~np.isin(groups, groups[here]))
            judged = np.flatnonzero(wanted & here & usable)
            total[judged] += scores(plain, mirrored, train, judged, everything, photographers, options, len(names))
    if options.save:
        np.savez(options.save, logs=total / len(options.sources), names=names)
    judged = np.flatnonzero(wanted & usable)
    print(f"{' '.join(options.sources)}  strength {options.strength:g} nuisance {options.nuisance} {options.protocol}")
    report("ten" if options.labels == "ten" else "all", total[judged], everything[judged], folds[judged])
    if options.labels == "both":
        ten = [column[name] for name in sorted(ORIGIN_TEN)]
        among = judged[np.isin(everything[judged], ten)]
        place = {old: new for new, old in enumerate(ten)}
        report("ten among all", total[among][:, ten], np.array([place[one] for one in everything[among]]), folds[among])
    print(f"    {time.time() - begun:.0f} s")


def features(out: Path, source: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """(n, D) of one source, as they are and mirrored."""
    name, *chosen = source.split(":")
    found = [load(out, f"train-{name}")]
    if (out / f"train-{name}-mirror").is_dir():
        found.append(load(out, f"train-{name}-mirror"))
    if chosen:
        blocks = [BLOCKS.index(int(one)) for one in chosen[0].split(",")]
        kinds = [KINDS.index(one) for one in chosen[1].split(",")]
        places = [len(KINDS) * block + kind for block in blocks for kind in kinds]
        found = [one[:, places] for one in found]
    flat = [one.reshape(len(one), -1) for one in found]
    return flat[0], flat[1] if len(flat) > 1 else None


def scores(
    plain: NDArray[np.float32],
    mirrored: NDArray[np.float32] | None,
    train: NDArray[np.intp],
    judged: NDArray[np.intp],
    truth: NDArray[np.intp],
    photographers: NDArray[np.str_],
    options: argparse.Namespace,
    classes: int,
) -> NDArray[np.float64]:
    """Log-probabilities (judged, classes); those of a label that was not learnt are very low."""
    shown, taught, whose = plain[train], truth[train], photographers[train]
    if mirrored is not None:
        shown, taught, whose = np.concatenate([shown, mirrored[train]]), np.tile(taught, 2), np.tile(whose, 2)
    mean, deviation = shown.mean(axis=0), shown.std(axis=0) + 1e-6
    shown, asked = (shown - mean) / deviation, (plain[judged] - mean) / deviation
    if options.nuisance:
        out_of = nuisance(shown, taught, whose, options.nuisance)
        shown, asked = shown - shown @ out_of @ out_of.T, asked - asked @ out_of @ out_of.T
    present, places, counts = np.unique(taught, return_inverse=True, return_counts=True)
    weight = len(taught) / (len(present) * counts)
    head = LogisticRegression(C=options.strength, max_iter=200)
    head.fit(shown, places, sample_weight=weight[places])
    found = np.full((len(judged), classes), -30.0)
    found[:, present] = head.predict_log_proba(asked)
    return found


def nuisance(
    shown: NDArray[np.float32], taught: NDArray[np.intp], whose: NDArray[np.str_], directions: int
) -> NDArray[np.float32]:
    """Directions (D, k) in which the photos of one label differ most from photographer to photographer.

    Source: nuisance attribute projection, A. Solomonoff et al. (ICASSP 2005).
    """
    rows, weights = [], []
    for label in np.unique(taught):
        here = taught == label
        means = [shown[here & (whose == one)].mean(axis=0) for one in np.unique(whose[here])]
        sizes = [int((here & (whose == one)).sum()) for one in np.unique(whose[here])]
        if len(means) < 2:
            continue
        centre = np.mean(means, axis=0)
        rows += [one - centre for one in means]
        weights += [min(size, 20) ** 0.5 for size in sizes]
    spread = np.stack(rows) * np.array(weights)[:, np.newaxis]
    _, _, axes = np.linalg.svd(spread.astype(np.float64), full_matrices=False)
    return np.asarray(axes[:directions].T, np.float32)


def report(title: str, logs: NDArray[np.float64], truth: NDArray[np.intp], folds: NDArray[np.str_]) -> None:
    probabilities = np.exp(logs - logs.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    answers = probabilities.argmax(axis=1)
    each = ", ".join(f"{fold} {100 * (answers == truth)[folds == fold].mean():.0f}" for fold in np.unique(folds))
    first, balanced = (100 * share for share in ((answers == truth).mean(), balanced_accuracy(answers, truth)))
    print(
        f"    {title}: top-1 {first:.1f}  balanced {balanced:.1f}  top-5 {100 * top_k(probabilities, truth, 5):.1f}"
        f"  ({each}; temperature {fit_temperature(logs, truth):.2f})"
    )


if __name__ == "__main__":
    main()
