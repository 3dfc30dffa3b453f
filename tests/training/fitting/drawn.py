"""Drawn photos as a training takes them."""

from __future__ import annotations

from pathlib import Path

from handlens.training.fitting.pictures import Pictures, read_pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.samples import read_samples, with_split
from training.drawn_set import draw_set

__all__ = ["SMALL", "small_pictures"]

SMALL = FitSettings(network="cnn-2", side=32, epochs=4, batch=8, seed=3)
"""A training of seconds."""


def small_pictures(folder: Path) -> Pictures:
    """The readable drawn photos at 32 pixels."""
    drawn = draw_set(folder / "drawn")
    samples = with_split(read_samples(drawn.manifest), "train")
    return read_pictures(samples, SMALL.preprocessing, folder / "pictures", quiet=True)
