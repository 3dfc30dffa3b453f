"""Error models of the simple tests that a person can do: how likely is this observation of a mineral like that?

Every model is p(observation | mineral) = (1 - MISTAKE) * model + MISTAKE * any observation alike: one test in twenty
goes wrong in a way that no model tells (the wrong grain was scratched, the streak was that of the matrix). Numbers of a
mineral are uniform over the range of the knowledge base; a property with several words (lustre vitreous or greasy)
counts its words by 1, 1/2, 1/3 ... in the order of the record.

The spreads and confusions are this project's choice: what a careful beginner does with a kit, after the way that
textbooks describe the tests, not fitted to measurements, since none are published. docs/evidence.md has them as tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.minerals.properties import WORDS, Properties, Range

__all__ = [
    "CHOICES", "MISTAKE", "TOOLS", "WORD_TESTS", "Likelihood", "PropertyTable", "binned", "chosen",
    "gravity_between", "gravity_near", "hardness_between", "hardness_near", "streak_measured",
]  # fmt: skip

MISTAKE: Final = 0.05
"""The share of tests that go wrong altogether."""
TOOLS: Final[Mapping[str, float]] = {"nail": 2.5, "coin": 3.5, "knife": 5.5, "glass": 5.5, "file": 6.5}
"""Mohs hardness of a finger nail, a copper coin, a steel knife, window glass, a steel file: the usual household steps.
Textbooks differ by half a step, which the spread of a scratch test covers."""
SCRATCH_SD: Final = 0.5
"""Of a scratch test, in steps of Mohs."""
EDGE_SD: Final = 0.25
"""Of the ends of an interval that somebody bracketed with two tools."""
_MOHS: Final = (1.0, 10.0)
_GRAVITY: Final = (1.0, 20.0)
_HEFT: Final = {"light": (1.0, 2.5), "medium": (2.5, 3.5), "heavy": (3.5, 5.0), "very heavy": (5.0, 20.0)}
"""By the hand alone, specific gravity from and to."""
_HEFT_SD: Final = 0.5


def _confusion(words: Sequence[str], right: float, near: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """(true, observed): `right` on the diagonal, the rest in equal parts on the words near it, else on all others."""
    matrix = np.zeros((len(words), len(words)))
    for row, word in enumerate(words):
        others = [words.index(other) for other in near.get(word, ())] or [at for at in range(len(words)) if at != row]
        matrix[row, row] = right
        matrix[row, others] = (1 - right) / len(others)
    return matrix


def _neighbours(words: Sequence[str]) -> dict[str, list[str]]:
    """Words in an order, each near the one before and the one behind it."""
    return {
        word: [*words[max(0, place - 1) : place], *words[place + 1 : place + 2]] for place, word in enumerate(words)
    }


_NEAR_STREAKS: Final = {
    "white": ("grey", "yellow", "pink"), "grey": ("white", "black"), "black": ("grey", "brown", "green"),
    "brown": ("red", "yellow", "black", "orange"), "red": ("brown", "orange", "pink", "purple"),
    "orange": ("yellow", "red", "brown"), "yellow": ("orange", "white", "brown"),
    "green": ("blue", "black", "yellow"), "blue": ("green", "purple", "grey"),
    "purple": ("blue", "red", "pink"), "pink": ("white", "red", "purple"),
}  # fmt: skip
_NEAR_LUSTRES: Final = {
    "metallic": ("submetallic",), "submetallic": ("metallic", "dull", "adamantine"),
    "adamantine": ("vitreous", "resinous", "submetallic"), "vitreous": ("greasy", "adamantine", "pearly", "resinous"),
    "resinous": ("greasy", "vitreous", "waxy", "adamantine"),
    "waxy": ("greasy", "dull", "resinous"), "greasy": ("waxy", "vitreous", "resinous"), "pearly": ("vitreous", "silky"),
    "silky": ("pearly", "vitreous", "dull"), "dull": ("waxy", "silky", "submetallic"),
}  # fmt: skip
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "streak": WORDS["streak"],
    "lustre": WORDS["lustre"],
    "transparency": WORDS["transparency"],
    "cleavage": ("none", "poor", "good", "perfect"),
    "magnet": WORDS["magnetism"],
    "acid": ("none", "warm", "weak", "vigorous"),
    "fluorescence": ("no", "yes"),
    "heft": tuple(_HEFT),
    **dict.fromkeys(TOOLS, ("no", "yes")),
}
"""Tests with a word for an answer. `acid`: does not fizz; when warm or powdered; weakly; vigorously. `fluorescence`:
glows under an ultraviolet lamp. `nail`, `coin`, `knife`, `file`: the tool scratches it; `glass`: it scratches glass."""
_CONFUSIONS: Final = {
    "streak": _confusion(WORDS["streak"], 0.85, _NEAR_STREAKS),
    "lustre": _confusion(WORDS["lustre"], 0.7, _NEAR_LUSTRES),
    "transparency": _confusion(WORDS["transparency"], 0.75, _neighbours(WORDS["transparency"])),
    "cleavage": _confusion(CHOICES["cleavage"], 0.6, _neighbours(CHOICES["cleavage"])),
    "magnet": _confusion(WORDS["magnetism"], 0.9, _neighbours(WORDS["magnetism"])),
    # A mineral that dissolves without fizzing is seen not to fizz.
    "acid": np.array([
        [0.95, 0.04, 0.008, 0.002], [0.25, 0.6, 0.13, 0.02], [0.05, 0.25, 0.6, 0.1], [0.01, 0.02, 0.12, 0.85],
        [0.9, 0.07, 0.02, 0.01],
    ]),
    "fluorescence": np.array([[0.95, 0.05], [0.75, 0.25], [0.25, 0.75]]),
}  # fmt: skip
"""p(observed | true) by test, rows and columns as in WORDS or CHOICES."""
WORD_TESTS: Final = {
    "streak": "streak", "lustre": "lustre", "transparency": "transparency", "cleavage": "cleavage",
    "magnet": "magnetism", "acid": "acid", "fluorescence": "fluorescence",
}  # fmt: skip
"""Test and the property behind it."""
_STREAK_COLOURS: Final = {
    "white": (245, 245, 240), "grey": (140, 140, 140), "black": (35, 35, 35), "brown": (115, 75, 45),
    "red": (160, 45, 35), "orange": (215, 125, 45), "yellow": (220, 195, 75), "green": (70, 130, 85),
    "blue": (60, 90, 165), "purple": (120, 75, 140), "pink": (225, 165, 170),
}  # fmt: skip
_COLOUR_SD: Final = 20.0
"""CIELAB units by which a measured streak differs from that of the same name."""


@dataclass(frozen=True, slots=True)
class PropertyTable:
    """Properties of n minerals as arrays. NaN or a row of zeros: not known.

    `mohs` and `gravity` (n, 2): from and to; `words` by test (n, words): weights that sum to 1.
    """

    mohs: NDArray[np.float64]
    gravity: NDArray[np.float64]
    words: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, minerals: Sequence[Properties]) -> PropertyTable:
        """The table of some minerals."""
        return cls(
            _ranges([one.mohs for one in minerals]),
            _ranges([one.gravity for one in minerals]),
            {test: np.array([_weights(test, one) for one in minerals]) for test in WORD_TESTS},
        )


@dataclass(frozen=True, slots=True)
class Likelihood:
    """`values` (n,): of the observation for each mineral, NaN where the property is not known; or (n, words) for every
    answer.

    `floor`: what is left of it for a mineral that the observation does not fit at all, through MISTAKE alone.
    """

    values: NDArray[np.float64]
    floor: float


def hardness_near(table: PropertyTable, value: float, sd: float) -> Likelihood:
    """Density of a measured hardness `value` with the standard deviation `sd`."""
    return _mixed(_density(table.mohs, value, sd), 1 / (_MOHS[1] - _MOHS[0]))


def hardness_between(table: PropertyTable, low: float, high: float) -> Likelihood:
    """Probability that a hardness is found between `low` and `high`."""
    inside = _below(table.mohs, high, EDGE_SD) - _below(table.mohs, low, EDGE_SD)
    return _mixed(inside, (min(high, _MOHS[1]) - max(low, _MOHS[0])) / (_MOHS[1] - _MOHS[0]))


def gravity_near(table: PropertyTable, value: float, sd: float) -> Likelihood:
    """Density of a measured specific gravity; a mistake is taken to be uniform in its logarithm."""
    return _mixed(_density(table.gravity, value, sd), 1 / (value * math.log(_GRAVITY[1] / _GRAVITY[0])))


def gravity_between(table: PropertyTable, low: float, high: float) -> Likelihood:
    """Probability that a specific gravity is found between `low` and `high`."""
    inside = _below(table.gravity, high, EDGE_SD) - _below(table.gravity, low, EDGE_SD)
    return _mixed(inside, math.log(high / low) / math.log(_GRAVITY[1] / _GRAVITY[0]))


def binned(table: PropertyTable, test: str, edges: Sequence[float]) -> NDArray[np.float64]:
    """Probabilities (n, bins) that a hardness or a specific gravity is found between neighbouring ones of `edges`.

    Those of `hardness_between` or `gravity_between`, in a fraction of the time.
    """
    if test == "hardness":
        ranges, scale = table.mohs, np.clip(edges, *_MOHS) / (_MOHS[1] - _MOHS[0])
    else:
        ranges, scale = table.gravity, np.log(edges) / math.log(_GRAVITY[1] / _GRAVITY[0])
    below = np.stack([_below(ranges, edge, EDGE_SD) for edge in edges], axis=1)
    return np.asarray((1 - MISTAKE) * np.diff(below, axis=1) + MISTAKE * np.diff(scale))


def chosen(table: PropertyTable, test: str) -> Likelihood:
    """Probabilities (n, words) of every answer of a test of CHOICES."""
    if test in TOOLS:
        softer = _below(table.mohs, TOOLS[test], SCRATCH_SD)
        # A tool scratches what is softer; glass is scratched by what is harder.
        yes = 1 - softer if test == "glass" else softer
        found = np.stack([1 - yes, yes], axis=1)
    elif test == "heft":
        ends = [_HEFT[word][1] for word in CHOICES["heft"][:-1]]
        below = np.stack([_below(table.gravity, end, _HEFT_SD) for end in ends], axis=1)
        found = np.diff(below, axis=1, prepend=0.0, append=1.0)
        found[np.isnan(below[:, 0])] = np.nan
    else:
        weights = table.words[test]
        found = weights @ _CONFUSIONS[test]
        found[weights.sum(axis=1) == 0] = np.nan
    return _mixed(found, 1 / found.shape[1])


def streak_measured(table: PropertyTable, rgb: Sequence[int]) -> Likelihood:
    """Of a streak of the colour `rgb`, sRGB 0 to 255, as a mean over the names it may be called by."""
    distance = np.array([math.dist(_lab(rgb), _lab(colour)) for colour in _STREAK_COLOURS.values()])
    share = np.exp(-0.5 * (distance / _COLOUR_SD) ** 2) + 1e-9
    named = chosen(table, "streak")
    return Likelihood(np.asarray(named.values @ (share / share.sum())), named.floor)


def _mixed(model: NDArray[np.float64], anything: float) -> Likelihood:
    return Likelihood((1 - MISTAKE) * model + MISTAKE * anything, MISTAKE * anything)


def _ranges(found: Sequence[Range | None]) -> NDArray[np.float64]:
    return np.array([(math.nan, math.nan) if one is None else (one.low, one.high) for one in found])


def _weights(test: str, mineral: Properties) -> list[float]:
    # A list: arrays of so few numbers take several times as long, and hundreds of minerals are read at the start.
    names = ("none", "poor", "good", "perfect") if test == "cleavage" else WORDS[WORD_TESTS[test]]
    value = getattr(mineral, WORD_TESTS[test])
    weights = [0.0] * len(names)
    if value is None:
        return weights
    if test == "cleavage":
        words: Sequence[str] = [max((one.quality for one in value), key=names.index, default="none")]
    else:
        words = [value] if isinstance(value, str) else value
    for place, word in enumerate(words, 1):
        weights[names.index(word)] += 1 / place
    total = sum(weights)
    return [weight / total for weight in weights] if words else weights


def _density(ranges: NDArray[np.float64], value: float, sd: float) -> NDArray[np.float64]:
    """Of `value` = something uniform in each range, plus a normal error."""
    low, high = ranges.T
    width = np.maximum(high - low, 1e-3 * sd)  # one value is a narrow range
    return np.asarray((_normal((value - low) / sd) - _normal((value - low - width) / sd)) / width)


def _below(ranges: NDArray[np.float64], limit: float, sd: float) -> NDArray[np.float64]:
    """Probability that something uniform in each range, plus a normal error, is below `limit`."""
    low, high = ranges.T
    width = np.maximum(high - low, 1e-3 * sd)

    def integral(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return z * _normal(z) + np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)

    share = sd / width * (integral((limit - low) / sd) - integral((limit - low - width) / sd))
    return np.asarray(np.clip(share, 0, 1))


def _normal(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal distribution function. NumPy has none, and SciPy is no part of the core."""
    return np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in z.tolist()])


def _lab(rgb: Sequence[int]) -> tuple[float, float, float]:
    """CIELAB (D65) of an sRGB colour. Source: IEC 61966-2-1, CIE 15."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (one / 255 for one in rgb)
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
