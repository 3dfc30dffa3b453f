"""Folders of drawn photos, and what a run makes of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from bundles import COLOURS


def jpeg(colour: tuple[int, int, int], seed: int = 0) -> bytes:
    """A picture of about one colour, with some noise so that no two are the same."""
    noise = np.random.default_rng(seed).integers(-6, 7, (48, 64, 3))
    rgb = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def contents(count: int) -> dict[str, bytes]:
    """Photos by name, in folders of the minerals whose colour they have."""
    names = list(COLOURS)
    made = {}
    for place in range(count):
        mineral = names[place % len(names)]
        made[f"{mineral}/{place:04d}.jpg"] = jpeg(COLOURS[mineral], place)
    return made


def folder(root: Path, count: int = 12) -> Path:
    """Writes `contents` below a new folder."""
    for name, content in contents(count).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def table(run: Path) -> list[dict[str, Any]]:
    """The rows of results.parquet."""
    rows: list[dict[str, Any]] = pq.read_table(run / "results.parquet").to_pylist()
    return rows


def documents(run: Path) -> list[dict[str, Any]]:
    """The objects of results.jsonl."""
    return [json.loads(line) for line in (run / "results.jsonl").read_text("ascii").splitlines()]
