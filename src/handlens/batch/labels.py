"""Comparing answers with the labels that the photos came with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from handlens.decision import UNKNOWN
from handlens.minerals import KnowledgeBase

__all__ = ["Labels"]


class Labels:
    """The bundle's labels and the tree of minerals; knows when two names do not contradict each other."""

    def __init__(self, labels: Sequence[str], minerals: KnowledgeBase) -> None:
        self.names = tuple(labels)
        self._minerals = minerals
        self._places = {label: place for place, label in enumerate(labels)}
        self.canonical = lru_cache(4096)(self._canonical)

    def _canonical(self, text: str) -> str | None:
        """The canonical name of what somebody wrote, None where it is no mineral that is known."""
        if text in self._places:
            return text
        found = self._minerals.meant(text)
        return None if found is None else found.name

    @property
    def known(self) -> tuple[str, ...]:
        """All canonical names that there are, sorted: those of the bundle and of the knowledge base."""
        return tuple(sorted({*self.names, *(mineral.name for mineral in self._minerals)}))

    def place(self, text: str) -> int | None:
        """The place of a label among the bundle's, None where it is none of them."""
        name = self.canonical(text) if text else None
        return None if name is None else self._places.get(name)

    def related(self, first: str, second: str) -> bool:
        """Whether two canonical names are the same or one is above the other, as quartz is above amethyst."""
        return first == second or first in self._above(second) or second in self._above(first)

    def agrees(self, label: str, name: str) -> bool | None:
        """Whether a label and the name in an answer do not contradict each other.

        None where there is nothing to compare: no label, one that is no mineral, or the answer "unknown".
        """
        canonical = self.canonical(label) if label else None
        return None if canonical is None or name == UNKNOWN else self.related(canonical, name)

    def _above(self, name: str) -> tuple[str, ...]:
        return self._minerals.ancestors(name) if name in self._minerals else (name,)
