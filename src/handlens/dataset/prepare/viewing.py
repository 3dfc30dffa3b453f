"""images_samples/<label>/: some photos of each label as they were downloaded, for looking at."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable
from pathlib import PurePosixPath

from handlens.dataset.files import file_digest, write_atomically
from handlens.dataset.folders import LinkTree
from handlens.dataset.keys import drawn_key
from handlens.dataset.manifest import Row
from handlens.dataset.workspace import Workspace

__all__ = ["samples"]


def samples(workspace: Workspace, per_label: int = 20, seed: int = 0) -> int:
    """Links `per_label` (0 or more) prepared photos of each label, drawn by `seed`; returns how many there are.

    They come from the table of `prepare`. The folder is made anew where that table or a parameter has changed since.
    Raises MissingStageError, OSError for a photo that is not there.
    """
    drawn = _drawn(workspace.rows("prepare"), per_label, seed)
    record = workspace.stages / "samples.json"
    asked = {"per_label": per_label, "seed": seed, "table": file_digest(workspace.table("prepare"))}
    told = json.dumps(asked, sort_keys=True)
    if not (workspace.samples.is_dir() and record.is_file() and record.read_text(encoding="utf-8") == told):
        tree = LinkTree(workspace.samples)
        for label, photos in drawn.items():
            for identity, file in photos:
                tree.add(label, identity + PurePosixPath(file).suffix, workspace.root / file)
        tree.commit()
        write_atomically(record, told)
    return sum(map(len, drawn.values()))


def _drawn(rows: Iterable[Row], per_label: int, seed: int) -> dict[str, list[tuple[str, str]]]:
    """Id and file of the photos of each label whose drawn keys are smallest."""
    smallest: dict[str, list[tuple[int, str, str]]] = {}
    for row in rows:
        if row.status == "prepared" and row.file and per_label:
            heap = smallest.setdefault(row.label, [])
            # The heap gives up its smallest, hence the sign.
            entry = (-drawn_key(seed, row.id), row.id, row.file)
            if len(heap) < per_label:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)
    return {label: [(identity, file) for _, identity, file in heap] for label, heap in smallest.items()}
