"""The advice in a sentence, in English and Spanish: "Try a steel knife: it scratches calcite, not quartz."."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handlens.minerals import KnowledgeBase, Language
from handlens.next_test import NextTest, Side

__all__ = ["next_test_text"]

_TOOLS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "nail": "Try your finger nail",
        "coin": "Try a copper coin",
        "knife": "Try a steel knife",
        "file": "Try a steel file",
    },
    "es": {
        "nail": "Prueba con la uña",
        "coin": "Prueba con una moneda de cobre",
        "knife": "Prueba con una navaja de acero",
        "file": "Prueba con una lima de acero",
    },
}
_SCRATCHES: Final[Mapping[Language, tuple[str, str, str]]] = {
    "en": ("it scratches {}", "it does not scratch {}", "not {}"),
    "es": ("raya {}", "no raya {}", "no {}"),
}
_LEADS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "glass": "Try to scratch window glass with it",
        "magnet": "Hold a magnet to it",
        "acid": "Put a drop of dilute hydrochloric acid on it",
        "streak": "Rub it on unglazed porcelain",
        "hardness": "Measure its hardness with a scratch kit",
        "gravity": "Weigh it in air and in water",
        "heft": "Feel its weight in your hand",
        "lustre": "Look at its lustre",
        "cleavage": "Look how it breaks",
        "transparency": "Hold a thin edge to the light",
        "fluorescence": "Look at it under an ultraviolet lamp",
    },
    "es": {
        "glass": "Intenta rayar vidrio con ella",
        "magnet": "Acerca un imán",
        "acid": "Pon una gota de ácido clorhídrico diluido",
        "streak": "Frótala sobre porcelana sin esmaltar",
        "hardness": "Mide su dureza con un juego de rayado",
        "gravity": "Pésala en el aire y en agua",
        "heft": "Siente su peso en la mano",
        "lustre": "Mira su brillo",
        "cleavage": "Mira cómo se rompe",
        "transparency": "Pon un borde fino a contraluz",
        "fluorescence": "Mírala bajo una lámpara ultravioleta",
    },
}
_SAYS: Final[Mapping[Language, Mapping[str, str | Mapping[str, str]]]] = {
    "en": {
        "glass": {"yes": "{} scratches it", "no": "{} does not"},
        "magnet": {"strong": "{} is drawn strongly", "weak": "{} is drawn weakly", "none": "{} is not drawn"},
        "acid": {
            "vigorous": "{} fizzes vigorously",
            "weak": "{} fizzes weakly",
            "warm": "{} fizzes only warm or powdered",
            "none": "{} does not fizz",
        },
        "streak": "{} leaves {word}",
        "hardness": "{} has {word}",
        "gravity": "{} has {word}",
        "heft": "{} is {word}",
        "lustre": "{} is {word}",
        "cleavage": {
            "perfect": "{} cleaves perfectly",
            "good": "{} cleaves well",
            "poor": "{} hardly cleaves",
            "none": "{} has no cleavage",
        },
        "transparency": "{} is {word}",
        "fluorescence": {"yes": "{} often glows", "no": "{} does not glow"},
    },
    "es": {
        "glass": {"yes": "{} lo raya", "no": "{} no"},
        "magnet": {"strong": "{}: atracción fuerte", "weak": "{}: atracción débil", "none": "{}: ninguna atracción"},
        "acid": {
            "vigorous": "{}: efervescencia viva",
            "weak": "{}: efervescencia débil",
            "warm": "{}: efervescencia solo en caliente o en polvo",
            "none": "{}: sin efervescencia",
        },
        "streak": "{}: {word}",
        "hardness": "{}: {word}",
        "gravity": "{}: {word}",
        "heft": "{}: {word}",
        "lustre": "{}: {word}",
        "cleavage": {
            "perfect": "{}: exfoliación perfecta",
            "good": "{}: buena exfoliación",
            "poor": "{}: exfoliación pobre",
            "none": "{}: sin exfoliación",
        },
        "transparency": "{}: {word}",
        "fluorescence": {"yes": "{}: suele brillar", "no": "{}: no brilla"},
    },
}
_STREAKS_ES: Final = {
    "white": "raya blanca",
    "grey": "raya gris",
    "black": "raya negra",
    "brown": "raya parda",
    "red": "raya roja",
    "orange": "raya naranja",
    "yellow": "raya amarilla",
    "green": "raya verde",
    "blue": "raya azul",
    "purple": "raya violeta",
    "pink": "raya rosa",
}
_WORDS_ES: Final = {
    "light": "ligero",
    "medium": "de peso medio",
    "heavy": "pesado",
    "very heavy": "muy pesado",
    "transparent": "transparente",
    "translucent": "translúcido",
    "opaque": "opaco",
    "metallic": "metálico",
    "submetallic": "submetálico",
    "adamantine": "adamantino",
    "vitreous": "vítreo",
    "resinous": "resinoso",
    "waxy": "céreo",
    "greasy": "graso",
    "pearly": "perlado",
    "silky": "sedoso",
    "dull": "mate",
}


def next_test_text(advice: NextTest, minerals: KnowledgeBase, lang: Language) -> str:
    """The advice as a sentence in `lang`."""
    sides = [(side.outcome, _names(side, minerals, lang)) for side in advice.sides]
    if advice.test in _TOOLS["en"]:
        lead, clauses = _TOOLS[lang][advice.test], _scratched(dict(sides), lang)
    else:
        lead = _LEADS[lang][advice.test]
        clauses = [_clause(advice.test, outcome, names, lang) for outcome, names in sides]
    return f"{lead}: {', '.join(clauses)}." if clauses else f"{lead}."


def _scratched(names: Mapping[str, str], lang: Language) -> list[str]:
    does, does_not, short = _SCRATCHES[lang]
    if "yes" not in names:
        return [does_not.format(names["no"])] if "no" in names else []
    return [does.format(names["yes"]), *([short.format(names["no"])] if "no" in names else [])]


def _clause(test: str, outcome: str, names: str, lang: Language) -> str:
    says = _SAYS[lang][test]
    if not isinstance(says, str):
        return says[outcome].format(names)
    if test == "streak":
        article = "an" if outcome == "orange" else "a"
        word = _STREAKS_ES[outcome] if lang == "es" else f"{article} {outcome} streak"
    else:
        word = outcome if lang == "en" else _WORDS_ES.get(outcome, outcome)
    return says.format(names, word=word)


def _names(side: Side, minerals: KnowledgeBase, lang: Language) -> str:
    shown = [minerals.display(name, lang) if name in minerals else name for name in side.minerals]
    if lang == "en":
        return " or ".join(shown)
    # "o" before a word that begins with its sound is "u".
    return "".join(shown[:1] + [(" u " if name.startswith(("o", "ó", "ho")) else " o ") + name for name in shown[1:]])
