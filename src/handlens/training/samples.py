"""Labelled photos: read from a manifest (CSV) or from a tree of class folders."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlens.errors import HandlensError
from handlens.photo_files import photos_in

__all__ = ["BadSamplesError", "Sample", "digest", "read_samples", "with_split"]

_NEEDED: Final = ("file", "label")
_SOURCES: Final = ("page", "url", "source", "source_path")
_USED: Final = (*_NEEDED, "group", "split", "fold", "usable", "prepared", "origin", "half")


class BadSamplesError(HandlensError):
    """A manifest or folder tree cannot be trained from (`bad-samples`)."""

    code = "bad-samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled photo.

    `file`: its path below the manifest or tree. `group`: photos of one specimen and near-duplicates share it, and no
    split may cut it. `fold`: who photographed it, "" where unknown. `usable`: False for polished, carved, edited or
    doubtfully labelled stones. `prepared`: the mode of `handlens dataset prepare` that made the picture, "" for none.
    `origin`: the collection it is from, "" where unknown. `half`: of minerals that are to stay unknown, "B" for those
    that are only judged and never learnt from. `source`: where the photo is from, in words or as an address, "" where
    nothing is said of it.
    """

    path: Path
    file: str
    label: str
    group: str
    split: str
    fold: str
    usable: bool
    prepared: str = ""
    origin: str = ""
    half: str = ""
    source: str = ""


def read_samples(source: Path) -> list[Sample]:
    """The samples of a manifest file, or of a folder whose subfolders are named for their labels.

    A manifest is CSV in UTF-8 with a header; columns `file` (below the manifest's folder) and `label` are needed,
    `group`, `split` (default "train"), `fold`, `usable` ("no" or anything else), `prepared`, `origin` and `half` are
    used where present, and `page`, `url` or `source` with `source_path` to tell where a photo is from; spaces around a
    value do not count. Raises BadSamplesError, naming the row or the folder.
    """
    if source.is_dir():
        samples = list(_from_folders(source))
    elif source.is_file():
        samples = list(_from_manifest(source))
    else:
        raise BadSamplesError(f"{source}: there is no manifest and no folder of this name")
    if not samples:
        raise BadSamplesError(f"{source}: there is no labelled photo here")
    return samples


def with_split(samples: Sequence[Sample], split: str) -> list[Sample]:
    """The samples of one split, in their order."""
    return [sample for sample in samples if sample.split == split]


def digest(samples: Iterable[Sample]) -> str:
    """sha256 over file names, labels and groups: says which data a model was trained from."""
    state = hashlib.sha256()
    for line in sorted(f"{sample.file}\t{sample.label}\t{sample.group}\t{sample.usable}\n" for sample in samples):
        state.update(line.encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def _from_manifest(source: Path) -> Iterable[Sample]:
    try:
        # Spreadsheets put a byte-order mark before the first column's name.
        with source.open(newline="", encoding="utf-8-sig") as lines:
            yield from _from_rows(source, csv.DictReader(lines))
    except UnicodeDecodeError as error:
        raise BadSamplesError(f"{source}: is not UTF-8 text: {error.reason}") from error
    except (OSError, csv.Error) as error:
        raise BadSamplesError(f"{source}: cannot be read: {error}") from error


def _from_rows(source: Path, rows: csv.DictReader[str]) -> Iterable[Sample]:
    if missing := [column for column in _NEEDED if column not in (rows.fieldnames or ())]:
        raise BadSamplesError(f"{source}: the column {missing[0]!r} is missing")
    seen: set[str] = set()
    for row in rows:
        value = {column: (row.get(column) or "").strip() for column in _USED}
        file, label = value["file"], value["label"]
        if not file or not label:
            raise BadSamplesError(f"{source}: line {rows.line_num} has no file or no label")
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise BadSamplesError(f"{source}: line {rows.line_num}: {file!r} is not below the manifest")
        if file in seen:  # under two groups or folds it would be learnt and judged
            raise BadSamplesError(f"{source}: line {rows.line_num}: {file!r} is listed twice")
        seen.add(file)
        yield Sample(
            path=source.parent / file,
            file=file,
            label=label,
            group=value["group"] or file,
            split=value["split"] or "train",
            fold=value["fold"],
            usable=value["usable"].casefold() != "no",
            prepared=value["prepared"],
            origin=value["origin"],
            half=value["half"],
            source=_source(row),
        )


def _source(row: Mapping[str, str | None]) -> str:
    value = {column: (row.get(column) or "").strip() for column in _SOURCES}
    whole = " ".join(part for part in (value["source"], value["source_path"]) if part)
    return value["page"] or value["url"] or whole


def _from_folders(source: Path) -> Iterable[Sample]:
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if not folder.name.isprintable():
            raise BadSamplesError(f"{folder}: the name of the folder is no label")
        files = [Path(path) for path in photos_in(folder)]
        if not files:
            raise BadSamplesError(f"{folder}: the class has no photo")
        for path in files:
            file = path.relative_to(source).as_posix()
            yield Sample(path, file, folder.name, group=file, split="train", fold="", usable=True)
