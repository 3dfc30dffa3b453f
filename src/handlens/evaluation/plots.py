"""Figures of held-out predictions, and all that a report shows of them and of the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from handlens.decision import softmax
from handlens.evaluation.curves import BadHistoryError, Curve, read_curve
from handlens.evaluation.figures import (
    BLUE,
    GREY,
    INK,
    RED,
    SKY,
    per_cent,
    room,
    shown_name,
    styled,
    told_by,
    write_figures,
)
from handlens.evaluation.metrics import ECE_BINS, calibration_error, wilson_interval
from handlens.evaluation.protocol import HeldOut
from handlens.evaluation.selective import COVERAGES, risk_curve
from handlens.evaluation.training_plots import ComparisonRow, comparison_bars, comparison_curves, learning_curves

__all__ = [
    "BadHistoryError",
    "Bin",
    "ComparisonRow",
    "ConfusedPair",
    "Curve",
    "comparison_bars",
    "comparison_curves",
    "confused_pairs",
    "confusion_matrix",
    "learning_curves",
    "most_confused",
    "per_class_bars",
    "read_curve",
    "reliability",
    "reliability_bins",
    "risk_coverage",
    "write_figures",
    "write_plots",
]

_MOST_NUMBERED: Final = 30
"""More labels than these leave no room for numbers into the cells of a confusion matrix."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A part of the answers: how many, their mean confidence, and the share of right ones."""

    photos: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """`photos` of the `among` photos of label `truth` were answered `answered`."""

    truth: str
    answered: str
    photos: int
    among: int


def most_confused(found: HeldOut, most: int = 15) -> tuple[ConfusedPair, ...]:
    """The `most` most frequent wrong answers; among equally frequent ones the larger share of their label first."""
    counts = _counts(found)
    photos = counts.sum(axis=1)
    pairs = [
        ConfusedPair(found.labels[truth], found.labels[answered], int(counts[truth, answered]), int(photos[truth]))
        for truth, answered in zip(*np.nonzero(counts), strict=True)
        if truth != answered
    ]
    pairs.sort(key=lambda pair: (-pair.photos, pair.among, pair.truth, pair.answered))
    return tuple(pairs[:most])


def reliability_bins(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = ECE_BINS) -> list[Bin]:
    """Bins of equal mass, the least sure answers first: those of `handlens.evaluation.metrics.calibration_error`."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    return [Bin(len(part), float(confidence[part].mean()), float(right[part].mean())) for part in parts if len(part)]


@styled()
def confusion_matrix(found: HeldOut) -> Figure:
    """True labels as rows, answers as columns; coloured by the share of the row, with counts where they fit."""
    counts, size = _counts(found), len(found.labels)
    photos = counts.sum(axis=1, keepdims=True)
    # A label without a photo has no shares: its row is grey.
    shares = np.ma.masked_array(counts / np.maximum(photos, 1), mask=np.broadcast_to(photos == 0, counts.shape))
    numbered = size <= _MOST_NUMBERED
    names, font = [shown_name(label) for label in found.labels], 9 if numbered else 6
    cell = 0.5 if numbered else 0.11
    inches = 1.4 + room(names, font) + max(size, 4) * cell
    figure = Figure(figsize=(inches + 1.0, inches))
    axes = figure.add_subplot()
    axes.set_facecolor("#e4e4e4")
    # Not resampled: a cell of the SVG is one pixel of its picture, and stays sharp.
    scale = PowerNorm(1.0 if numbered else 0.5, vmin=0, vmax=1)  # without numbers, small shares have to be seen
    picture = axes.imshow(shares, cmap="Blues", norm=scale, interpolation="none")
    axes.set_xticks(range(size), names, rotation=90 if room(names, font) > cell else 0, fontsize=font)
    axes.set_yticks(range(size), names, fontsize=font)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if numbered:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=9, color=ink)
    else:
        # Lines every ten labels lead the eye from a cell to its names.
        for line in range(10, size, 10):
            axes.axhline(line - 0.5, color=GREY, linewidth=0.3)
            axes.axvline(line - 0.5, color=GREY, linewidth=0.3)
    axes.set(xlabel="answered", ylabel="true label")
    bar = figure.colorbar(picture, ax=axes, shrink=0.6, pad=0.02, label="share of the true label's photos")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    bar.outline.set_visible(False)
    hits = int(np.trace(counts))
    told = (
        f"{hits:,} of {len(found.truth):,} photos ({per_cent(hits / len(found.truth))}) named rightly, on the diagonal"
    )
    return told_by(figure, "Confusion matrix", told)


@styled()
def reliability(found: HeldOut) -> Figure:
    """Share of right answers by confidence, before and after temperature, and below how many answers are that sure.

    Bins are those of the calibration error in the legend; whiskers are 95 % Wilson intervals.
    """
    figure = Figure(figsize=(6.6, 7.8))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (3, 1.5)), label="as sure as right")
    errors = []
    for name, table, colour, marker in (
        ("before temperature", softmax(found.logits, 1.0), RED, "s"),
        ("after temperature", found.probabilities, BLUE, "o"),
    ):
        confidence, right = table.max(axis=1), table.argmax(axis=1) == found.truth
        bins = reliability_bins(confidence, right)
        errors.append(calibration_error(confidence, right))
        share = np.array([part.right for part in bins])
        bounds = np.array([wilson_interval(round(part.right * part.photos), part.photos) for part in bins])
        axes.errorbar(
            [part.confidence for part in bins],
            share,
            yerr=np.abs(bounds.T - share),
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.6,
            elinewidth=0.8,
            label=f"{name}: ECE {errors[-1]:.3f}",
        )
        below.hist(confidence, bins=20, range=(0, 1), histtype="step", color=colour, linewidth=1.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right answers")
    figure.legend(loc="outside lower center", ncols=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    below.set(xlabel="confidence of the answer", ylabel="photos")
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    told = f"calibration error {errors[0]:.3f} before temperature, {errors[1]:.3f} after"
    return told_by(figure, "Reliability", told)


@styled()
def risk_coverage(found: HeldOut) -> Figure:
    """Share of wrong first answers when only the surest photos are answered, by how many are: `risk_curve`."""
    probabilities = found.probabilities
    curve = risk_curve(probabilities.max(axis=1), probabilities.argmax(axis=1) == found.truth)
    figure = Figure(figsize=(6.6, 4.6))
    axes = figure.add_subplot()
    axes.plot(curve.coverage, curve.risk, color=BLUE, linewidth=1.6)
    axes.plot(COVERAGES, [1 - curve.right_at(coverage) for coverage in COVERAGES], "o", color=RED, markersize=6)
    axes.axhline(curve.risk[-1], color=GREY, linewidth=1, linestyle=(0, (3, 1.5)))
    axes.set(xlim=(0, 1.01), ylim=(0, 1), xlabel="photos answered, the surest first", ylabel="wrong answers among them")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    told = ", ".join(f"{per_cent(curve.right_at(share))} right of the surest {share:.0%}" for share in COVERAGES)
    return told_by(figure, "Risk and coverage", told)


@styled()
def per_class_bars(per_label: Mapping[str, Mapping[str, float]]) -> Figure:
    """Recall of every label as a bar with its 95 % Wilson interval, precision as a diamond; the best recall first.

    `per_label`: that of `handlens.evaluation.metrics.per_label`.
    """
    rows = sorted(per_label.items(), key=lambda item: (-item[1]["recall"], -item[1]["photos"], item[0]))
    recall = np.array([row["recall"] for _, row in rows])
    photos = [int(row["photos"]) for _, row in rows]
    bounds = np.array([wilson_interval(round(share * of), of) for share, of in zip(recall, photos, strict=True)])
    names = [f"{shown_name(label)} ({row['photos']:,})" for label, row in rows]
    figure = Figure(figsize=(5.6 + room(names), 1.9 + 0.28 * max(len(rows), 4)))
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    bars = axes.barh(places, recall, height=0.7, color=SKY)
    _, _, (whiskers,) = axes.errorbar(
        recall, places, xerr=np.abs(bounds.T - recall), fmt="none", ecolor=INK, elinewidth=1
    )
    (diamonds,) = axes.plot([row["precision"] for _, row in rows], places, "D", color=RED, markersize=5)
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.6), xlabel="share", ylabel="label (photos)")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="y", visible=False)
    figure.legend(
        [bars.patches[0], whiskers, diamonds],
        ["recall: named among the label's photos", "its 95 % interval", "precision: right among those named so"],
        loc="outside lower center",
    )
    best, worst = (f"{per_cent(recall[place])} ({shown_name(rows[place][0])})" for place in (0, -1))
    told = f"recall from {worst} to {best}"
    return told_by(figure, "Label by label", told)


@styled()
def confused_pairs(found: HeldOut, most: int = 15) -> Figure:
    """The most frequent wrong answers as bars, the most frequent first: `most_confused`."""
    pairs = most_confused(found, most)
    wrong = int(np.sum(found.logits.argmax(axis=1) != found.truth))
    names = [f"{shown_name(pair.truth)} → {shown_name(pair.answered)}" for pair in pairs]
    figure = Figure(figsize=(5.6 + room(names), 1.2 + 0.3 * max(len(pairs), 2)))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(pairs)), [pair.photos for pair in pairs], height=0.7, color=BLUE)
    axes.bar_label(bars, [f"{pair.photos} of {pair.among}" for pair in pairs], padding=4, fontsize=9)
    axes.set_yticks(range(len(pairs)), names)
    axes.set(ylim=(max(len(pairs), 1) - 0.4, -0.6), xlabel="photos", ylabel="true label → answered")
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", visible=False)
    told = f"these {len(pairs)} are {sum(pair.photos for pair in pairs):,} of {wrong:,} wrong answers"
    return told_by(figure, "Most confused pairs", told if pairs else "no photo was named wrongly")


def write_plots(
    folder: Path, found: HeldOut, per_label: Mapping[str, Mapping[str, float]], curves: Sequence[Curve]
) -> dict[str, str]:
    """Draws the predictions of one protocol and, where there are curves, the trainings behind them.

    Returns the text of the SVGs by name, in the order of a report. Learning curves of an earlier evaluation are removed
    where there are none now. Raises OSError.
    """
    figures = {
        "confusion-matrix": confusion_matrix(found),
        "confused-pairs": confused_pairs(found),
        "label-by-label": per_class_bars(per_label),
        "reliability": reliability(found),
        "risk-coverage": risk_coverage(found),
    }
    if curves:
        figures["learning-curves"] = learning_curves(curves)
    else:
        for kind in ("svg", "png"):
            (folder / f"learning-curves.{kind}").unlink(missing_ok=True)
    return write_figures(folder, figures)


def _counts(found: HeldOut) -> NDArray[np.intp]:
    """Photos (labels, labels) by true label and answer."""
    counts = np.zeros((len(found.labels), len(found.labels)), dtype=np.intp)
    # The temperature of a photo changes no order: the largest logit is the answer.
    np.add.at(counts, (found.truth, found.logits.argmax(axis=1)), 1)
    return counts
