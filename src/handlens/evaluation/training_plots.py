"""Figures of trainings: one beside its folds, and architectures beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from handlens.evaluation.curves import Curve
from handlens.evaluation.figures import BLUE, COLOURS, GREEN, GREY, ORANGE, per_cent, room, shown_name, styled, told_by

__all__ = ["ComparisonRow", "comparison_bars", "comparison_curves", "learning_curves"]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One architecture of a comparison: its weights, shares from 0 to 1, seconds and epochs of training, megabytes
    (10^6 bytes) of its file, and milliseconds that a photo takes.
    """

    name: str
    parameters: int
    accuracy: float
    macro_f1: float
    balanced: float
    seconds: float
    megabytes: float
    milliseconds: float
    epochs: float


@styled()
def learning_curves(curves: Sequence[Curve]) -> Figure:
    """Loss, accuracy and learning rate by epoch: training dashed, validation solid, its least loss marked.

    Raises ValueError without a curve.
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    figure, panels = _epoch_panels(rate=True)
    validated = False
    for curve, colour in zip(curves, cycle(COLOURS)):
        best = _best(curve)
        validated |= best is not None
        for kind in ("loss", "accuracy"):
            trained, judged = getattr(curve, kind), getattr(curve, f"val_{kind}")
            panels[kind].plot(curve.epochs, trained, color=colour, linewidth=1, linestyle=(0, (3, 1.5)))
            if best is not None:
                panels[kind].plot(curve.epochs, judged, color=colour, linewidth=1.6)
                panels[kind].plot(curve.epochs[best], judged[best], "o", color=colour, markersize=5)
        panels["rate"].step(curve.epochs, curve.learning_rate, where="mid", color=colour, linewidth=1.4)
    rates = [rate for curve in curves for rate in curve.learning_rate if rate > 0]
    if rates:
        # Between these there is a 1, a 2 or a 5, so a number beside the axis.
        panels["rate"].set_ylim(min(rates) / 1.6, max(rates) * 1.6)
    keys = [Line2D([], [], color=GREY, linewidth=1, linestyle=(0, (3, 1.5)), label="training")]
    if validated:
        keys.append(Line2D([], [], color=GREY, marker="o", markersize=5, label="validation, least loss marked"))
    _legend(figure, [curve.name for curve in curves], keys)
    if len(curves) > 1:
        told = f"{len(curves)} trainings of {_span([len(curve.epochs) for curve in curves])} epochs"
    elif (best := _best(curves[0])) is None:
        told = f"{len(curves[0].epochs)} epochs without validation"
    else:
        told = f"validation loss is least after epoch {curves[0].epochs[best]} of {curves[0].epochs[-1]}"
    return told_by(figure, "Learning curves", told)


@styled()
def comparison_bars(rows: Sequence[ComparisonRow]) -> Figure:
    """Architectures side by side: how well they name, and what they cost in weights, disk and time.

    Raises ValueError without a row.
    """
    if not rows:
        raise ValueError("there is nothing to compare")
    places, names = np.arange(len(rows)), [shown_name(row.name) for row in rows]
    figure = Figure(figsize=(8 + 2 * room(names), 2.6 + 1.1 * len(rows)))
    quality, *costs = figure.subplot_mosaic(
        [["quality", "quality"], ["parameters", "megabytes"], ["milliseconds", "seconds"]],
        height_ratios=(1.5, 1, 1),
    ).values()
    measured = (
        ("accuracy", BLUE, [row.accuracy for row in rows]),
        ("macro-F1", ORANGE, [row.macro_f1 for row in rows]),
        ("balanced accuracy", GREEN, [row.balanced for row in rows]),
    )
    for step, (name, colour, shares) in enumerate(measured):
        bars = quality.barh(places + 0.27 * (step - 1), shares, height=0.25, color=colour, label=name)
        quality.bar_label(bars, [per_cent(share) for share in shares], padding=3, fontsize=8)
    quality.set(xlim=(0, 1.08))
    quality.set_xticks(np.linspace(0, 1, 6))
    quality.xaxis.set_major_formatter(PercentFormatter(1.0))
    written: tuple[tuple[str, Callable[[ComparisonRow], float], Callable[[ComparisonRow], str]], ...] = (
        ("parameters, millions", lambda row: row.parameters / 1e6, lambda row: f"{row.parameters:,}"),
        ("size, MB", lambda row: row.megabytes, lambda row: f"{row.megabytes:.1f}"),
        ("time a photo, ms", lambda row: row.milliseconds, lambda row: f"{row.milliseconds:.1f}"),
        (
            "training, minutes",
            lambda row: row.seconds / 60,
            lambda row: f"{row.seconds / 60:.1f} ({row.epochs:g} epochs)",
        ),
    )
    for axes, (title, value, text) in zip(costs, written, strict=True):
        bars = axes.barh(places, [value(row) for row in rows], height=0.6, color=GREY)
        axes.bar_label(bars, [text(row) for row in rows], padding=3, fontsize=8)
        axes.margins(x=0.4)
        axes.set_xlabel(title)
    for axes in (quality, *costs):
        axes.set_yticks(places, names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
    figure.legend(*quality.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    best = max(rows, key=lambda row: row.accuracy)
    told = f"{shown_name(best.name)} names most photos rightly, {per_cent(best.accuracy)}"
    return told_by(figure, "Comparison", told)


@styled()
def comparison_curves(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    """Validation loss and accuracy by epoch of several architectures: a thin line a fold, a thick one their mean.

    The mean ends with the shortest of its folds: beyond, it would be that of others. Raises ValueError without a curve.
    """
    if not any(curves.values()):
        raise ValueError("there is no curve to draw")
    figure, panels = _epoch_panels(rate=False)
    for folds, colour in zip(curves.values(), cycle(COLOURS)):
        for kind, axes in panels.items():
            lines = [getattr(curve, f"val_{kind}") for curve in folds]
            if len(folds) == 1:
                axes.plot(folds[0].epochs, lines[0], color=colour, linewidth=1.8)
                continue
            for curve, line in zip(folds, lines, strict=True):
                axes.plot(curve.epochs, line, color=colour, linewidth=0.6, alpha=0.6)
            if folds:
                shortest = min(folds, key=lambda curve: len(curve.epochs)).epochs
                mean = np.mean([line[: len(shortest)] for line in lines], axis=0)
                axes.plot(shortest, mean, color=colour, linewidth=2.2)
    keys = []
    if any(len(folds) > 1 for folds in curves.values()):
        keys.append(Line2D([], [], color=GREY, linewidth=0.6, label="a fold"))
        keys.append(Line2D([], [], color=GREY, linewidth=2.2, label="mean of the folds"))
    _legend(figure, list(curves), keys)
    return told_by(figure, "Learning curves", f"validation of {len(curves)} architectures by epoch")


def _best(curve: Curve) -> int | None:
    """The place of the least validation loss, or None where nothing was validated."""
    losses = np.array(curve.val_loss)
    return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None


def _epoch_panels(*, rate: bool) -> tuple[Figure, dict[str, Axes]]:
    """Panels for loss, accuracy and perhaps the learning rate."""
    layout: Any = [["loss", "accuracy"], ["rate", "rate"]] if rate else [["loss", "accuracy"]]
    heights = (3, 1) if rate else (1,)
    figure = Figure(figsize=(9, 5.4 if rate else 4.2))
    panels = {str(name): axes for name, axes in figure.subplot_mosaic(layout, height_ratios=heights).items()}
    panels["loss"].set_ylabel("loss")
    panels["accuracy"].set_ylabel("accuracy")
    panels["accuracy"].set_ylim(0, 1)
    panels["accuracy"].yaxis.set_major_formatter(PercentFormatter(1.0))
    if rate:
        panels["rate"].set(yscale="log", ylabel="learning rate")
        panels["rate"].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        panels["rate"].yaxis.set_minor_locator(NullLocator())
        panels["rate"].yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    for axes in panels.values():
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, panels


def _legend(figure: Figure, names: Sequence[str], keys: Sequence[Line2D]) -> None:
    """A legend below: a colour a name, then the keys of the lines."""
    lines = [
        Line2D([], [], color=colour, linewidth=3, label=shown_name(name)) for name, colour in zip(names, cycle(COLOURS))
    ]
    handles = [*lines, *keys]
    labels = [str(handle.get_label()) for handle in handles]  # given by hand, names that begin with "_" are kept
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"
