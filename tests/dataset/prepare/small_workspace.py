"""A workspace of small drawn photos whose stages before `prepare` are done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from handlens.dataset.files import file_digest
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace

LABELS = ("quartz", "amethyst", "pyrite")


def photo(path: Path, seed: int, size: tuple[int, int] = (120, 90)) -> None:
    """A coloured disc on a backdrop."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, (90, 100, 120))
    red, green, blue = rng.integers(150, 255, 3).tolist()
    x, y = size[0] // 2, size[1] // 2
    ImageDraw.Draw(picture).ellipse((x - 30, y - 25, x + 30, y + 25), fill=(red, green // 2, blue // 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=90)


def kept_rows(root: Path, count: int) -> list[Row]:
    rows = []
    for number in range(count):
        identity = hashlib.sha256(f"photo {number}".encode()).hexdigest()[:16]
        file = f"images/{identity[:2]}/{identity}.jpg"
        photo(root / file, number)
        rows.append(
            Row(
                identity,
                LABELS[number % 3],
                "kept",
                url=f"https://example.org/{number}.jpg",
                author="A. Author",
                licence="CC BY 4.0",
                source="own",
                file=file,
                sha256=file_digest(root / file),
                width=120,
                height=90,
                group=f"g{number // 2}",
                split=("train", "validation", "train", "test")[number // 2 % 4],
            )
        )
    return rows


def workspace_of(root: Path, rows: Iterable[Row]) -> Workspace:
    workspace = Workspace(root)
    workspace.write(rows, TableInfo("split", {}))
    return workspace


def small_workspace(root: Path, count: int = 8) -> Workspace:
    """`count` rows kept, and one before and one after them that are not."""
    rows = kept_rows(root, count)
    cut = replace(rows[0], id="0" * 16, status="unused", reason="label-full", split=None)
    missed = Row("1" * 16, "galena", "failed", reason="http-404")
    return workspace_of(root, [cut, *rows, missed])
