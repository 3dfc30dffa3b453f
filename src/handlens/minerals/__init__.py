"""The knowledge base: which minerals there are, what stands under what, and what people call them."""

from __future__ import annotations

from handlens.minerals.knowledge import (
    KnowledgeBase,
    KnowledgeBaseError,
    Language,
    Mineral,
    Rank,
    UnknownMineralError,
)

__all__ = ["KnowledgeBase", "KnowledgeBaseError", "Language", "Mineral", "Rank", "UnknownMineralError"]
