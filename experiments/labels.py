"""What the head makes of the labels: wrong ones, rare ones, and single training photos, judged leave-one-fold-out.

    python -m experiments.labels RUN [--source MANIFEST]

RUN is a finished run of one network with a linear head; its network is tuned for each fold as in `handlens evaluate`.

    as it is        the head of the run
    balance         labels weighed by a power of their inverse frequency: 1 is every label alike, 0 every photo
    adjusted        balance 0, and the logits less a multiple of the logarithm of the label's frequency (A. Menon et
                    al., ICLR 2021), with the strength of the run's head and three times that
    confident       without the training photos whose label other training photos speak against: confident learning,
                    prune by class and by noise rate (C. Northcutt et al., JAIR 2021), from probabilities held out by
                    group
    neighbours      the logarithm of the head's probabilities with a share of that of the 20 nearest training photos
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from experiments.features import MANIFEST
from handlens.decision import softmax
from handlens.evaluation.metrics import balanced_accuracy, top_k
from handlens.evaluation.protocol import grouped_folds, photographer_folds
from handlens.identifier import ORIGIN_TEN
from handlens.training.head import HeadSettings, LinearHead, adjusted, fit_head
from handlens.training.run import FrozenData, load_run, plain_settings, read_split

NEAREST = 20
SHARPNESS = 10.0
"""Of the cosine between two photos: a neighbour that is nearer by 0.1 counts e times as much."""
Logits = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, default=MANIFEST)
    options = parser.parse_args()
    settings = plain_settings(load_run(options.run))
    data = read_split(options.source, "train", settings, options.run, mirror=False)
    labels = np.array([sample.label for sample in data.samples])
    usable = np.array([sample.usable for sample in data.samples])
    groups = np.array([sample.group for sample in data.samples])
    folds = photographer_folds(data.samples)
    names = np.unique(labels)
    truth = np.searchsorted(names, labels)
    total: dict[str, Logits] = {}
    for fold in np.unique(folds):
        here = folds == fold
        train = np.flatnonzero(~here & ~np.isin(groups, groups[here]))
        judged = np.flatnonzero(here & usable)
        seen = data.seen_by(train, settings)
        for name, found in variants(seen, train, judged, settings.head):
            total.setdefault(name, np.full((len(labels), len(names)), -np.inf))
            columns = np.searchsorted(names, found[0])
            total[name][np.ix_(judged, columns)] = found[1]
        print(fold, flush=True)
    for name, logits in total.items():
        report(name, logits[usable], truth[usable], names)


def variants(
    seen: FrozenData, train: NDArray[np.intp], judged: NDArray[np.intp], settings: HeadSettings
) -> Iterator[tuple[str, tuple[tuple[str, ...], Logits]]]:
    """Names, and each one's labels and log-probabilities (judged, labels)."""
    labels = np.array([seen.samples[place].label for place in train])
    folds = np.array([seen.samples[place].fold for place in train])
    shown, asked = seen.plain[train], seen.plain[judged]

    def fitted(rows: NDArray[np.intp], chosen: HeadSettings = settings) -> LinearHead:
        return fit_head(shown[rows], labels[rows], chosen, folds[rows])

    everything = np.arange(len(train))
    head = fitted(everything)
    base = log_softmax(head.logits(asked), axis=1)
    yield "as it is", (head.labels, base)
    counts = np.array([(labels == label).sum() for label in head.labels])
    half = fitted(everything, replace(settings, balance=0.5, adjust=0.0))
    yield "balance 0.5", (head.labels, log_softmax(half.logits(asked), axis=1))
    for strength in (settings.strength, 3 * settings.strength):
        flat = fitted(everything, replace(settings, balance=0.0, adjust=0.0, strength=strength))
        for tau in (0, 0.5, 1, 1.25, 1.5):
            logits = adjusted(flat, labels, tau).logits(asked)
            yield f"C {strength:g}, adjusted {tau:g}", (head.labels, log_softmax(logits, axis=1))
    held = held_out(fitted, shown, grouped_folds(seen.at(train), folds=4), head.labels)
    for way, doubtful in (
        ("class", by_class(held, labels, head.labels)),
        ("noise", by_noise(held, labels, head.labels)),
    ):
        kept = np.flatnonzero(~doubtful)
        print(f"    {way}: {doubtful.sum()} of {len(train)} training photos left out")
        cleaned = fitted(kept)
        yield f"confident, by {way}", (cleaned.labels, log_softmax(cleaned.logits(asked), axis=1))
    unit = seen.source.embeddings
    near = np.log(neighbours(unit(shown), unit(asked), labels, head.labels, counts) + 1e-3)
    for share in (0.1, 0.3, 1.0):
        yield f"neighbours {share:g}", (head.labels, (1 - share) * base + share * near)


def held_out(
    fitted: Callable[[NDArray[np.intp]], LinearHead],
    shown: NDArray[np.float32],
    parts: NDArray[np.str_],
    names: tuple[str, ...],
) -> Logits:
    """Probabilities (n, labels) of training photos by heads that saw none of their part."""
    found = np.zeros((len(shown), len(names)))
    for part in np.unique(parts):
        head = fitted(np.flatnonzero(parts != part))
        columns = [names.index(label) for label in head.labels]
        found[np.ix_(parts == part, columns)] = softmax(head.logits(shown[parts == part]).astype(np.float64), 1.0)
    return found


def by_class(held: Logits, labels: NDArray[np.str_], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """The photos that the confident joint counts for another label than their own."""
    own = np.array([names.index(label) for label in labels])
    # A label is confidently said of a photo from the mean on that it has over the photos of that label.
    confident = np.array([held[own == column, column].mean() for column in range(len(names))])
    above = np.where(held >= confident, held, 0.0)
    return (above.max(axis=1) > 0) & (above.argmax(axis=1) != own)


def by_noise(held: Logits, labels: NDArray[np.str_], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Of each label as many photos as the confident joint counts for others, those least sure of their own."""
    own = np.array([names.index(label) for label in labels])
    elsewhere = by_class(held, labels, names)
    certainty = held[np.arange(len(own)), own]
    margin = certainty - np.where(np.eye(len(names), dtype=bool)[own], -1.0, held).max(axis=1)
    found = np.zeros(len(own), bool)
    for column in range(len(names)):
        here = np.flatnonzero(own == column)
        found[here[np.argsort(margin[here])[: elsewhere[here].sum()]]] = True
    return found


def neighbours(
    shown: NDArray[np.float32],
    asked: NDArray[np.float32],
    labels: NDArray[np.str_],
    names: tuple[str, ...],
    counts: NDArray[np.intp],
) -> Logits:
    """(asked, labels): shares of the nearest photos, by their cosine; those of frequent labels count less."""
    likeness = asked @ shown.T
    own = np.array([names.index(label) for label in labels])
    found = np.zeros((len(asked), len(names)))
    nearest = np.argpartition(-likeness, NEAREST, axis=1)[:, :NEAREST]
    for row, places in enumerate(nearest):
        weight = np.exp(SHARPNESS * (likeness[row, places] - likeness[row, places].max()))
        np.add.at(found[row], own[places], weight / counts[own[places]] ** 0.5)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def report(title: str, logits: Logits, truth: NDArray[np.intp], names: NDArray[np.str_]) -> None:
    probabilities = softmax(logits, 1.0)
    answers = probabilities.argmax(axis=1)
    among = np.isin(names[truth], ORIGIN_TEN)
    ten = np.flatnonzero(np.isin(names, ORIGIN_TEN))
    chosen = ten[logits[among][:, ten].argmax(axis=1)]
    figures = (
        (chosen == truth[among]).mean(),
        balanced_accuracy(chosen, truth[among]),
        (answers == truth).mean(),
        balanced_accuracy(answers, truth),
        top_k(probabilities, truth, 5),
    )
    print(
        f"{title:22s}" + "".join(f"{100 * figure:7.1f}" for figure in figures) + "   ten, balanced; all, balanced, five"
    )


if __name__ == "__main__":
    main()
