"""A record in lines that a person reads, in English or Spanish."""

from __future__ import annotations

from collections.abc import Iterator

from handlens.minerals.knowledge import UNVERIFIED, KnowledgeBase, Language, Mineral
from handlens.minerals.properties import Cleavage, Properties, Range
from handlens.minerals.words import CHECKED, CLEAVAGE, NOTICE, RANKS, TEXTS, TITLES, WARNINGS, YES_NO

__all__ = ["described"]

_PLACED = ("hazards", "look_alikes", "fluorescence_colours")
"""Properties that have their own place among the lines, or stand with another one."""


def described(minerals: KnowledgeBase, name: str, lang: Language) -> Iterator[tuple[str, str]]:
    """Title and text of each line: what is dangerous first, then the names, the properties, the source and the notice.

    `name` is canonical. What is not known has no line. Raises UnknownMineralError.
    """
    for key, text in _lines(minerals, minerals.get(name), lang):
        if text:
            yield TITLES[key][lang], text


def _lines(minerals: KnowledgeBase, mineral: Mineral, lang: Language) -> Iterator[tuple[str, str]]:
    def shown(names: tuple[str, ...] | list[str], between: str = ", ") -> str:
        return between.join(minerals.display(one, lang) for one in names)

    properties = minerals.properties(mineral.name)
    for hazard in properties.hazards or ():
        yield "warning", WARNINGS[hazard][lang]
    yield "name", minerals.display(mineral.name, lang)
    yield "rank", RANKS[mineral.rank][lang]
    yield "ancestors", shown(minerals.ancestors(mineral.name)[1:], " < ")
    yield "holds", shown(sorted(minerals.descendants(mineral.name) - {mineral.name}))
    yield "en", mineral.en
    yield "es", mineral.es
    yield "synonyms", ", ".join(mineral.synonyms if lang == "en" else mineral.synonyms_es)
    yield "note", mineral.note
    for key in Properties.__dataclass_fields__:
        if key not in _PLACED:
            yield key, _property(properties, key, lang)
    yield "look_alikes", shown(properties.look_alikes or ())
    yield "source", _source(mineral, lang)
    yield "notice", NOTICE[lang]


def _property(properties: Properties, key: str, lang: Language) -> str:
    """The text of one property; "" where it is not known."""
    value = getattr(properties, key)
    if value is None:
        return ""
    if isinstance(value, Range):
        return _range(value, lang)
    if isinstance(value, bool):
        return YES_NO[value][lang]
    if key == "cleavage":
        return ", ".join(_cleavage(one, lang) for one in value) or CLEAVAGE["none"][lang]
    if isinstance(value, tuple):
        return ", ".join(TEXTS[key][word][lang] for word in value)
    if key not in TEXTS:  # formula and classes
        return str(value)
    text = TEXTS[key][value][lang]
    if key == "fluorescence" and properties.fluorescence_colours:
        text += f" ({', '.join(TEXTS['colours'][word][lang] for word in properties.fluorescence_colours)})"
    return text


def _range(value: Range, lang: Language) -> str:
    text = f"{value.low:g}" if value.low == value.high else f"{value.low:g}-{value.high:g}"
    return text.replace(".", ",") if lang == "es" else text


def _cleavage(value: Cleavage, lang: Language) -> str:
    quality = TEXTS["cleavage"][value.quality][lang]
    return CLEAVAGE["one" if value.directions == 1 else "several"][lang].format(quality, value.directions)


def _source(mineral: Mineral, lang: Language) -> str:
    if mineral.source == UNVERIFIED:
        return CHECKED["nothing"][lang]
    checked = ", ".join(TITLES[one][lang] for one in mineral.checked)
    return CHECKED["some"][lang].format(checked=checked, source=mineral.source)
