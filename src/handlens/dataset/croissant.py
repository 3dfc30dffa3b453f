"""croissant.json: what is in the data set, for machines and search engines.

JSON-LD in the Croissant format, version 1.1 (MLCommons, http://mlcommons.org/croissant/1.1). It lies beside the
manifest and names files below the workspace, so that a folder that is moved or published takes it along:

    distribution   manifest.parquet (with its sha256), credits.csv, and the photos as downloaded and as prepared
    recordSet      labels, splits (enumerations); rows (a field for every column of the manifest);
                   photos (content of the prepared photos, with split and label)
"""

from __future__ import annotations

import base64
import datetime
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from handlens.dataset.files import file_digest, write_atomically
from handlens.dataset.manifest import COLUMNS, Column, Row, read_rows
from handlens.dataset.source import last_table
from handlens.dataset.workspace import Workspace

__all__ = ["CONFORMS_TO", "CroissantSettings", "write_croissant"]

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"

_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "annotation": "cr:annotation",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "value": "cr:value",
}
"""The context that the specification recommends (appendix 1), with what its reference reader needs beyond it."""

_MEDIA_TYPES: Final = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
}
_TYPES: Final = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float"}
_SPLITS: Final = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
_IN: Final = frozenset({"fetched", "checked", "kept", "prepared"})
_MOST_CREATORS: Final = 100
_MOST_LICENCES: Final = 50
_NO_LICENCE: Final = "No licence is known: the photos remain their photographers' copyright."


class CroissantSettings(BaseModel):
    """What the data set's description says beyond what the manifest knows.

    `licences`: of the data set as a whole, best as addresses of known licences; without them the licences of the photos
    are listed. `creators`: who made the data set; without them the photographers, the most frequent first. `published`:
    ISO 8601; without it the day on which the last photo was fetched, or the manifest written. `url`: where the data set
    is published; without it a name by content (RFC 6920) stands there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="minerals", min_length=1)
    description: str = Field(default="Photos of minerals, with their labels, sources and rights.", min_length=1)
    licences: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()
    url: str | None = None
    version: str = Field(default="1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    published: datetime.date | None = None
    cite_as: str | None = None


@dataclass(slots=True)
class _Found:
    """What the manifest tells of the data set as a whole; bounded, whatever a foreign table holds."""

    labels: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    authors: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    processed: Counter[str] = field(default_factory=Counter)
    unlicensed: int = 0
    last_fetched: str = ""

    def add(self, row: Row) -> None:
        self.labels[row.label] += 1
        if row.split is not None:
            self.splits[row.split] += 1
        if licence := row.licence_url or row.licence:
            self.licences[licence] += 1
        else:
            self.unlicensed += 1
        if row.author is not None and (row.author in self.authors or len(self.authors) < 100_000):
            self.authors[row.author] += 1
        if row.file is not None:
            self.formats[row.format or "JPEG"] += 1
        if row.processed is not None:
            self.processed[Path(row.processed).suffix.lower()] += 1
        self.last_fetched = max(self.last_fetched, row.fetched_at or "")


def write_croissant(workspace: Workspace, settings: CroissantSettings) -> Path:
    """Describes the last table of a workspace in `croissant.json` and returns where that is.

    Raises MissingStageError where there is no table, BadManifestError for a damaged one, OSError.
    """
    table = last_table(workspace)
    found = _Found()
    for row in read_rows(table):
        if row.status in _IN:
            found.add(row)
    path = workspace.root / "croissant.json"
    described = _description(workspace, settings, table, found)
    write_atomically(path, json.dumps(described, ensure_ascii=False, indent=1) + "\n")
    return path


def _description(workspace: Workspace, settings: CroissantSettings, table: Path, found: _Found) -> dict[str, Any]:
    digest = file_digest(table)
    creators = settings.creators or tuple(name for name, _ in found.authors.most_common(_MOST_CREATORS))
    licences = list(settings.licences) or [name for name, _ in found.licences.most_common(_MOST_LICENCES)]
    if not settings.licences and found.unlicensed:
        licences.append(_NO_LICENCE)
    published = str(settings.published or found.last_fetched[:10] or _day(table))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": settings.name,
        "description": settings.description,
        "license": licences or [_NO_LICENCE],
        "creator": [{"@type": "sc:Person", "name": name} for name in creators],
        "url": settings.url or _content_name(digest),
        "version": settings.version,
        "citeAs": settings.cite_as or f"{settings.name}, version {settings.version}, {published}",
        "datePublished": published,
        "keywords": ["minerals", "mineralogy", "image classification"],
        "isLiveDataset": False,
        "distribution": _distribution(workspace, table, digest, found),
        "recordSet": _record_sets(found),
    }


def _content_name(digest: str) -> str:
    """A name for content with this sha256. Source: RFC 6920, "Naming Things with Hashes"."""
    return f"ni:///sha-256;{base64.urlsafe_b64encode(bytes.fromhex(digest)).decode('ascii').rstrip('=')}"


def _day(table: Path) -> str:
    return datetime.datetime.fromtimestamp(table.stat().st_mtime, datetime.UTC).date().isoformat()


def _distribution(workspace: Workspace, table: Path, digest: str, found: _Found) -> list[dict[str, Any]]:
    name = table.relative_to(workspace.root).as_posix()
    files = [_file_object(table, "manifest", name, "application/x-parquet", "What became of every row.", digest)]
    credits = workspace.root / "credits.csv"
    if credits.is_file():
        told = "Author and licence of every photo."
        files.append(_file_object(credits, "credits", credits.name, "text/csv", told, file_digest(credits)))
    if found.formats:
        kinds = sorted({_MEDIA_TYPES.get(kind, "image/jpeg") for kind in found.formats})
        files.append(_file_set("originals", "Photos as downloaded, named by content.", kinds, "images/*/*"))
    if found.processed:
        kinds = sorted({"image/png" if suffix == ".png" else "image/jpeg" for suffix in found.processed})
        files.append(
            _file_set("processed", "Photos to train from, by split and label.", kinds, "images_processed/*/*/*")
        )
    return files


def _file_object(path: Path, id_: str, name: str, kind: str, told: str, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": id_,
        "name": path.name,
        "description": told,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": kind,
        "sha256": digest,
    }


def _file_set(id_: str, told: str, kinds: list[str], includes: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": id_,
        "name": id_,
        "description": told,
        "encodingFormat": kinds,
        "includes": includes,
    }


def _record_sets(found: _Found) -> list[dict[str, Any]]:
    sets = []
    if found.labels:
        labels = [{"labels/name": name} for name in sorted(found.labels)]
        sets.append(_enumeration("labels", "sc:Enumeration", "The labels.", {"name": "sc:Text"}, labels))
    # A reader needs an address for each split, and the vocabulary has three.
    if known := [name for name in _SPLITS if name in found.splits]:
        splits = [{"splits/name": name, "splits/url": _SPLITS[name]} for name in known]
        told = "What the photos are for."
        sets.append(
            _enumeration("splits", "cr:Split", told, {"name": "sc:Text", "url": ["sc:Text", "cr:Split"]}, splits)
        )
    sets.append(
        {
            "@type": "cr:RecordSet",
            "@id": "rows",
            "name": "rows",
            "description": "A row for every photo that was listed; nothing is dropped.",
            "key": {"@id": "rows/id"},
            "field": [_column(column) for column in COLUMNS],
        }
    )
    if found.processed:
        sets.append(_photos())
    return sets


def _enumeration(id_: str, kind: str, told: str, fields: dict[str, Any], data: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": id_,
        "name": id_,
        "description": told,
        "dataType": kind,
        "key": {"@id": f"{id_}/name"},
        "field": [
            {"@type": "cr:Field", "@id": f"{id_}/{name}", "name": name, "dataType": of} for name, of in fields.items()
        ],
        "data": data,
    }


def _column(column: Column) -> dict[str, Any]:
    listed = pa.types.is_list(column.type)
    value = column.type.value_type if listed else column.type
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"rows/{column.name}",
        "name": column.name,
        "description": f"{column.meaning} (from stage: {column.stage})",
        "dataType": _TYPES[str(value)],
        "source": {"fileObject": {"@id": "manifest"}, "extract": {"column": column.name}},
    }
    if listed:
        described |= {"isArray": True, "arrayShape": "-1"}
    return described


def _photos() -> dict[str, Any]:
    # Split and label are read from the path and not joined from the manifest: a reader can then stream the photos.
    path = "images_processed/"
    return {
        "@type": "cr:RecordSet",
        "@id": "photos",
        "name": "photos",
        "description": "The photos to train from, with split and label.",
        "field": [
            _of_photo("content", "the photo", "sc:ImageObject", "content"),
            _of_photo("file", "the file, `processed` of its row", "sc:Text", "fullpath"),
            _of_photo("split", "train, validation or test", "sc:Text", "fullpath", f"{path}([^/]+)/"),
            _of_photo(
                "label", "the label, percent-encoded where needed", "sc:Text", "fullpath", f"{path}[^/]+/([^/]+)/"
            ),
        ],
    }


def _of_photo(name: str, told: str, kind: str, of_file: str, regex: str | None = None) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "processed"}, "extract": {"fileProperty": of_file}}
    if regex is not None:
        source["transform"] = {"regex": regex}
    return {
        "@type": "cr:Field",
        "@id": f"photos/{name}",
        "name": name,
        "description": told,
        "dataType": kind,
        "source": source,
    }
