"""Which photos of a list were taken of one specimen or sent in one upload, as far as their addresses tell.

A split never cuts a group, so a group that is too wide costs a little variety between the splits, and one that is too
narrow lets a model be judged on a specimen that it has learnt. Only these rules are used:

Columns
    A `group` column wins over every rule.
MinDat's addresses (`/photos/183/11/018311500972577101.jpg`)
    The name ends in the second of the upload. Contributors send a series one after the other, some two minutes
    apart, so photos of one clock hour are one group. Older names (`au00002.jpg`) tell nothing.
Wikimedia Commons (`Amazonite_(Crystal_Peak)_2_(33361793574).jpg`)
    The name without extension, Flickr number, and a running number of one to three digits; collectors' codes lose
    their last letter (`Augite-mrz282a`, `Augite-mrz282b`). With the author where it is known; without, only names of
    three or more words, because `Calcite 1` and `Calcite 2` of unknown authors need have nothing in common.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from handlens.dataset.listing import Entry

__all__ = ["group_of"]

_MINDAT: Final = re.compile(r"https?://(?:www\.)?mindat\.org/photos/\d{3}/\d{2}/\d{7}0(\d{10})\.\w+")
_COMMONS: Final = re.compile(r"https?://upload\.wikimedia\.org/[^?#]*/([^/?#]+)(?:[?#].*)?")
_EXTENSION: Final = re.compile(r"\.\w{2,5}$")
_WIDTH: Final = re.compile(r"^\d+px-")  # of a file that Commons has scaled down
_FLICKR: Final = re.compile(r"\(\d{6,}\)$")
_CODE: Final = re.compile(r"(?<=[-_ ])([a-z]{0,4}\d+)[a-z]$", re.IGNORECASE)
_RUNNING: Final = re.compile(r"(?:(?<=\D)\d{1,3}|\(\d{1,3}\)|(?<=[-_ ])[a-z])$", re.IGNORECASE)
_MARKS: Final = " -_.,;"
_FEWEST_WORDS: Final = 3


def group_of(entry: Entry) -> str | None:
    """A name that photos of one specimen or upload share; None where the source tells nothing."""
    if entry.group:
        return f"{entry.source}: {entry.group}"
    if entry.url is None:
        return None
    if (match := _MINDAT.fullmatch(entry.url)) is not None:
        return f"mindat.org hour {int(match[1]) // 3600}"
    if (match := _COMMONS.fullmatch(entry.url)) is not None:
        return _of_file_name(unquote(match[1]), entry.author)
    return None


def _of_file_name(name: str, author: str | None) -> str | None:
    stem = _EXTENSION.sub("", _WIDTH.sub("", name)).replace("_", " ").strip(_MARKS)
    stem = _FLICKR.sub("", stem).strip(_MARKS)
    code = _CODE.search(stem)
    stem = stem[: code.end(1)] if code else _RUNNING.sub("", stem).strip(_MARKS)
    words = [word for word in re.split(r"[\W_]+", stem) if word]
    if not words or (author is None and len(words) < _FEWEST_WORDS):
        return None
    return f"commons {author or ''}: {' '.join(words).casefold()}"
