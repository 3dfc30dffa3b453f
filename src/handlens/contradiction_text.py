"""A contradiction in a sentence, in English and Spanish: "hardness 3±0.5 does not fit quartz"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from handlens.evidence import Contradiction
from handlens.minerals import KnowledgeBase, Language
from handlens.minerals.words import TEXTS

__all__ = ["told"]

_TESTS_ES: Final[Mapping[str, str]] = {
    "hardness": "dureza",
    "streak": "raya",
    "gravity": "densidad relativa",
    "lustre": "brillo",
    "transparency": "transparencia",
    "cleavage": "exfoliación",
    "magnet": "imán",
    "acid": "ácido",
    "fluorescence": "fluorescencia",
    "heft": "peso",
    "nail": "uña",
    "coin": "moneda",
    "knife": "navaja",
    "glass": "vidrio",
    "file": "lima",
}
_AS_IN_THE_BASE: Final = ("streak", "lustre", "transparency", "acid")
_YES_NO: Final = {"yes": "sí", "no": "no"}
_ANSWERS_ES: Final[Mapping[str, Mapping[str, str]]] = {
    **{test: {word: texts["es"] for word, texts in TEXTS[test].items()} for test in _AS_IN_THE_BASE},
    "cleavage": {"none": "ninguna", **{word: texts["es"] for word, texts in TEXTS["cleavage"].items()}},
    "magnet": {"none": "no lo atrae", "weak": "lo atrae débilmente", "strong": "lo atrae con fuerza"},
    "heft": {"light": "ligero", "medium": "medio", "heavy": "pesado", "very heavy": "muy pesado"},
    **dict.fromkeys(("fluorescence", "nail", "coin", "knife", "glass", "file"), _YES_NO),
}
_MISFIT: Final[Mapping[Language, str]] = {"en": "{} does not fit {}", "es": "{} no concuerda con {}"}
_NOUNS: Final = frozenset({"hardness", "streak", "gravity", "lustre", "transparency", "cleavage"})
"""Tests whose answer is a number or an adjective of their Spanish name."""


def told(one: Contradiction, minerals: KnowledgeBase, lang: Language) -> Contradiction:
    """The contradiction with its sentence in `lang`."""
    name = minerals.display(one.mineral, lang) if one.mineral in minerals else one.mineral
    observed = f"{one.test} {one.observed}"
    if lang == "es":
        answer = _ANSWERS_ES.get(one.test, {}).get(one.observed, one.observed)  # a number stays one
        # An adjective belongs to its noun; "uña sí" would be none.
        observed = f"{_TESTS_ES[one.test]}{' ' if one.test in _NOUNS else ': '}{answer}"
    return replace(one, text=_MISFIT[lang].format(observed, name))
