"""What passes between the rooms of a batch run: where photos are, what is asked of them, what came out.

Nothing here imports more than the standard library: worker processes and the nodes of a cluster have these too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Answer", "Asked", "Failure", "Listed", "Outcome", "PhotoRef", "Unit", "crashed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every answer of a run is asked with. `index` keeps embeddings, `review` makes thumbnails, `thorough` looks
    at each photo in more ways.
    """

    bundle: str | None = None
    top: int = 5
    among: tuple[str, ...] | None = None
    lang: Literal["en", "es"] = "en"
    index: bool = False
    review: bool = True
    thorough: bool = False


@dataclass(frozen=True, slots=True)
class PhotoRef:
    """Where the bytes of one photo are.

    `name`: how results call it, the same wherever the source lies. `kind` and `where`: a `file` and its path; a `zip`
    or a plain `tar` and the path of the archive; a `url` that fsspec opens. `offset` and `size`: of a member's (packed)
    bytes in its archive, `method` how they are packed, and `crc` what they unpack to. `stamp`: size and time of change
    when it was listed, "" where they are not known. `refusal`: the code of what is wrong with the entry itself.
    """

    name: str
    kind: Literal["file", "zip", "tar", "url"]
    where: str
    stamp: str = ""
    offset: int = 0
    size: int = 0
    method: int = 0
    crc: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A photo of a source, with what a manifest says of it.

    `specimen`: photos with the same one are of one specimen, "" for none. `label`: as given, "" for none. `evidence`:
    texts by test. `columns`: the manifest's own.
    """

    photo: PhotoRef
    specimen: str = ""
    label: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the results: a specimen with its photos, sorted by name.

    `known`: the sha256 of each photo as the journal has it, where only the stamps have changed since: the photos are
    then read, and identified only where their content has changed. `left_out`: photos of the specimen beyond those
    that are looked at together. `conflict`: why its evidence cannot be used.
    """

    key: bytes
    photos: tuple[PhotoRef, ...]
    specimen: str = ""
    label: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    left_out: int = 0
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one unit.

    `document`: `Identification.as_dict()` as JSON. `scores`: probabilities of all labels from the photos alone, float16
    as bytes. `embedding`: float16 as bytes, of length 1 before it was rounded; b"" where the run keeps none.
    `thumbnail`: JPEG of the first photo, b"" where the run makes none.
    """

    document: str
    name: str
    rank: str
    probability: float
    unknown_score: float
    scores: bytes
    embedding: bytes = b""
    thumbnail: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a unit has no answer: the photo it is about, a code and a sentence."""

    photo: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a unit. `sha256`: of each photo's content, empty where some photo could not be read.

    `result` is None where the content is what the unit knew it to be: the answer in the journal stands.
    """

    key: bytes
    sha256: tuple[str, ...]
    result: Answer | Failure | None


def crashed(unit: Unit) -> Outcome:
    """Of a unit whose photo ends the process that decodes it."""
    detail = "A worker process ended while it worked on this photo."
    return Outcome(unit.key, (), Failure(unit.photos[0].name, "decoder-crashed", detail))
