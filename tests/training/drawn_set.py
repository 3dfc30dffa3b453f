"""A tiny data set of drawn pictures: coloured shapes under the names of minerals, for training in seconds.

Three folds draw on different backdrops, as different photographers would; some groups have two pictures of one shape.
Nothing in it looks like a mineral, and no figure measured on it means anything.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["LABELS", "NO_MINERAL", "DrawnSet", "draw", "draw_set"]

NO_MINERAL = "drawn zigzag"
"""A label that the knowledge base does not know."""
LABELS = {
    "quartz": ("triangle", (210, 235, 250)),
    "almandine": ("disc", (170, 30, 40)),
    NO_MINERAL: ("zigzag", (20, 120, 60)),
    "calcite": ("square", (235, 215, 120)),
    "amethyst": ("hexagon", (130, 60, 190)),
}
"""Shape and colour of every label, not in alphabetical order."""
_BACKDROPS = {"ann": (90, 90, 95), "ben": (40, 60, 90), "cleo": (120, 105, 90)}
_SIDES = {"square": 4, "hexagon": 6, "triangle": 3}
_COLUMNS = ("file", "label", "group", "split", "fold", "usable", "remark")


@dataclass(frozen=True)
class DrawnSet:
    """`manifest` lists `train` readable photos to train on, `field` field photos and the one `broken` file."""

    manifest: Path
    train: int
    unusable: int
    field: int
    broken: str


def draw(label: str, fold: str, seed: int) -> Image.Image:
    """One picture, 320 x 240: the label's shape, a little moved, turned and tinted by `seed`."""
    shape, colour = LABELS[label]
    rng = np.random.default_rng(seed)
    pixels = np.full((240, 320, 3), _BACKDROPS[fold], np.int16) + rng.integers(-6, 7, (240, 320, 3))
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    x, y = 160 + int(rng.integers(-25, 26)), 120 + int(rng.integers(-15, 16))
    radius, turn = int(rng.integers(62, 84)), rng.uniform(0, math.pi)
    red, green, blue = (int(part) for part in np.clip(np.array(colour) + rng.integers(-12, 13, 3), 0, 255))
    pen = ImageDraw.Draw(picture)
    if shape == "disc":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(red, green, blue))
    elif shape == "zigzag":
        points = [(x - radius + 14 * step, y + (radius if step % 2 else -radius)) for step in range(12)]
        pen.line(points, fill=(red, green, blue), width=9)
    else:
        sides = _SIDES[shape]
        angles = [turn + 2 * math.pi * corner / sides for corner in range(sides)]
        pen.polygon(
            [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles], fill=(red, green, blue)
        )
    return picture


def draw_set(folder: Path) -> DrawnSet:
    """Draws the set below `folder`: two pictures a label and fold, some unusable ones, a broken file, and the field."""
    rows: list[tuple[str, ...]] = []

    def add(label: str, fold: str, seed: int, group: str, *, split: str = "train", usable: str = "yes") -> None:
        file = f"{split}/{label}/{seed:03d}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        draw(label, fold, seed).save(folder / file)
        rows.append((file, label, group, split, fold, usable, ""))

    seed = 0
    for label in LABELS:
        for fold in _BACKDROPS:
            # Ann shows every specimen twice.
            for number in range(2):
                add(label, fold, seed, f"{label}-{fold}" if fold == "ann" else f"{label}-{fold}-{number}")
                seed += 1
    train = len(rows)
    for label in ("quartz", "calcite"):
        add(label, "ben", seed, f"{label}-polished", usable="no")
        seed += 1
    broken = "train/quartz/broken.png"
    (folder / broken).write_bytes((folder / rows[0][0]).read_bytes()[:200])
    rows.append((broken, "quartz", "quartz-broken", "train", "ben", "yes", "cut short"))
    for label in LABELS:
        add(label, "cleo", seed, f"{label}-field", split="field")
        seed += 1
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
    return DrawnSet(manifest, train + 2, 2, len(LABELS), broken)
