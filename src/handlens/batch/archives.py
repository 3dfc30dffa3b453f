"""Photos in a zip or tar. Nothing is unpacked to where an entry says: results name it, its bytes are read in place.

A packed tar (.tar.gz, .tar.bz2, .tar.xz) cannot be read from the middle, so it is unpacked once to one plain tar in
the folder of the run. Names that lead out of the archive, links and devices become rows with an error.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from handlens.batch.errors import BadSourceError
from handlens.batch.units import Listed, PhotoRef
from handlens.dataset.files import atomic_file
from handlens.photo_files import named_like_a_photo

__all__ = ["DEFAULT_CAPS", "TAR_SUFFIXES", "ArchiveCaps", "plain_tar", "tar_photos", "zip_photos"]

TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_PART: Final = 1 << 20
_UNIX_LINK: Final = 0o120000
_UNIX_TYPE: Final = 0o170000


@dataclass(frozen=True, slots=True)
class ArchiveCaps:
    """The most entries an archive may have, and bytes that they may unpack to together."""

    max_entries: int = 2_000_000
    max_bytes: int = 2**40


DEFAULT_CAPS: Final = ArchiveCaps()


def zip_photos(path: Path, caps: ArchiveCaps = DEFAULT_CAPS) -> Iterator[Listed]:
    """The entries of a zip that are named like photos. Raises BadSourceError."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError) as error:
        raise BadSourceError(f"{path}: cannot be read as a zip: {error}") from error
    _check(path, len(entries), sum(entry.file_size for entry in entries), caps)
    for entry in entries:
        if entry.is_dir() or not _wanted(entry.filename):
            continue
        refusal = _unsafe(entry.filename)
        if (entry.external_attr >> 16) & _UNIX_TYPE == _UNIX_LINK:
            refusal = "not-a-file"
        elif entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            refusal = refusal or "corrupt-image"
        stamp = f"{entry.file_size}-{entry.CRC:08x}"
        yield Listed(
            PhotoRef(
                entry.filename,
                "zip",
                str(path),
                stamp,
                offset=entry.header_offset,
                size=entry.compress_size,
                method=entry.compress_type,
                crc=entry.CRC,
                refusal=refusal,
            )
        )


def tar_photos(path: Path, caps: ArchiveCaps = DEFAULT_CAPS) -> Iterator[Listed]:
    """The entries of a plain tar that are named like photos. Raises BadSourceError."""
    count, size = 0, 0
    # The archive's own time of change: its entries' can be set to anything.
    changed = path.stat().st_mtime_ns
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                count, size = count + 1, size + entry.size
                _check(path, count, size, caps)
                archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                if entry.isdir() or not _wanted(entry.name):
                    continue
                refusal = _unsafe(entry.name) if entry.isfile() and not entry.issparse() else "not-a-file"
                stamp = f"{entry.size}-{entry.mtime}-{changed}"
                yield Listed(
                    PhotoRef(
                        entry.name, "tar", str(path), stamp, offset=entry.offset_data, size=entry.size, refusal=refusal
                    )
                )
    except (OSError, tarfile.TarError, ValueError) as error:
        raise BadSourceError(f"{path}: cannot be read as a tar: {error}") from error


def plain_tar(path: Path, run: Path, caps: ArchiveCaps = DEFAULT_CAPS) -> Path:
    """The tar itself where it is plain, else a plain copy in the folder of the run. Raises BadSourceError, OSError."""
    if path.suffix == ".tar":
        return path
    status = path.stat()
    copy = run / f"source-{status.st_size}-{status.st_mtime_ns}.tar"
    if copy.is_file():
        return copy
    for older in run.glob("source-*.tar"):
        older.unlink()
    try:
        with tarfile.open(path, "r:*") as opened, atomic_file(copy) as out:
            packed = opened.fileobj
            assert packed is not None
            packed.seek(0)
            size = 0
            while part := packed.read(_PART):
                size += len(part)
                _check(path, 0, size, caps)
                out.write(part)
    except (tarfile.TarError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise BadSourceError(f"{path}: cannot be read as a tar: {error}") from error
    except OSError as error:
        if error.errno is None:  # of the unpacker, not of the disk
            raise BadSourceError(f"{path}: cannot be read as a tar: {error}") from error
        raise
    return copy


def _check(path: Path, entries: int, size: int, caps: ArchiveCaps) -> None:
    if entries > caps.max_entries:
        raise BadSourceError(f"{path}: more than {caps.max_entries:,} entries, the most allowed")
    if size > caps.max_bytes:
        raise BadSourceError(f"{path}: its entries have more than {caps.max_bytes:,} bytes, the most allowed")


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
    # What macOS puts beside every file of a zip is no photo, whatever it is called.
    return not hidden and "__MACOSX" not in parts and named_like_a_photo(name)


def _unsafe(name: str) -> str:
    pure = PurePosixPath(name.replace("\\", "/"))
    outside = pure.is_absolute() or ".." in pure.parts or (name[1:2] == ":" and name[:1].isalpha())
    return "unsafe-path" if outside or "\0" in name else ""
