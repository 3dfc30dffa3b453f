"""What the report says of statuses and fates, in plain English."""

from __future__ import annotations

from typing import Final

__all__ = ["FATE_WORDS", "STATUS_WORDS"]

FATE_WORDS: Final = {
    "in": "in the data set",
    "unused": "cut by balancing",
    "duplicate": "duplicates",
    "odd": "set aside",
    "missing": "not fetched",
}

STATUS_WORDS: Final = {
    "listed": "selected; not fetched yet, or a photo of the folder",
    "fetched": "fetched; not checked yet",
    "refused": "not fetched: a rule forbids it",
    "failed": "asked for and not got",
    "odd": "set aside by check",
    "duplicate": "the same picture as another row, which stays",
    "checked": "nothing against it",
    "unused": "cut, so that no label is too large",
    "kept": "in the data set",
    "prepared": "in the data set and ready to train from",
    "unprepared": "could not be prepared, and so is left out",
}
