"""Real photographs, where they are: injected copies are found, and one studio's background joins nothing."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import SHARED_PHOTOS
from handlens.dataset.check import check

from .drawn import cropped, downloaded, encoded, mirrored, resized

pytestmark = pytest.mark.real_photos


def test_injected_copies_are_found_and_nothing_chains(
    real_photos: Callable[[str, int], list[Path]], tmp_path: Path
) -> None:
    originals = real_photos("train", 150)
    photos = [(path.parent.name, path.read_bytes()) for path in originals]
    made: list[tuple[int, str]] = []
    for number, path in enumerate(originals):
        kind = ("resized", "encoded", "cropped", "mirrored")[number % 4]
        im = Image.open(path).convert("RGB")
        changed = {"resized": resized, "encoded": lambda im: im, "cropped": cropped, "mirrored": mirrored}[kind](im)
        photos.append((path.parent.name, encoded(changed, quality=60)))
        made.append((number, kind))
    workspace = downloaded(tmp_path / "set", photos)
    check(workspace)
    rows = list(workspace.rows("check"))
    hits: Counter[str] = Counter()
    for place, (number, kind) in enumerate(made):
        hits[kind] += rows[number].group == rows[len(originals) + place].group
    assert [hits[kind] for kind in ("resized", "encoded", "mirrored")] == [38, 38, 37]
    assert hits["cropped"] >= 0.9 * 37
    with (SHARED_PHOTOS / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        known = {line["file"]: line["group"] for line in csv.DictReader(lines)}
    groups: dict[str | None, set[str]] = {}
    for path, row in zip(originals, rows, strict=False):
        groups.setdefault(row.group, set()).add(known[path.relative_to(SHARED_PHOTOS).as_posix()])
    assert max(Counter(row.group for row in rows).values()) <= 4
    assert sum(len(found) > 1 for found in groups.values()) <= 1
    assert sum(row.reason is not None for row in rows) <= 6


def test_real_photos_pass_as_they_are(real_photos: Callable[[str, int], list[Path]], tmp_path: Path) -> None:
    photos = [(path.parent.name, path.read_bytes()) for path in real_photos("others", 100)]
    workspace = downloaded(tmp_path / "set", photos)
    summary = check(workspace)
    assert summary.checked >= 98
    rows = list(workspace.rows("check"))
    assert np.median([row.sharpness for row in rows if row.sharpness is not None]) > 0.6
    assert io.BytesIO(photos[0][1]).getvalue() == (workspace.root / str(rows[0].file)).read_bytes()
