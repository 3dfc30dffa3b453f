"""What ends a run against the API; what is wrong with one photo is a row of the list of those left out."""

from __future__ import annotations

from typing import ClassVar

from handlens.dataset.errors import DatasetError

__all__ = ["CommonsError"]


class CommonsError(DatasetError):
    """Wikimedia Commons cannot be asked, or gives an answer that makes no sense (`commons-failed`).

    Labels that were finished before are kept: the same command goes on after them.
    """

    code: ClassVar[str] = "commons-failed"
