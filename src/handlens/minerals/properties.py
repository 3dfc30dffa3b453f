"""What a mineral is like: the properties that a person can see or test, from closed lists of words.

A property that is None is not known; an empty tuple says that there is none (no cleavage, no hazard). A record takes
what it does not say from the record above it (a variety from its species): `KnowledgeBase.properties` does that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from handlens.minerals.formula import elements_of

__all__ = ["WORDS", "Cleavage", "Properties", "Range", "inherited", "properties_from"]

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "system": ("cubic", "tetragonal", "orthorhombic", "hexagonal", "trigonal", "monoclinic", "triclinic", "amorphous"),
    "streak": ("white", "grey", "black", "brown", "red", "orange", "yellow", "green", "blue", "purple", "pink"),
    "lustre": (
        "metallic", "submetallic", "adamantine", "vitreous", "resinous", "waxy", "greasy", "pearly", "silky", "dull",
    ),
    "transparency": ("transparent", "translucent", "opaque"),
    "colours": (
        "colourless", "white", "grey", "black", "brown", "red", "orange", "yellow", "green", "blue", "purple", "pink",
        "gold", "silver", "bronze",
    ),
    "cleavage": ("perfect", "good", "poor"),
    "fracture": ("conchoidal", "uneven", "splintery", "hackly", "fibrous", "even"),
    "tenacity": ("brittle", "malleable", "sectile", "flexible", "elastic", "tough"),
    "magnetism": ("none", "weak", "strong"),
    "acid": ("none", "warm", "weak", "vigorous", "dissolves"),
    "fluorescence": ("none", "sometimes", "often"),
    "taste": ("salty", "bitter", "alkaline", "astringent", "cooling"),
    "ima": ("approved", "grandfathered", "renamed", "questionable", "not a species"),
    "hazards": (
        "asbestos", "arsenic", "lead", "mercury", "radioactive", "antimony", "thallium", "cadmium", "toxic",
        "soluble copper",
    ),
}  # fmt: skip
"""The words that each property may have.

`streak`: "white" is a colourless streak too. `acid`, dilute hydrochloric: no reaction; fizzes when warm or powdered;
fizzes weakly; vigorously; dissolves or decomposes without fizzing. `taste` is given only where tasting is harmless.
"""
_LISTS: Final = ("system", "streak", "lustre", "transparency", "colours", "fracture", "tenacity", "hazards")
_CHOICES: Final = ("magnetism", "acid", "fluorescence", "taste", "ima")
_STRUNZ: Final = re.compile(r"(?:[1-9]|10)(?:\.[A-Z]{1,2}(?:\.\d{2,3}[a-z]?)?)?")
_DANA: Final = re.compile(r"\d{1,2}[a-d]?(?:\.\d{1,2}[a-z]?(?:\.\d{1,2}[a-z]?(?:\.\d{1,2})?)?)?")
_MOST_DIRECTIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included; equal where it is one value."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cleavage:
    """`quality`: perfect, good or poor; `directions`: 1 to 6 (of dodecahedral)."""

    quality: str
    directions: int


@dataclass(frozen=True, slots=True)
class Properties:
    """`mohs`: hardness, 1 to 10. `gravity`: specific gravity, g/cm3. `soluble`: in water. `strunz` and `dana`: classes,
    as many parts as are known. `look_alikes`: canonical names of what it is taken for. The others: words of WORDS.
    """

    formula: str | None = None
    system: tuple[str, ...] | None = None
    mohs: Range | None = None
    gravity: Range | None = None
    streak: tuple[str, ...] | None = None
    lustre: tuple[str, ...] | None = None
    transparency: tuple[str, ...] | None = None
    colours: tuple[str, ...] | None = None
    cleavage: tuple[Cleavage, ...] | None = None
    fracture: tuple[str, ...] | None = None
    tenacity: tuple[str, ...] | None = None
    magnetism: str | None = None
    acid: str | None = None
    fluorescence: str | None = None
    fluorescence_colours: tuple[str, ...] | None = None
    soluble: bool | None = None
    taste: str | None = None
    strunz: str | None = None
    dana: str | None = None
    ima: str | None = None
    hazards: tuple[str, ...] | None = None
    look_alikes: tuple[str, ...] | None = None


def properties_from(stored: Mapping[str, Any]) -> Properties:
    """Reads the JSON form strictly. Raises ValueError naming the property that breaks the schema."""
    if unknown := sorted(stored.keys() - set(Properties.__dataclass_fields__)):
        raise ValueError(f"there is no property {unknown[0]!r}")
    read: dict[str, Any] = {}
    for name, value in stored.items():
        try:
            read[name] = _read(name, value)
        except (TypeError, ValueError) as error:
            said = str(error)
            raise ValueError(said if said.startswith(f"{name} is ") else f"{name} is {value!r}: {said}") from error
    return Properties(**read)


def inherited(line: Sequence[Properties]) -> Properties:
    """The properties of the first of `line`, each that is None taken from the next one that has it.

    Colours of a fluorescence are not taken over by one that has none.
    """
    found = {
        name: next((value for one in line if (value := getattr(one, name)) is not None), None)
        for name in Properties.__dataclass_fields__
    }
    if found["fluorescence"] == "none":
        found["fluorescence_colours"] = None
    return Properties(**found)


def _read(name: str, value: Any) -> Any:
    if name in _LISTS:
        return _words(name, value, WORDS[name])
    if name in _CHOICES:
        return _word(name, value, WORDS[name])
    if name in ("mohs", "gravity"):
        return _range(name, value, (0.5, 10.0) if name == "mohs" else (0.5, 25.0))
    if name == "cleavage":
        return tuple(_cleavage(quality, directions) for quality, directions in value)
    if name == "fluorescence_colours":
        return _words(name, value, WORDS["colours"])
    if name == "look_alikes":
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise ValueError(f"{name} is {value!r}: it must be a list of names")
        return tuple(value)
    if name == "soluble":
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}: it must be true or false")
        return value
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}: it must be a text")
    if name == "formula":
        elements_of(value)
    elif not (_STRUNZ if name == "strunz" else _DANA).fullmatch(value):
        raise ValueError(f"{name} is {value!r}: that is no class")
    return value


def _word(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(words)}")
    return str(value)


def _words(name: str, value: Any, words: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or len(set(map(str, value))) != len(value):
        raise ValueError(f"{name} is {value!r}: it must be a list without repeats")
    return tuple(_word(name, one, words) for one in value)


def _range(name: str, value: Any, bounds: tuple[float, float]) -> Range:
    low, high = value
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in value):
        raise ValueError(f"{name} is {value!r}: it must be two numbers")
    if not bounds[0] <= low <= high <= bounds[1]:
        raise ValueError(f"{name} is {value!r}: it must rise within {bounds[0]} to {bounds[1]}")
    return Range(float(low), float(high))


def _cleavage(quality: Any, directions: Any) -> Cleavage:
    _word("cleavage", quality, WORDS["cleavage"])
    if isinstance(directions, bool) or not isinstance(directions, int) or not 1 <= directions <= _MOST_DIRECTIONS:
        raise ValueError(f"{directions!r} directions: there must be 1 to {_MOST_DIRECTIONS}")
    return Cleavage(str(quality), directions)
