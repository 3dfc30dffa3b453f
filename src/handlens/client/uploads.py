"""Photos and parameters of a call → parts of a form. Photos are read here, and decoded by the service only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from handlens.errors import UsageError
from handlens.evidence import Evidence, Gravity, Hardness
from handlens.identifier import MOST_PHOTOS
from handlens.minerals import KnowledgeBase
from handlens.photo import DEFAULT_LIMITS, BadArrayError, Crop, PhotoError
from handlens.photo_source import check_bytes, default_name, path_bytes, stream_bytes

__all__ = ["ClientPhoto", "Upload", "among_text", "crop_text", "evidence_fields", "groups", "read", "read_specimen"]

ClientPhoto = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A path, the bytes of a file, or an open binary file."""

_LONGEST_NAME: Final = 150
_FIELDS: Final = ("hardness", "streak", "gravity")
_PART_HEAD: Final = 2048
"""More bytes than a form adds to a photo: its boundary, headers and name."""
_DECIMALS: Final = 4
"""Digits after the point that the service takes of a measured value."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The bytes of one photo file, and what the service is told that it is called."""

    name: str
    data: bytes


def read(photo: ClientPhoto, name: str | None = None) -> Upload:
    """The photo's bytes. Raises the PhotoError of `handlens.photo.read_photo` where there are none to have."""
    known = name or default_name(photo)
    most = DEFAULT_LIMITS.max_bytes
    if isinstance(photo, bytes | bytearray | memoryview):
        check_bytes(memoryview(photo).nbytes, known, most)
        data = bytes(photo)
    elif isinstance(photo, str | os.PathLike):
        data = path_bytes(photo, known, most)
    elif hasattr(photo, "read"):
        data = stream_bytes(photo, known, most)
    else:
        raise BadArrayError(known, "A photo is a path, bytes or a binary file.")
    return Upload(_sent_name(known), data)


def read_specimen(photos: ClientPhoto | Sequence[ClientPhoto], name: str | Sequence[str] | None) -> list[Upload]:
    """The photos of one specimen, given alone or as a list or tuple. Raises PhotoError, UsageError."""
    some: Sequence[ClientPhoto] = photos if isinstance(photos, list | tuple) else (photos,)
    if not 1 <= len(some) <= MOST_PHOTOS:
        raise UsageError(f"{len(some)} photos: one specimen has 1 to {MOST_PHOTOS}")
    names: Sequence[str | None] = [None] * len(some) if name is None else (name,) if isinstance(name, str) else name
    if len(names) != len(some):
        raise UsageError(f"{len(names)} names for {len(some)} photos")
    return [read(photo, its) for photo, its in zip(some, names, strict=True)]


def groups(photos: Iterable[ClientPhoto], most_photos: int, most_bytes: int) -> Iterator[list[Upload | PhotoError]]:
    """The photos in their order, in groups of so many photos and bytes of a form at most; in place of one that cannot
    be read its error. A photo that is too large for a group is one of its own: the service says what is wrong.
    """
    group: list[Upload | PhotoError] = []
    size = 0
    for photo in photos:
        one: Upload | PhotoError
        try:
            one = read(photo)
        except PhotoError as error:
            one = error
        more = len(one.data) + _PART_HEAD if isinstance(one, Upload) else 0
        if group and (len(group) >= most_photos or size + more > most_bytes):
            yield group
            group, size = [], 0
        group.append(one)
        size += more
    if group:
        yield group


def _sent_name(name: str) -> str:
    """The base name, as far as it can be printed: bytes that are no UTF-8, which a path can have, cannot be sent."""
    base = re.split(r"[/\\]", name)[-1]
    return "".join(one for one in base if one.isprintable()).strip()[:_LONGEST_NAME] or "photo"


def among_text(among: Sequence[str]) -> str:
    """The field `among`. Never blank, which would be all labels where none was named.

    A comma parts names there, so a name with one ("quartz, smoky") is looked up here. Raises UnknownMineralError.
    """
    names = (among,) if isinstance(among, str) else among
    return ",".join(KnowledgeBase.load().find(one).name if "," in one else one for one in names).strip() or ","


def crop_text(crop: Crop) -> str:
    """The field `crop`."""
    return f"{crop.x},{crop.y},{crop.width},{crop.height}"


def evidence_fields(evidence: Evidence | Mapping[str, str]) -> dict[str, str | list[str]]:
    """The fields `hardness`, `streak`, `gravity` and `test`, as far as there are any."""
    texts = dict(evidence) if isinstance(evidence, Mapping) else _texts(evidence)
    given = {name: text for name, text in texts.items() if text.strip()}
    fields: dict[str, str | list[str]] = {name: given.pop(name) for name in _FIELDS if name in given}
    if given:
        fields["test"] = [f"{name}={text}" for name, text in given.items()]
    return fields


def _texts(evidence: Evidence) -> dict[str, str]:
    measured = {"hardness": evidence.hardness, "gravity": evidence.gravity}
    return evidence.as_dict() | {name: _measured(one) for name, one in measured.items() if one is not None}


def _measured(one: Hardness | Gravity) -> str:
    low, high, sd = (f"{round(value, _DECIMALS):g}" for value in (one.low, one.high, one.sd))
    return f"{low}±{sd}" if one.low == one.high else f"{low}-{high}"
