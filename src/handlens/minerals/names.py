"""What people type, reduced to something that can be looked up.

Pure functions on text; nothing here knows a mineral. `key` makes one spelling of many, `parts` takes apart
labels that name a mineral and its variety together, and `singulars`, `without_group_word` and `cuts` give the
second tries. The work is done with string methods: compiling patterns would cost every start of the command
line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

_APOSTROPHES: Final = dict.fromkeys(map(ord, "'`´‘’ʼ′"))
_SEPARATORS: Final = {ord(mark): "\n" for mark in "()[]{}<>,;:/|=+&"}
_VARIETY_WORDS: Final = frozenset({"var", "variety", "variedad"})
_GROUP_WORDS: Final = frozenset({"group", "supergroup", "subgroup", "series", "grupo", "supergrupo", "serie"})
_LINK_WORDS: Final = frozenset({"of", "the", "de", "del", "la", "las", "el", "los"})


def key(text: str) -> str:
    """One spelling of a name: no accents, no capitals, words of letters and digits, single spaces between.

    Apostrophes vanish ("fool's" becomes "fools"); every other mark, hyphens and underscores included, parts
    words. Text without a letter or digit gives "".
    """
    text = text.translate(_APOSTROPHES)
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())


def parts(text: str) -> tuple[str, ...]:
    """The names a label is made of, as keys, in the order typed.

    "Quartz (Var: Amethyst)" gives ("quartz", "amethyst"), "amethyst variety of quartz" gives ("amethyst",
    "quartz"), "var. amethyst" gives ("amethyst",). Brackets, commas, colons, slashes and the words for
    "variety" part the names.
    """
    found: list[str] = []
    for chunk in text.translate(_SEPARATORS).split("\n"):
        names: list[list[str]] = [[]]
        for word in key(chunk).split():
            if word in _VARIETY_WORDS:
                names.append([])
            else:
                names[-1].append(word)
        # Links ("variety of quartz") go only after such a word: the "(la)" of monazite-(La) is no article.
        kept = [names[0], *map(_without_leading_links, names[1:])]
        found += [" ".join(words) for words in kept if words]
    return tuple(found)


def cuts(name: str) -> Iterator[tuple[str, str]]:
    """Every way to take the key `name` for two names: "almandine garnet" gives ("almandine", "garnet")."""
    words = name.split()
    for place in range(1, len(words)):
        yield " ".join(words[:place]), " ".join(words[place:])


def singulars(name: str) -> Iterator[str]:
    """The keys `name` could be a plural of, English or Spanish, likeliest first; none need be a word."""
    words = name.split()
    for ending, replacement in (("s", ""), ("ies", "y"), ("es", "")):
        tried = " ".join(
            word[: -len(ending)] + replacement if word.endswith(ending) and len(word) > len(ending) + 2 else word
            for word in words
        )
        if tried != name:
            yield tried


def without_group_word(name: str) -> str | None:
    """What stands beside a word for "group" or "series" in the key `name`; None without such a word."""
    words = name.split()
    kept = [word for word in words if word not in _GROUP_WORDS]
    if len(kept) == len(words):
        return None
    return " ".join(_without_leading_links(kept)) or None


def _without_leading_links(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) and words[start] in _LINK_WORDS:
        start += 1
    return words[start:]
