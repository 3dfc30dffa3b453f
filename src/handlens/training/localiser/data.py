"""Photos with a teacher's mask, and which of them are held out together.

Origins, not photos, are held out: a network that is judged on a photo has seen none by the people and cameras of its
origin. `HoldOut` lists them. No group (one specimen, near-duplicates) lies in two origins; `hold_outs` makes sure.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.errors import HandlensError
from handlens.specimen import MASK_SIDE

__all__ = [
    "BadMasksError",
    "HoldOut",
    "MaskedPhoto",
    "hold_outs",
    "photos_digest",
    "read_masked_photos",
    "teacher_mask",
]

_COLUMNS: Final = ("file", "split", "group", "fold", "origin")
_NEVER: Final = "field"
_REST: Final = "rest"
_LARGE_ORIGINS: Final = {"afro523": ("afro523",), "wikimedia": ("wikimedia", "geodil-wikimedia")}
"""Half of all photos are of the fold `commons`. Its rarer labels (the split `others`) are judged origin by origin
instead, so that a network keeps enough to learn from."""


class BadMasksError(HandlensError):
    """The manifest or a mask of the training data cannot be used (`bad-masks`)."""

    code = "bad-masks"


@dataclass(frozen=True, slots=True)
class MaskedPhoto:
    """A photo and its teacher's mask. `fold` is that of its origin, whatever the split; see `read_masked_photos`."""

    path: Path
    mask: Path
    file: str
    split: str
    group: str
    origin: str
    fold: str


@dataclass(frozen=True, slots=True)
class HoldOut:
    """One network to train: `held_out` (n,) says which photos it may not see, `judged` which of them it answers."""

    name: str
    held_out: NDArray[np.bool_]
    judged: NDArray[np.bool_]


def read_masked_photos(manifest: Path, masks: Path) -> list[MaskedPhoto]:
    """The photos of `manifest` that have a mask below the folder `masks`; those of the split `field` never.

    The manifest is CSV with the columns `file` (below its folder), `split`, `group`, `fold` and `origin`. A photo
    without a fold gets the one in which its origin occurs, or "rest". Raises BadMasksError.
    """
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
                raise BadMasksError(f"{manifest}: the column {missing[0]!r} is missing")
            rows = [row for row in reader if row["split"] != _NEVER]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadMasksError(f"{manifest}: cannot be read: {error}") from error
    folds = {row["origin"]: row["fold"] for row in rows if row["fold"]}
    photos = []
    for row in rows:
        mask = (masks / row["file"]).with_suffix(".png")
        if mask.is_file():
            fold = row["fold"] or folds.get(row["origin"], _REST)
            path, group = manifest.parent / row["file"], row["group"] or row["file"]
            photos.append(MaskedPhoto(path, mask, row["file"], row["split"], group, row["origin"], fold))
    if not photos:
        raise BadMasksError(f"{masks}: there is no mask of any photo in {manifest}")
    return photos


def hold_outs(photos: Sequence[MaskedPhoto]) -> list[HoldOut]:
    """One for each fold, and one for each large origin among the photos without a fold of their own.

    Every photo is judged by exactly one. Raises BadMasksError where a group lies in two origins or folds.
    """
    origin, fold = np.array([photo.origin for photo in photos]), np.array([photo.fold for photo in photos])
    others = np.array([photo.split == "others" for photo in photos])
    where: dict[str, str] = {}
    for photo in photos:
        if where.setdefault(photo.group, photo.origin) != photo.origin:
            raise BadMasksError(f"{photo.file}: its group {photo.group!r} lies in two origins")
    if crossing := [name for name in sorted(set(origin.tolist())) if len(set(fold[origin == name])) > 1]:
        raise BadMasksError(f"the origin {crossing[0]!r} lies in two folds")
    by_origin = {name: others & np.isin(origin, members) for name, members in _LARGE_ORIGINS.items()}
    elsewhere = np.any(list(by_origin.values()), axis=0)
    plans = [HoldOut(name, fold == name, (fold == name) & ~elsewhere) for name in sorted(set(fold.tolist()))]
    plans += [HoldOut(name, np.isin(origin, _LARGE_ORIGINS[name]), judged) for name, judged in by_origin.items()]
    return [plan for plan in plans if plan.judged.any()]


def teacher_mask(photo: MaskedPhoto) -> NDArray[np.uint8]:
    """The mask, uint8 (128, 128), 0 background to 255 specimen. Raises BadMasksError."""
    try:
        with Image.open(photo.mask) as picture:
            mask = np.asarray(picture.convert("L"))  # some are stored with a palette of greys
    except (OSError, ValueError) as error:
        raise BadMasksError(f"{photo.mask}: cannot be read: {error}") from error
    if mask.shape != (MASK_SIDE, MASK_SIDE):
        raise BadMasksError(f"{photo.mask}: is {mask.shape}, not {(MASK_SIDE, MASK_SIDE)}")
    return mask


def photos_digest(photos: Sequence[MaskedPhoto]) -> str:
    """sha256 over the names of the photos and the bytes of their masks: says what a network was trained from."""
    state = hashlib.sha256()
    for photo in sorted(photos, key=lambda photo: photo.file):
        state.update(f"{photo.file}\t{hashlib.sha256(photo.mask.read_bytes()).hexdigest()}\n".encode())
    return state.hexdigest()
