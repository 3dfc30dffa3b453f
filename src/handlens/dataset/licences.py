"""Licences by family: what a source's own short name and address of a licence amount to."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["FAMILIES", "FREE", "family_of", "needs_author"]

FAMILIES: Final = ("cc0", "public-domain", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa", "cc-by-nd", "cc-by-nc-nd")
"""What `family_of` tells apart, of any version and jurisdiction."""

FREE: Final = ("cc0", "public-domain", "cc-by", "cc-by-sa")
"""Families that allow changes and any use; the last two ask for the author's name, the last for the same licence."""

_PUBLIC: Final = re.compile(r"(?:pd|public domain|no restrictions|no known copyright restrictions|pdm)\b")
_ADDRESS: Final = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z0-9-]+)")
_PARTS: Final = ("by", "nc", "nd", "sa")


def family_of(name: str | None, url: str | None = None) -> str | None:
    """The family of a licence from its short name ("CC BY-SA 3.0 de", "Public domain") and address.

    None where it is none of `FAMILIES`, unknown, or where name and address contradict each other.
    """
    by_name, by_url = _from_name(name or ""), _from_url(url or "")
    if by_name and by_url and {by_name, by_url} != {by_name} and {by_name, by_url} != {"cc0", "public-domain"}:
        return None
    return by_name or by_url


def needs_author(family: str) -> bool:
    """Whether a licence of this family can be kept only by naming the author."""
    return family.startswith("cc-by")


def _from_name(name: str) -> str | None:
    words = " ".join(re.sub(r"[\s_-]+", " ", name.casefold()).split())
    if re.match(r"(?:cc ?0|cc zero|creative commons zero)\b", words):
        return "cc0"
    if _PUBLIC.match(words):
        return "public-domain"
    match = re.match(r"(?:cc|creative commons)((?: (?:by|nc|nd|sa|attribution|sharealike|share alike))+)\b", words)
    if match is None:
        return None
    said = match[1].replace("attribution", "by").replace("sharealike", "sa").replace("share alike", "sa").split()
    return _joined(set(said))


def _from_url(url: str) -> str | None:
    match = _ADDRESS.search(url.casefold())
    if match is None:
        return None
    if match[1] == "publicdomain":
        return "cc0" if match[2] == "zero" else "public-domain"
    return _joined(set(match[2].split("-")))


def _joined(parts: set[str]) -> str | None:
    name = "-".join(("cc", *(part for part in _PARTS if part in parts)))
    return name if name in FAMILIES and parts <= set(_PARTS) else None
