"""The closed words of the knowledge base as people read them, in English and Spanish.

Colours of a streak are feminine in Spanish (la raya), those of a mineral masculine; so every property has words of its
own. A hazard is a sentence of warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handlens.minerals.knowledge import Language

__all__ = ["CHECKED", "CLEAVAGE", "NOTICE", "RANKS", "TEXTS", "TITLES", "WARNINGS", "YES_NO"]

_Texts = Mapping[Language, str]


def _both(english: str, spanish: str) -> _Texts:
    return {"en": english, "es": spanish}


def _pairs(**words: str) -> dict[str, _Texts]:
    """Words that are their own English."""
    return {word: _both(word, spanish) for word, spanish in words.items()}


_STREAKS: Final = _pairs(
    white="blanca", grey="gris", black="negra", brown="parda", red="roja", orange="anaranjada", yellow="amarilla",
    green="verde", blue="azul", purple="morada", pink="rosa",
)  # fmt: skip
_COLOURS: Final = _pairs(
    colourless="incoloro", white="blanco", grey="gris", black="negro", brown="pardo", red="rojo", orange="anaranjado",
    yellow="amarillo", green="verde", blue="azul", purple="morado", pink="rosa", gold="dorado", silver="plateado",
    bronze="bronce",
)  # fmt: skip

WARNINGS: Final[Mapping[str, _Texts]] = {
    "asbestos": _both(
        "It can be asbestos: do not break, saw or rub it, and do not breathe its dust.",
        "Puede ser amianto (asbesto): no lo rompas, sierres ni frotes, y no respires su polvo.",
    ),
    "arsenic": _both(
        "It contains arsenic: do not heat it, do not breathe its dust, wash your hands.",
        "Contiene arsénico: no lo calientes, no respires su polvo, lávate las manos.",
    ),
    "lead": _both(
        "It contains lead: do not breathe its dust, keep it from children, wash your hands.",
        "Contiene plomo: no respires su polvo, mantenlo lejos de los niños, lávate las manos.",
    ),
    "mercury": _both(
        "It contains mercury: never heat it, do not breathe its dust, wash your hands.",
        "Contiene mercurio: no lo calientes nunca, no respires su polvo, lávate las manos.",
    ),
    "radioactive": _both(
        "It is radioactive: handle it briefly, do not breathe its dust, keep it in a ventilated place.",
        "Es radiactivo: tócalo poco tiempo, no respires su polvo, guárdalo en un lugar ventilado.",
    ),
    "antimony": _both(
        "It contains antimony: do not heat it, do not breathe its dust, wash your hands.",
        "Contiene antimonio: no lo calientes, no respires su polvo, lávate las manos.",
    ),
    "thallium": _both(
        "It contains thallium, which is very poisonous: do not touch it with bare hands, do not breathe its dust.",
        "Contiene talio, muy venenoso: no lo toques sin guantes, no respires su polvo.",
    ),
    "cadmium": _both(
        "It contains cadmium: do not heat it, do not breathe its dust, wash your hands.",
        "Contiene cadmio: no lo calientes, no respires su polvo, lávate las manos.",
    ),
    "toxic": _both(
        "It is poisonous: do not taste it, do not breathe its dust, wash your hands.",
        "Es venenoso: no lo pruebes, no respires su polvo, lávate las manos.",
    ),
    "soluble copper": _both(
        "It gives off copper salts that dissolve and are poisonous: do not taste it or put it in water you drink.",
        "Cede sales de cobre solubles y venenosas: no lo pruebes ni lo metas en agua de beber.",
    ),
}
"""Hazard to a sentence of warning."""

TEXTS: Final[Mapping[str, Mapping[str, _Texts]]] = {
    "system": _pairs(
        cubic="cúbico", tetragonal="tetragonal", orthorhombic="ortorrómbico", hexagonal="hexagonal",
        trigonal="trigonal", monoclinic="monoclínico", triclinic="triclínico", amorphous="amorfo",
    ),
    "streak": _STREAKS,
    "lustre": _pairs(
        metallic="metálico", submetallic="submetálico", adamantine="adamantino", vitreous="vítreo", resinous="resinoso",
        waxy="céreo", greasy="graso", pearly="nacarado", silky="sedoso", dull="mate",
    ),
    "transparency": _pairs(transparent="transparente", translucent="translúcido", opaque="opaco"),
    "colours": _COLOURS,
    "fluorescence_colours": _COLOURS,
    "cleavage": _pairs(perfect="perfecta", good="buena", poor="imperfecta"),
    "fracture": _pairs(
        conchoidal="concoidea", uneven="irregular", splintery="astillosa", hackly="ganchuda", fibrous="fibrosa",
        even="lisa",
    ),
    "tenacity": _pairs(
        brittle="frágil", malleable="maleable", sectile="séctil", flexible="flexible", elastic="elástico",
        tough="tenaz",
    ),
    "magnetism": {
        "none": _both("not drawn by a magnet", "no lo atrae un imán"),
        "weak": _both("drawn weakly by a magnet", "un imán lo atrae débilmente"),
        "strong": _both("drawn strongly by a magnet", "un imán lo atrae con fuerza"),
    },
    "acid": {
        "none": _both("no reaction", "no reacciona"),
        "warm": _both("fizzes when warm or powdered", "burbujea en caliente o en polvo"),
        "weak": _both("fizzes weakly", "burbujea débilmente"),
        "vigorous": _both("fizzes vigorously", "burbujea con fuerza"),
        "dissolves": _both("dissolves without fizzing", "se disuelve sin burbujear"),
    },
    "fluorescence": {
        "none": _both("none", "ninguna"),
        "sometimes": _both("sometimes", "a veces"),
        "often": _both("often", "a menudo"),
    },
    "taste": _pairs(
        salty="salado", bitter="amargo", alkaline="alcalino", astringent="astringente", cooling="refrescante"
    ),
    "ima": {
        "approved": _both("approved", "aprobado"),
        "grandfathered": _both("grandfathered (described before 1959)", "heredado (descrito antes de 1959)"),
        "renamed": _both("renamed", "renombrado"),
        "questionable": _both("questionable", "dudoso"),
        "not a species": _both("not a species", "no es una especie"),
    },
    "hazards": WARNINGS,
}  # fmt: skip
"""Property and word to what a person reads; every word of `properties.WORDS` is here."""

TITLES: Final[Mapping[str, _Texts]] = {
    "name": _both("name", "nombre"),
    "rank": _both("rank", "rango"),
    "ancestors": _both("belongs to", "pertenece a"),
    "holds": _both("holds", "incluye"),
    "en": _both("english", "inglés"),
    "es": _both("spanish", "español"),
    "synonyms": _both("synonyms", "sinónimos"),
    "note": _both("note", "nota"),
    "formula": _both("formula", "fórmula"),
    "system": _both("crystal system", "sistema cristalino"),
    "mohs": _both("hardness", "dureza"),
    "gravity": _both("specific gravity", "peso específico"),
    "streak": _both("streak", "raya"),
    "lustre": _both("lustre", "brillo"),
    "transparency": _both("transparency", "transparencia"),
    "colours": _both("colours", "colores"),
    "cleavage": _both("cleavage", "exfoliación"),
    "fracture": _both("fracture", "fractura"),
    "tenacity": _both("tenacity", "tenacidad"),
    "magnetism": _both("magnet", "imán"),
    "acid": _both("dilute acid", "ácido diluido"),
    "fluorescence": _both("fluorescence", "fluorescencia"),
    "soluble": _both("water-soluble", "soluble en agua"),
    "taste": _both("taste", "sabor"),
    "strunz": _both("Strunz class", "clase de Strunz"),
    "dana": _both("Dana class", "clase de Dana"),
    "ima": _both("IMA status", "estado de la IMA"),
    "look_alikes": _both("look-alikes", "se confunde con"),
    "source": _both("source", "fuente"),
    "warning": _both("warning", "aviso"),
    "notice": _both("notice", "nota de uso"),
}
"""What a line about a mineral begins with."""

RANKS: Final[Mapping[str, _Texts]] = _pairs(variety="variedad", species="especie", group="grupo")
YES_NO: Final[Mapping[bool, _Texts]] = {True: _both("yes", "sí"), False: _both("no", "no")}
CLEAVAGE: Final[Mapping[str, _Texts]] = {
    "none": _both("none", "ninguna"),
    "one": _both("{} in 1 direction", "{} en 1 dirección"),
    "several": _both("{} in {} directions", "{} en {} direcciones"),
}
NOTICE: Final[_Texts] = _both(
    "not for food, medicine, valuation or asbestos clearance",
    "no sirve para alimentos, medicina, tasación ni para descartar amianto",
)
CHECKED: Final[Mapping[str, _Texts]] = {
    "nothing": _both(
        "unverified: general knowledge, not compared with a source",
        "sin verificar: conocimiento general, no comparado con ninguna fuente",
    ),
    "some": _both(
        "{checked}: compared with {source}; the rest is unverified: general knowledge",
        "{checked}: comparado con {source}; lo demás, sin verificar: conocimiento general",
    ),
}
"""What the `source` of a record says of it."""
