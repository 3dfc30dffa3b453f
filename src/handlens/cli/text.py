"""Making foreign text (file names, labels) safe to print and to put into CSV."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["csv_cell", "terminal"]

# Control, format (bidirectional overrides among them), surrogate, private-use, line and paragraph separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def terminal(text: str) -> str:
    """`text` with every character that could steer a terminal written as an escape."""
    return "".join(
        character.encode("unicode_escape").decode("ascii") if unicodedata.category(character) in _UNSAFE else character
        for character in text
    )


def csv_cell(text: str) -> str:
    """`text` as a CSV cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe.

    Source: OWASP, "CSV Injection".
    """
    safe = "".join(
        character.encode("unicode_escape").decode("ascii") if unicodedata.category(character) == "Cs" else character
        for character in text
    )
    return f"'{safe}" if safe.startswith(_FORMULA) else safe
