"""The answers of `handlens identify` as a table for people, in English or Spanish."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from handlens.decision import UNKNOWN
from handlens.identifier import Identification
from handlens.minerals import KnowledgeBase, Language
from handlens.minerals.words import WARNINGS
from handlens.photo import PhotoError
from handlens.safe_text import terminal

__all__ = ["Outcome", "Writer", "table"]

Outcome = Identification | PhotoError
Writer = Callable[[Iterable[Outcome], TextIO], int]

_WORDS: Final = {
    "en": {
        "unknown": "unknown",
        "best": "best guess",
        "variety": "variety",
        "species": "species",
        "group": "group",
        "set": "90 % sure it is one of",
        "none": "90 % sure it is none of these",
        "other": "others",
        "hazard": "warning",
        "no-specimen": "This hardly looks like a photo of a mineral specimen.",
        "several-specimens": "It seems to show several specimens: crop to the one that you mean (--crop).",
        "error": "not read",
        "caution": "Not for food, medicine, valuation or asbestos clearance.",
    },
    "es": {
        "unknown": "desconocido",
        "best": "lo más probable:",
        "variety": "variedad",
        "species": "especie",
        "group": "grupo",
        "set": "con un 90 % de seguridad es uno de",
        "none": "con un 90 % de seguridad no es ninguno de estos",
        "other": "otros",
        "hazard": "aviso",
        "no-specimen": "Esto apenas parece la foto de un ejemplar mineral.",
        "several-specimens": "Parece mostrar varios ejemplares: recorta el que quieras (--crop).",
        "error": "no leída",
        "caution": "No sirve para alimentos, medicina, tasación ni descartar amianto.",
    },
}
_SHOWN_IN_SET: Final = 8


def table(minerals: KnowledgeBase, language: Language) -> Writer:
    """Prints each answer with a bar a candidate; 1 if some photo could not be read."""
    words = _WORDS[language]

    def shown(name: str) -> str:
        return terminal(minerals.display(name, language) if name in minerals else name)

    def headline(answer: Identification) -> str:
        decision = answer.decision
        if decision.name == UNKNOWN:
            best = answer.candidates[0]
            return f"{words['unknown']}; {words['best']} {shown(best.name)}, {best.probability:.0%}"
        name, rank = shown(decision.name), words[decision.rank]
        # "calcite group (group)" would say it twice.
        return f"{name if rank in name.split() else f'{name} ({rank})'}, {decision.probability:.0%}"

    def set_line(answer: Identification) -> str:
        names = [shown(name) for name in answer.prediction_set]
        if not names:  # --among may leave nothing of it
            return words["none"]
        more = len(names) - _SHOWN_IN_SET
        tail = f" (+{more} {words['other']})" if more > 0 else ""
        return f"{words['set']}: {', '.join(names[:_SHOWN_IN_SET])}{tail}"

    def remarks(answer: Identification) -> Iterable[str]:
        for warning in answer.warnings:
            yield words[warning]
        for one in answer.contradictions:
            yield terminal(one.text)
        if answer.next_test is not None:
            yield terminal(answer.next_test.text)
        for hazard in answer.hazards:
            warnings = " ".join(WARNINGS[word][language] for word in hazard.hazards)
            yield f"{words['hazard']}: {shown(hazard.mineral)}: {warnings}"

    def write(outcomes: Iterable[Outcome], out: TextIO) -> int:
        status = 0
        for outcome in outcomes:
            if isinstance(outcome, PhotoError):
                status = 1
                print(
                    f"{terminal(outcome.photo)}: {words['error']}: {outcome.code}: {terminal(outcome.detail)}", file=out
                )
                continue
            photos = ", ".join(terminal(photo) for photo in outcome.photos or (outcome.photo,))
            print(f"{photos}: {headline(outcome)}", file=out)
            for candidate in outcome.candidates:
                bar = "█" * round(candidate.probability * 30)
                print(f"    {candidate.probability:6.1%}  {shown(candidate.name):<20} {bar}".rstrip(), file=out)
            for line in (set_line(outcome), *remarks(outcome)):
                print(f"    {line}", file=out)
            out.flush()
        print(words["caution"], file=sys.stderr)
        return status

    return write
