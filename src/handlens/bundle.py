"""The model artefact: one directory or .zip that holds a graph and all that is needed to use it honestly.

    bundle.json      format version, name, labels in network order, preprocessing, temperature, thresholds,
                     prediction-set and open-set statistics, metrics, training data, licences, sha256 of every file
    model.onnx       uint8 views (N, V, side, side, 3) → logits (N, labels) and embedding (N, D); of any side where a
                     thorough look has another
    localiser.*      the localiser (see `specimen_localiser`), where the views depend on where the specimen is
    open_set_*.npy   what the unknown score is made of (see `open_set`), in bundles that have one of their own
    thorough_*.npy   heads for more views (see `thorough`), in bundles that have such
    references.npz   the photos that it was trained on, by embedding, label and source (see `references`), likewise
    MODEL_CARD.md    for people

`open_bundle` refuses a bundle whose files, labels or preprocessing disagree. No pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from handlens.bundle_files import bundle_path, default_bundle_path, digested
from handlens.errors import HandlensError, MissingExtraError
from handlens.localiser_files import GRAPH as LOCALISER_GRAPH
from handlens.localiser_files import MANIFEST as LOCALISER_MANIFEST
from handlens.localiser_files import LocaliserFiles
from handlens.onnx_wire import BadGraphError, GraphInfo, read_graph
from handlens.open_set import BadOpenSetError, OpenSet
from handlens.thorough import BadThoroughError, Thorough
from handlens.views import BadPreprocessingError, Preprocessing, load_mask

if TYPE_CHECKING:
    import zipfile

    from handlens.references import References

__all__ = ["BadBundleError", "Bundle", "Thresholds", "open_bundle"]

FORMAT: Final = 1
MANIFEST: Final = "bundle.json"
GRAPH: Final = "model.onnx"
CARD: Final = "MODEL_CARD.md"
REFERENCES_FILE: Final = "references.npz"
MAX_BYTES: Final = 400 * 2**20
"""The most bytes that the files of a bundle may have together, unpacked."""
MAX_MANIFEST_BYTES: Final = 16 * 2**20
"""The most bytes of bundle.json: what it says takes many times as much memory once it is parsed."""
_LONGEST_NAME: Final = 100
_RESERVED_LABELS: Final = frozenset({"unknown", "origin-ten"})


class BadBundleError(HandlensError):
    """A bundle is missing, damaged, or contradicts itself (`bad-bundle`)."""

    code = "bad-bundle"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least summed probability (0 to 1) at which a name of each rank is given as the answer."""

    variety: float
    species: float
    group: float


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened and verified bundle. `manifest` is bundle.json as read; the fields beside it are its checked parts.

    `card`: the model card in Markdown, empty where the bundle has none. `localiser`: there where the preprocessing
    needs it. `open_set`: what tells that a photo shows no label; None in bundles that have only their probabilities.
    `thorough`: more looks at a photo; None in bundles that have no such. `reference_file`: references.npz, empty where
    there is none; `references` reads it.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    thresholds: Thresholds
    set_quantile: float
    graph: bytes
    manifest: Mapping[str, Any]
    card: str = ""
    localiser: LocaliserFiles | None = None
    open_set: OpenSet | None = None
    thorough: Thorough | None = None
    reference_file: bytes = b""

    def references(self) -> References | None:
        """The reference specimens, where it has some. Raises BadBundleError for a file that is damaged."""
        if not self.reference_file or self.open_set is None:
            return None
        from handlens.references import BadReferencesError, References  # only explanations need it

        try:
            return References.read(self.reference_file, self.labels, self.open_set)
        except BadReferencesError as error:
            raise BadBundleError(f"{self.path}: {error}") from error

    def without_graphs(self) -> Bundle:
        """It for whoever has made sessions of the graphs, which hold them too: tens of megabytes less."""
        return replace(self, graph=b"", localiser=None)


def open_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """Reads and verifies a bundle directory or .zip, or one of SHIPPED; raises BadBundleError with what is wrong.

    Raises MissingExtraError for a bundle that needs the origin's mask where there is no OpenCV.
    """
    place = bundle_path(path) if path is not None else default_bundle_path()
    try:
        if place.is_dir():
            return _read(place, _directory_names(place), lambda name: digested(place / name))
        if place.is_file():
            return _open_archive(place)
    except OSError as error:
        raise BadBundleError(f"{place}: cannot be read as a bundle: {error}") from error
    raise BadBundleError(f"{place}: there is no bundle here")


def _open_archive(place: Path) -> Bundle:
    import zipfile  # most runs open a directory, and this import is a tenth of their start-up
    import zlib

    # Readers of damaged headers and streams raise the last four.
    failures = (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, zlib.error, EOFError, ValueError, IndexError)
    try:
        with zipfile.ZipFile(place) as archive:
            if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
                raise BadBundleError(f"{place}: the archive is compressed in another way than deflate")
            return _read(place, _archive_names(place, archive), lambda name: _member(archive, name))
    except failures as error:
        raise BadBundleError(f"{place}: cannot be read as a bundle: {error}") from error


def _directory_names(place: Path) -> set[str]:
    names = set()
    for entry in place.iterdir():
        if entry.is_symlink() or not entry.is_file():
            raise BadBundleError(f"{place}: {entry.name!r} is not a plain file")
        names.add(entry.name)
    if sum(entry.stat().st_size for entry in place.iterdir()) > MAX_BYTES:
        raise BadBundleError(f"{place}: larger than {MAX_BYTES // 2**20} MiB")
    return names


def _archive_names(place: Path, archive: zipfile.ZipFile) -> set[str]:
    names = [info.filename for info in archive.infolist()]
    for name in names:
        # A bundle has no folders, so any separator is an attempt to leave, or some other archive.
        if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise BadBundleError(f"{place}: the archive names {name!r}, which is outside the bundle")
    if len(set(names)) != len(names):
        raise BadBundleError(f"{place}: the archive names a file twice")
    if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
        raise BadBundleError(f"{place}: larger than {MAX_BYTES // 2**20} MiB")
    return set(names)


def _member(archive: zipfile.ZipFile, name: str) -> tuple[bytes, str]:
    """The bytes of a file, never more than its declared size, which `_archive_names` has checked, and their sha256."""
    info = archive.getinfo(name)
    with archive.open(info) as file:
        # ZipFile.read would unpack all that is there before it cuts it to the declared size.
        content = file.read(info.file_size)
    return content, hashlib.sha256(content).hexdigest()


def _read(place: Path, names: set[str], read: Callable[[str], tuple[bytes, str]]) -> Bundle:
    if MANIFEST not in names:
        raise BadBundleError(f"{place}: {MANIFEST} is missing")
    text, _ = read(MANIFEST)
    if len(text) > MAX_MANIFEST_BYTES:
        raise BadBundleError(f"{place}: {MANIFEST} is larger than {MAX_MANIFEST_BYTES // 2**20} MiB")
    try:
        manifest = json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise BadBundleError(f"{place}: {MANIFEST} is nested too deeply") from error
    except ValueError as error:
        raise BadBundleError(f"{place}: {MANIFEST} is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise BadBundleError(f"{place}: {MANIFEST} is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise BadBundleError(f"{place}: bundle format {manifest.get('format')!r}: this version reads format {FORMAT}")
    files = manifest.get("files")
    if not isinstance(files, dict) or GRAPH not in files:
        raise BadBundleError(f"{place}: {MANIFEST} does not list {GRAPH}")
    if odd := names ^ (files.keys() | {MANIFEST}):
        where = "listed but missing" if sorted(odd)[0] in files else "there but not listed"
        raise BadBundleError(f"{place}: {sorted(odd)[0]!r} is {where}")
    contents: dict[str, bytes] = {}
    for name, digest in files.items():
        content, found = read(name)
        if found != digest:
            raise BadBundleError(f"{place}: {name} is damaged: its sha256 is not the one in {MANIFEST}")
        contents[name] = content
    try:
        info = read_graph(contents[GRAPH])
        bundle = _checked(place, manifest, contents[GRAPH], info)
        width = info.outputs["embedding"][1]
        localiser = _localiser(place, bundle.preprocessing, contents)
        open_set = _open_set(place, manifest, contents, width)
        free = info.inputs["views"][2] is None
        thorough = _thorough(place, manifest, contents, bundle, width, free=free)
        card = contents.get(CARD, b"").decode("utf-8")
        references = contents.get(REFERENCES_FILE, b"")
        return replace(
            bundle,
            card=card,
            localiser=localiser,
            open_set=open_set,
            thorough=thorough,
            reference_file=references,
        )
    except (BadGraphError, BadPreprocessingError) as error:
        raise BadBundleError(f"{place}: {error.detail}") from error
    except (BadOpenSetError, BadThoroughError) as error:
        raise BadBundleError(f"{place}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadBundleError(f"{place}: {MANIFEST} is incomplete or of a wrong type: {error!r}") from error


def _checked(place: Path, manifest: Mapping[str, Any], graph: bytes, info: GraphInfo) -> Bundle:
    if not isinstance(manifest["labels"], list):
        raise BadBundleError(f"{place}: the labels are no list")
    labels = tuple(manifest["labels"])
    if odd := [label for label in labels if not _is_name(label) or label in _RESERVED_LABELS]:
        raise BadBundleError(f"{place}: {odd[0]!r} is no name for a label")
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise BadBundleError(f"{place}: the labels must be two or more different names")
    preprocessing = Preprocessing.from_dict(manifest["preprocessing"])
    _check_shapes(place, info, labels, preprocessing)
    thresholds = {rank: _number(value) for rank, value in manifest["thresholds"].items()}
    if thresholds.keys() != {"variety", "species", "group"} or not all(0 < t <= 1 for t in thresholds.values()):
        raise BadBundleError(f"{place}: the thresholds must be of variety, species and group, in (0, 1]")
    temperature, quantile = _number(manifest["temperature"]), _number(manifest["prediction_set"]["quantile"])
    if not (math.isfinite(temperature) and temperature > 0 and 0 <= quantile <= 1):
        raise BadBundleError(f"{place}: temperature {temperature} or quantile {quantile} is out of range")
    name = manifest["name"]
    if not _is_name(name):
        raise BadBundleError(f"{place}: the bundle has no name that can be shown")
    if preprocessing.mask == "origin":
        _need_mask(place)
    return Bundle(
        path=place,
        name=name,
        labels=labels,
        preprocessing=preprocessing,
        temperature=temperature,
        thresholds=Thresholds(**thresholds),
        set_quantile=quantile,
        graph=graph,
        manifest=manifest,
    )


def _localiser(place: Path, preprocessing: Preprocessing, contents: Mapping[str, bytes]) -> LocaliserFiles | None:
    if not preprocessing.needs_specimen:
        return None
    for name in (LOCALISER_MANIFEST, LOCALISER_GRAPH):
        if name not in contents:
            raise BadBundleError(f"{place}: {name} is missing, which the views need")
    return LocaliserFiles(contents[LOCALISER_MANIFEST], contents[LOCALISER_GRAPH], place)


def _open_set(
    place: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes], width: int | None
) -> OpenSet | None:
    found = OpenSet.read(manifest.get("open_set", {}), contents)
    if found is not None and width != len(found.mean):
        raise BadBundleError(f"{place}: the graph's embedding is {width} wide, the unknown score's {len(found.mean)}")
    return found


def _thorough(
    place: Path,
    manifest: Mapping[str, Any],
    contents: Mapping[str, bytes],
    bundle: Bundle,
    width: int | None,
    *,
    free: bool,
) -> Thorough | None:
    """`free`: the graph takes views of any side."""
    if "thorough" not in manifest:
        return None
    found = Thorough.read(manifest["thorough"], contents, bundle.preprocessing)
    if found.preprocessing.side != bundle.preprocessing.side and not free:
        side = found.preprocessing.side
        raise BadBundleError(f"{place}: the graph does not take the views of {side} pixels of a thorough look")
    if found.heads is not None and width is not None and found.heads.shape[1:] != (width + 1, len(bundle.labels)):
        what = f"heads {found.heads.shape} of more views do not fit an embedding of {width}"
        raise BadBundleError(f"{place}: the {what} and {len(bundle.labels)} labels")
    return found


def _need_mask(place: Path) -> None:
    """Refuses now what could answer no photo later."""
    try:
        load_mask()
    except MissingExtraError as error:
        raise MissingExtraError(f"{place}: {error.detail}") from error


def _is_name(text: object) -> bool:
    """Whether it can be printed anywhere: not too long, no control or bidirectional characters."""
    return isinstance(text, str) and 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _check_shapes(place: Path, graph: GraphInfo, labels: tuple[str, ...], preprocessing: Preprocessing) -> None:
    count, side = len(preprocessing.views), preprocessing.side
    taken = graph.inputs.get("views")
    if len(graph.inputs) != 1 or taken not in ((None, count, side, side, 3), (None, count, None, None, 3)):
        wanted = f"(N, {count}, {side}, {side}, 3)"
        raise BadBundleError(f"{place}: the graph takes {graph.inputs}, the preprocessing makes views {wanted}")
    logits, embedding = graph.outputs.get("logits"), graph.outputs.get("embedding")
    if logits is None or logits[1:] != (len(labels),):
        raise BadBundleError(f"{place}: the graph gives logits {logits} for {len(labels)} labels")
    if embedding is None or len(embedding) != 2:
        raise BadBundleError(f"{place}: the graph gives no embedding (N, D)")
