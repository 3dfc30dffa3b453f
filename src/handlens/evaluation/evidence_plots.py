"""Accuracy against the number of tests, by the way the tests are chosen."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from handlens.evaluation.figures import BLUE, GREEN, GREY, ORANGE, SKY, per_cent, styled, told_by
from handlens.evaluation.with_evidence import FIXED_ORDER, AtRank, Study

__all__ = ["WAYS", "accuracy_by_tests"]

_STEPS: Final = (1, 2, 3)
WAYS: Final = {
    "recommended": tuple(f"best x{count}" for count in _STEPS),
    "recommended, no balance": tuple(f"best, no balance x{count}" for count in _STEPS),
    "most bits, whatever the effort": tuple(f"most bits x{count}" for count in _STEPS),
    "fixed order": tuple(", ".join(FIXED_ORDER[:count]) for count in _STEPS),
    "random": tuple(f"random x{count}" for count in _STEPS),
}
"""Curves and their strategies after one test, two and three."""
_LOOKS: Final = ((BLUE, "-", "o"), (GREEN, "--", "D"), (SKY, "--", "s"), (ORANGE, "-", "^"), (GREY, ":", "v"))


@styled()
def accuracy_by_tests(study: Study, title: str) -> Figure:
    """A panel for each share of mistakes, at species rank, with 95 % intervals over groups."""
    figure = Figure(figsize=(4.6 * len(study.rates), 4.4))
    panels = figure.subplots(1, len(study.rates), sharey=True, squeeze=False)[0]
    for axes, (rate, found) in zip(panels, study.rates.items(), strict=True):
        _panel(axes, found.ranks["species"])
        axes.set_title(f"{100 * rate:g} % of the tests go wrong", fontsize="medium")
    panels[0].set_ylabel("accuracy at species rank")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    scores = next(iter(study.rates.values())).ranks["species"].scores
    one, image = (round(scores[name].top1, 4) for name in ("best x1", "image"))  # as the tables have it
    return told_by(
        figure,
        f"{title}, simulated tests",
        f"one recommended test, {per_cent(one)}; the photo alone, {per_cent(image)}",
    )


def _panel(axes: Axes, found: AtRank) -> None:
    for step, ((way, strategies), (colour, line, marker)) in enumerate(zip(WAYS.items(), _LOOKS, strict=True)):
        scores = [found.scores[strategy] for strategy in ("image", *strategies)]
        shares = np.array([one.top1 for one in scores])
        low, high = np.array([one.top1_interval for one in scores]).T
        places = np.arange(len(scores)) + 0.05 * (step - 2)  # beside each other, or the bars would hide each other
        axes.errorbar(
            places, shares, yerr=[np.maximum(shares - low, 0), np.maximum(high - shares, 0)], color=colour,
            linestyle=line, marker=marker, markersize=4, linewidth=1.6, elinewidth=0.9, label=way,
        )  # fmt: skip
    axes.set(xlabel="tests done", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
