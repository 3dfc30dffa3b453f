"""Draws the example pictures beside this file: no photographs, for people without a specimen's photo at hand.

    python examples/draw.py

What a classifier of real photographs says about a drawing is no measure of it.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
Colour = tuple[int, int, int]


def shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (max(0, min(255, round(part * factor))) for part in colour)
    return red, green, blue


def backdrop(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), gradient)


def prism(
    draw: ImageDraw.ImageDraw, foot: tuple[float, float], height: float, width: float, lean: float, colour: Colour
) -> None:
    """A six-sided crystal seen from the side: three visible faces and its pointed end."""
    x, y = foot
    tip = (x + math.sin(lean) * height, y - math.cos(lean) * height)
    shoulder = 0.72
    along = ((tip[0] - x) * shoulder, (tip[1] - y) * shoulder)
    offsets = (-0.5, -0.18, 0.22, 0.5)
    for left, right, light in zip(offsets, offsets[1:], (0.75, 1.25, 0.95), strict=False):
        low = [(x + left * width, y), (x + right * width, y)]
        high = [(px + along[0], py + along[1]) for px, py in low]
        draw.polygon([*low, high[1], high[0]], fill=shade(colour, light))
        draw.polygon([high[0], high[1], tip], fill=shade(colour, light * 1.15))


def amethyst() -> Image.Image:
    rng = random.Random(3)
    picture = backdrop((640, 480), (235, 232, 226), (190, 186, 180))
    draw = ImageDraw.Draw(picture)
    rock = [(110, 400), (150, 330), (260, 300), (400, 305), (510, 340), (545, 405), (420, 440), (220, 440)]
    draw.polygon(rock, fill=(120, 112, 105))
    for _ in range(46):
        x = rng.uniform(160, 500)
        height, lean = rng.uniform(70, 190), rng.uniform(-0.5, 0.5) + (x - 330) / 500
        prism(draw, (x, rng.uniform(330, 400)), height, rng.uniform(24, 50), lean, (128, 72, 176))
    return picture


def pyrite() -> Image.Image:
    rng = random.Random(5)
    picture = backdrop((640, 480), (52, 54, 60), (28, 29, 33))
    draw = ImageDraw.Draw(picture)
    for x, y, edge in ((210, 250, 120), (340, 290, 140), (300, 180, 90), (440, 220, 80), (170, 350, 70)):
        depth, colour = edge * 0.45, (196, 168, 92)
        front = [(x, y), (x + edge, y), (x + edge, y + edge), (x, y + edge)]
        draw.polygon(front, fill=colour)
        draw.polygon(
            [(x, y), (x + depth, y - depth), (x + edge + depth, y - depth), (x + edge, y)], fill=shade(colour, 1.25)
        )
        side = [
            (x + edge, y),
            (x + edge + depth, y - depth),
            (x + edge + depth, y + edge - depth),
            (x + edge, y + edge),
        ]
        draw.polygon(side, fill=shade(colour, 0.7))
        for _ in range(12):
            line = y + rng.uniform(4, edge - 4)
            draw.line([(x, line), (x + edge, line)], fill=shade(colour, rng.uniform(0.85, 1.1)))
    return picture


def main() -> None:
    for name, drawn in (("drawn-amethyst", amethyst()), ("drawn-pyrite", pyrite())):
        ImageDraw.Draw(drawn).text(
            (8, 8), "drawn by examples/draw.py: no photograph", (110, 110, 110), ImageFont.load_default()
        )
        drawn.save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
