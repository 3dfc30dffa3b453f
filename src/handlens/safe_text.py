"""Making foreign text (file names, labels) safe to print and to put into CSV."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["csv_cell", "terminal"]

# Control, format (bidirectional overrides among them), surrogate, private-use, line and paragraph separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_UNSAFE_IN_CSV: Final = frozenset({"Cc", "Cs"})
_KEPT_IN_CSV: Final = frozenset("\n\t")
_FORMULA: Final = ("=", "+", "-", "@", "\t")


def terminal(text: str) -> str:
    """`text` with every character that could steer a terminal written as an escape."""
    return "".join(
        character.encode("unicode_escape").decode("ascii") if unicodedata.category(character) in _UNSAFE else character
        for character in text
    )


def csv_cell(text: str) -> str:
    """`text` as a CSV cell that no spreadsheet takes for a formula: one that begins like one gets an apostrophe.

    Control characters but tab and line feed are written as escapes: a carriage return would end the row for some
    readers. Source: OWASP, "CSV Injection".
    """
    safe = "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNSAFE_IN_CSV and character not in _KEPT_IN_CSV
        else character
        for character in text
    )
    return f"'{safe}" if safe.startswith(_FORMULA) else safe
