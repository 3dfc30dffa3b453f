"""A record as a document: what `handlens minerals NAME --format json` prints and `/v1/minerals/{name}` answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from handlens.minerals.knowledge import KnowledgeBase, Mineral
from handlens.minerals.words import NOTICE, WARNINGS

__all__ = ["entry", "record"]


def entry(minerals: KnowledgeBase, mineral: Mineral) -> dict[str, Any]:
    """The mineral in a list: `species` is the one that it belongs to or is, None where that is not told."""
    return {
        "name": mineral.name,
        "rank": mineral.rank,
        "names": {"en": mineral.en, "es": mineral.es},
        "species": minerals.at_rank(mineral.name, "species"),
    }


def record(minerals: KnowledgeBase, name: str) -> dict[str, Any]:
    """All that is known of the mineral with this canonical name, with what it takes from above.

    `properties` holds those that are known, as the fields of `Properties`, a range as `low` and `high`; `hazards` and
    `look_alikes` stand beside them. `warnings`: a sentence a hazard. Raises UnknownMineralError.
    """
    mineral = minerals.get(name)
    known = asdict(minerals.properties(name))
    hazards = known.pop("hazards") or ()
    look_alikes = known.pop("look_alikes") or ()
    return {
        **entry(minerals, mineral),
        "synonyms": {"en": mineral.synonyms, "es": mineral.synonyms_es},
        "note": mineral.note,
        "ancestors": minerals.ancestors(name)[1:],
        "holds": sorted(minerals.descendants(name) - {name}),
        "hazards": hazards,
        "warnings": {lang: [WARNINGS[one][lang] for one in hazards] for lang in NOTICE},
        "properties": {key: value for key, value in known.items() if value is not None},
        "look_alikes": look_alikes,
        "source": mineral.source,
        "checked": mineral.checked,
        "notice": dict(NOTICE),
    }
