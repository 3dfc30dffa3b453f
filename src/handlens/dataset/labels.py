"""From the title of a photo to the names of the minerals in it.

What a title may look like, and what it becomes:

    Quartz (Var: Amethyst)              amethyst: the most exact name on one line of the tree
    Azurite, Malachite                  azurite and malachite; so with "and", "&", "with", "on", "in", ";", "/"
    Quartz, Amethyst, Calcite           amethyst and calcite: a name above another one in the tree adds nothing
    Fluorite - Rogerley Mine, England   fluorite: what follows a dash, "from", "near", "at", "after" or "@" is no name
    Stilbite-Ca, axinite-(Fe)           stilbite, axinite: a chemical suffix that the knowledge base does not know goes
    Azurite-Malachite                   azurite and malachite, where both are known
    Quartz (Var: Herkimer)              quartz, and "herkimer" is reported as unknown
    quartz(var:amethyst                 amethyst: lists exist that lost their spaces and brackets

A name that the knowledge base does not know is kept as its key (`minerals.names.key`) and told apart by `unknown`.
After a known name, something unknown counts as another mineral only when it looks like one (a single word that ends in
-ite, or a group); otherwise it is taken for a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from handlens.minerals import KnowledgeBase, UnknownMineralError
from handlens.minerals import names as spelling

__all__ = ["LabelReader", "Named"]

_REMEMBERED: Final = 50_000
"""Titles whose names are kept in memory: lists of half a million rows have some thousands."""
_LONGEST_TITLE: Final = 500
_MOST_WORDS: Final = 8
"""Of a known spelling."""
_LONGEST_NAME: Final = 80
"""Characters; longer text is a sentence, and no folder could be named for it."""

_PLACE: Final = re.compile(r"\s+(?:-|–|—|@|from|near|at|after|pseudomorph\w*)\s+", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[,;&+/|]|\s(?:and|with|on|in|y|con)\s", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"-\(?[A-Z][a-z]?\)?$|-\([a-z]{1,2}\)$|-(?:ca|na|k|sr|ba|mg|fe|mn|ce|la|nd|y|al|pb)$")
_GROUP_END: Final = re.compile(r"(?<=[a-z])(supergroup|subgroup|group|series)$")


@dataclass(frozen=True, slots=True)
class Named:
    """The minerals that a title names: canonical names in the title's order, unknown ones as their keys.

    `names` is empty where the title names nothing. `unknown` are the names that the knowledge base does not know,
    also a variety that `names` has only the species of.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class LabelReader:
    """Reads titles with a knowledge base, each title once."""

    def __init__(self, minerals: KnowledgeBase | None = None) -> None:
        self.minerals = minerals or KnowledgeBase.load()
        self._spellings = {
            spelling.key(given).replace(" ", "")
            for mineral in self.minerals
            for given in (mineral.name, mineral.en, mineral.es, *mineral.synonyms, *mineral.synonyms_es)
        }
        self._near: dict[str, tuple[str, ...]] = {}
        self._find = lru_cache(_REMEMBERED)(self._find_once)
        self.read = lru_cache(_REMEMBERED)(self._read)

    def near(self, name: str) -> tuple[str, ...]:
        """Known names near an unknown one, nearest first."""
        if name not in self._near:
            try:
                self._near[name] = (self.minerals.find(name).name,)
            except UnknownMineralError as error:
                self._near[name] = error.near
        return self._near[name]

    def _find_once(self, text: str) -> str | None:
        if not self._may_be_known(text):
            return None
        try:
            return self.minerals.find(text).name
        except UnknownMineralError:
            return None

    def _may_be_known(self, text: str) -> bool:
        """Whether any run of the text's words is a known spelling; a search for near matches takes milliseconds."""
        words = spelling.key(text).split()
        runs = [
            " ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + _MOST_WORDS, len(words)) + 1)
        ]
        runs.append(" ".join(reversed(spelling.parts(text))))
        return any(form.replace(" ", "") in self._spellings for run in runs for form in (run, *spelling.singulars(run)))

    def _read(self, title: str) -> Named:
        text = " ".join(title[:_LONGEST_TITLE].split()).strip(" ,;-")
        if not spelling.key(text):
            return Named(())
        if (name := self._find(text)) is not None:
            return Named((name,))
        pieces = _pieces(_PLACE.split(text, maxsplit=1)[0])
        if not pieces:  # it began with a dash: all of it is taken for a name
            pieces = [text]
        read = [self._one(piece) for piece in pieces]
        telling = [
            one for piece, one in zip(pieces, read, strict=True) if one.names[0] in self.minerals or _looks_like(piece)
        ]
        chosen = [one for one in telling or read[:1] if len(one.names[0]) <= _LONGEST_NAME]
        found = dict.fromkeys(name for one in chosen for name in one.names)
        unknown = dict.fromkeys(name for one in chosen for name in one.unknown)
        return Named(self._without_ancestors(found), tuple(unknown))

    def _one(self, piece: str) -> Named:
        """What one piece that holds a letter names: never nothing."""
        for tried in (piece, _SUFFIX.sub("", piece), _GROUP_END.sub(r" \1", piece)):
            if (name := self._find(tried)) is not None:
                return Named((name,))
        joined = [self._find(part) for part in piece.split("-")]
        if len(joined) > 1 and all(joined):  # "Azurite-Malachite"
            return Named(tuple(filter(None, joined)))
        parts = spelling.parts(piece)
        known = tuple(name for name in map(self._find, parts) if name is not None)
        if len(parts) > 1 and known:  # "Quartz (Var: Herkimer)", "Fluorite (Rogerley Mine)"
            return Named(known, tuple(part for part in parts if self._find(part) is None and _is_variety(piece, part)))
        # "Pyrochlore Supergroup (Var: Betafite)" is a betafite.
        key = next((part for part in reversed(parts) if _is_variety(piece, part)), "") or spelling.key(piece)
        return Named((key,), (key,))

    def _without_ancestors(self, found: Iterable[str]) -> tuple[str, ...]:
        kept = tuple(found)
        above = {up for name in kept if name in self.minerals for up in self.minerals.ancestors(name)[1:]}
        return tuple(name for name in kept if name not in above)


def _pieces(text: str) -> list[str]:
    """The text cut between names, but not inside brackets, where every bracket is closed."""
    whole = text.count("(") == text.count(")")
    pieces, start = [], 0
    for cut in _BETWEEN.finditer(text):
        before = text[: cut.start()]
        if not whole or before.count("(") == before.count(")"):
            pieces.append(text[start : cut.start()])
            start = cut.end()
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if spelling.key(piece)]


def _looks_like(piece: str) -> bool:
    """Whether an unknown piece looks like the name of a mineral rather than of a place."""
    root = spelling.key(_SUFFIX.sub("", piece.split("(", 1)[0].strip()))
    return (" " not in root and root.endswith("ite")) or _GROUP_END.search(root.replace(" ", "")) is not None


def _is_variety(piece: str, part: str) -> bool:
    """Whether `part` stands after the word "var" in `piece`."""
    key = spelling.key(piece)
    at = re.search(r"\bvar(?:iety|iedad)?\b", key)
    return at is not None and part in key[at.end() :]
