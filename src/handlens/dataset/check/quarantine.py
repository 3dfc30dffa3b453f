"""images_odd/: photos set aside, as links of those in images/, with reasons.csv.

Nothing in images/ is touched. A link that an earlier run made and this one does not want is removed; a file that no run
made stays.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.dataset.check.journal import Journal
from handlens.dataset.files import link_or_copy, write_atomically
from handlens.dataset.manifest import Row
from handlens.dataset.workspace import Workspace

__all__ = ["COLUMNS", "SetAside", "rebuild"]

COLUMNS: Final = ("odd_file", "id", "label", "reason", "flags", "conflicts", "file", "url", "path", "detail")
"""Of reasons.csv; several flags or labels are joined with ";"."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row whose photo is set aside, and what the reader said of it."""

    row: Row
    detail: str | None

    @property
    def place(self) -> str:
        """Where the link is, below images_odd/: the reason and the name of the file in images/."""
        return f"{self.row.reason}/{Path(self.row.file or '').name}"


def rebuild(workspace: Workspace, journal: Journal, odd: Iterable[SetAside]) -> None:
    """Makes images_odd/ hold exactly these photos, whatever an earlier run left. Raises OSError."""
    odd = list(odd)
    wanted = {one.place: workspace.root / one.row.file for one in odd if one.row.file is not None}
    before = journal.set_aside()
    journal.will_set_aside(wanted.keys() - before)
    for place, source in wanted.items():
        target = workspace.odd / place
        # A photo may be missing in images/ itself, and that is why it is listed.
        if source.is_file() and not (target.is_file() and target.samefile(source)):
            link_or_copy(source, target)
    stale = before - wanted.keys()
    for place in stale:
        (workspace.odd / place).unlink(missing_ok=True)
    for folder in {(workspace.odd / place).parent for place in stale}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    journal.has_taken_back(stale)
    if odd or workspace.odd.is_dir():
        write_atomically(workspace.odd / "reasons.csv", _table(odd))


def _table(odd: Iterable[SetAside]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in odd:
        row = one.row
        flags, conflicts = ";".join(row.flags), ";".join(row.conflicts)
        values = one.place, row.id, row.label, row.reason, flags, conflicts, row.file, row.url, row.path, one.detail
        writer.writerow([_plain(value or "") for value in values])
    return text.getvalue()


def _plain(value: str) -> str:
    """A value that a spreadsheet takes for text and never for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
