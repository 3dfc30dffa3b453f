"""images_processed/manifest.csv: what `handlens train` reads, with the rights of every photo."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from handlens.dataset.keys import drawn_key
from handlens.dataset.manifest import Row

__all__ = ["MANIFEST_COLUMNS", "fold_of", "with_manifest"]

_FOLDS: Final = 5

MANIFEST_COLUMNS: Final = (
    "file",  # below images_processed/
    "label",
    "group",
    "split",
    "fold",  # who photographed it, see `fold_of`
    "usable",  # "no" where the same picture carries another label elsewhere
    "prepared",  # the mode: what was done to the picture has to be done to every photo that a model is asked about
    "id",
    "also",
    "title",
    "url",
    "page",
    "author",
    "licence",
    "licence_url",
    "credit",
    "sha256",
    "width",
    "height",
    "box",
    "specimen_area",
)


def with_manifest(rows: Iterator[Row], file: BinaryIO, folder: str, mode: str) -> Iterator[Row]:
    """The rows as they come; those that are prepared are written to `file` on the way, named from `folder` on.

    `mode`: how they were prepared.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(MANIFEST_COLUMNS)
    for row in rows:
        if row.status == "prepared":
            values = _values(row, folder) | {"prepared": mode}
            writer.writerow([values[column] for column in MANIFEST_COLUMNS])
        yield row
    text.flush()
    text.detach()


def fold_of(row: Row) -> str:
    """Whose photos are left out together when a model is measured on photographers it has not seen.

    All photos of one author fall into one of five folds; where no author is known, the source of the configuration is
    taken for one photographer.
    """
    if row.author:
        return f"authors {drawn_key(0, row.author.casefold()) % _FOLDS + 1}"
    return Path(row.source).name if row.source else ""


def _values(row: Row, folder: str) -> dict[str, Any]:
    return {
        "file": str(PurePosixPath(row.processed or "").relative_to(folder)),
        "label": row.label,
        "group": row.group or row.id,
        "split": row.split,
        "fold": fold_of(row),
        "usable": "no" if row.conflicts else "yes",
        "id": row.id,
        "also": "; ".join(row.also),
        "title": row.title,
        "url": row.url,
        "page": row.page,
        "author": row.author,
        "licence": row.licence,
        "licence_url": row.licence_url,
        "credit": row.credit,
        "sha256": row.sha256,
        "width": row.width,
        "height": row.height,
        "box": " ".join(str(number) for number in row.box),
        "specimen_area": "" if row.specimen_area is None else f"{row.specimen_area:.6f}",
    }
