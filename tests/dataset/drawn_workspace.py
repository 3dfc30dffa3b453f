"""A workspace of drawn pictures with rows of every fate, hostile names among them, and trees of drawn pictures."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handlens.dataset.manifest import Row, TableInfo, write_rows
from handlens.dataset.workspace import Workspace

__all__ = ["HOSTILE", "draw", "drawn_rows", "drawn_tree", "drawn_workspace"]

HOSTILE = (
    '<script>alert("label")</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "]]></script><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
    "&lt;b&gt; &amp;",
    "https://evil.example/x.png",
    "\u202egnp.exe\u2066",
    "../../etc/passwd",
)
"""Labels, authors and the like as a list from outside may hold them."""


def draw(path: Path, number: int, size: tuple[int, int] = (120, 90)) -> None:
    """A picture of coloured noise that no other number gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)


def drawn_rows(root: Path) -> list[Row]:
    """Rows whose files are drawn below `root`: of each status, in three splits, two broken and one missing."""
    rows = []
    labels = ("quartz", "calcite", "fluorite", *HOSTILE)
    for number in range(60):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        file = f"images/{sha256[:2]}/{sha256}.png"
        draw(root / file, number)
        label = labels[number % 3] if number < 40 else labels[number % len(labels)]
        split = ("train", "train", "validation", "test")[number % 4]
        processed = f"images_processed/{split}/{label if label.isalpha() else 'odd'}/{sha256[:16]}.png"
        draw(root / processed, number, (32, 32))
        rows.append(
            Row(
                sha256[:16], label, "prepared", title=label.title(), url=f"https://photos.example/{number}.png",
                author=HOSTILE[number % len(HOSTILE)], licence=("CC BY 4.0", None, HOSTILE[0])[number % 3],
                licence_url="https://creativecommons.org/licenses/by/4.0/" if number % 3 == 0 else None, file=file,
                sha256=sha256, bytes=(root / file).stat().st_size, fetched_at="2026-01-02T03:04:05Z", format="PNG",
                width=120, height=90, sharpness=number / 60, brightness=0.5, contrast=0.25, text=0.0,
                colour=(0.2 + number / 100, 0.4, 0.6), group=f"g{number // 2}", split=split, processed=processed,
            )
        )  # fmt: skip
    plain: dict[str, Any] = {"split": None, "processed": None}
    rows[3] = dataclasses.replace(rows[3], status="odd", reason="blurred", flags=("blurred", "dark"), **plain)
    rows[4] = dataclasses.replace(rows[4], status="odd", reason=HOSTILE[1], flags=(HOSTILE[1],), **plain)
    rows[5] = dataclasses.replace(rows[5], status="duplicate", duplicate_of=rows[2].id, **plain)
    rows[6] = dataclasses.replace(rows[6], status="unused", **plain)
    rows[7] = dataclasses.replace(rows[7], conflicts=("calcite", HOSTILE[0]))
    unmeasured: dict[str, Any] = {
        "file": None,
        "width": None,
        "height": None,
        "colour": (),
        "bytes": None,
        "sharpness": None,
    }
    rows[8] = dataclasses.replace(rows[8], status="failed", reason="http-404", **unmeasured, **plain)
    rows[9] = dataclasses.replace(rows[9], status="refused", reason="robots", **unmeasured, **plain)
    (root / str(rows[10].file)).write_bytes(b"\x89PNG\r\n\x1a\n no more")
    (root / str(rows[11].file)).unlink()
    return rows


def drawn_workspace(root: Path, rows: Iterable[Row] | None = None) -> Workspace:
    """A workspace whose manifest has `rows`, by default `drawn_rows`."""
    workspace = Workspace(root)
    info = TableInfo("prepare", {"side": 32})
    write_rows(workspace.manifest, drawn_rows(root) if rows is None else rows, info)
    return workspace


def drawn_tree(root: Path, *files: str) -> Path:
    """A tree of drawn pictures with these paths."""
    for number, file in enumerate(files):
        draw(root / file, 1000 + number)
    return root
