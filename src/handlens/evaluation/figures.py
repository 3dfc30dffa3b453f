"""What all figures share: one look, titles that say what is seen, and files.

They are drawn without pyplot, so without a display or a state that is left behind. A figure's label says in a sentence
what it shows: it is the title that its SVG is announced with. Colours are those of Okabe and Ito, "Color Universal
Design" (2008), which colour-blind people can tell apart.

On disk, where `write_figures` puts them: NAME.svg and NAME.png for every figure.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unicodedata import east_asian_width

from matplotlib import style
from matplotlib.figure import Figure

from handlens.dataset.files import atomic_file, write_atomically
from handlens.safe_text import terminal

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "RED",
    "SKY",
    "per_cent",
    "room",
    "shown_name",
    "styled",
    "told_by",
    "write_figures",
]

BLUE: Final = "#0072b2"
RED: Final = "#d55e00"
GREEN: Final = "#009e73"
ORANGE: Final = "#e69f00"
SKY: Final = "#56b4e9"
GREY: Final = "#767676"
INK: Final = "#222222"
COLOURS: Final = (BLUE, RED, GREEN, "#cc79a7", ORANGE, SKY, INK)
"""For what is told apart by colour, in the order of use."""

_LONGEST_NAME: Final = 40
_STYLE: Final[dict[str, Any]] = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.dpi": 120,
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "handlens",
    "text.parse_math": False,  # a label with two dollar signs is no formula
}


@contextmanager
def styled() -> Iterator[None]:
    """The same look whatever the user's matplotlibrc says."""
    with style.context(_STYLE, after_reset=True):
        yield


def told_by(figure: Figure, title: str, told: str) -> Figure:
    """Titles the figure with what it shows, and labels it with the same as one sentence."""
    letters = int(11 * figure.get_figwidth())  # of the title's font that fit beside each other
    text = f"{title}: {told}"
    figure.suptitle(textwrap.fill(text, letters), x=0.01, ha="left", fontsize="large")
    figure.set_label(f"{text}.")
    return figure


def shown_name(name: str) -> str:
    """A foreign name, fit for a figure: nothing that XML forbids, and no longer than its place."""
    safe = terminal(name)
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[: _LONGEST_NAME - 1]}…"


def room(names: Sequence[str], font: float = 10) -> float:
    """Inches that the longest of `names` takes in `font` points: a letter is about 0.6 of its height wide."""
    letters = max((sum(1.7 if east_asian_width(letter) in "WF" else 1 for letter in name) for name in names), default=0)
    return 0.6 * font / 72 * letters


def per_cent(share: float) -> str:
    """0.4894 → "48.9 %"."""
    return f"{100 * share:.1f} %"


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> dict[str, str]:
    """Writes every figure as SVG and PNG, each file whole or not at all, and returns the text of the SVGs by name.

    The same figures give the same bytes. Raises OSError.
    """
    texts = {}
    for name, figure in figures.items():
        with styled(), warnings.catch_warnings():
            # A label may have letters that the font lacks: boxes in the PNG, while an SVG leaves them to its viewer.
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
            text = io.StringIO()
            about = {"Title": str(figure.get_label()), "Date": None, "Creator": None, "Type": None, "Format": None}
            figure.savefig(text, format="svg", metadata=about)
            with atomic_file(folder / f"{name}.png") as file:
                figure.savefig(file, format="png", metadata={"Software": None})
        texts[name] = text.getvalue()
        write_atomically(folder / f"{name}.svg", texts[name])
    return texts
