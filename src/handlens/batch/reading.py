"""From where a photo is to its bytes: never more than the limit, and a typed refusal for everything else."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

from handlens.batch.units import PhotoRef
from handlens.photo import (
    DEFAULT_LIMITS,
    CorruptImageError,
    NotAFileError,
    PhotoError,
    PhotoNotFoundError,
    PhotoPermissionError,
    UnreadableFileError,
)
from handlens.photo_source import check_bytes, path_bytes, stream_bytes

__all__ = ["UnsafePathError", "read"]

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
"""Signature, and the lengths of name and extra field. Source: PKWARE, APPNOTE.TXT, 4.3.7."""
_STORED: Final = 0
_DEFLATED: Final = 8


class UnsafePathError(PhotoError):
    """The name of an archive's entry leads out of the archive."""

    code = "unsafe-path"


_REFUSALS: Final[dict[str, tuple[type[PhotoError], str]]] = {
    UnsafePathError.code: (UnsafePathError, "The entry's name leads out of the archive."),
    NotAFileError.code: (NotAFileError, "This entry is a link or a device, not a photo file."),
    CorruptImageError.code: (CorruptImageError, "The entry is encrypted or packed in a way that is not read."),
    PhotoNotFoundError.code: (PhotoNotFoundError, "There is no file of this name."),
}


def read(photo: PhotoRef) -> bytes:
    """All bytes of a photo. Raises PhotoError; what an opener of fsspec raises becomes one."""
    most = DEFAULT_LIMITS.max_bytes
    if photo.refusal:
        error, detail = _REFUSALS[photo.refusal]
        raise error(photo.name, detail)
    if photo.kind == "file":
        return path_bytes(photo.where, photo.name, most)
    if photo.kind == "url":
        return _from_url(photo, most)
    check_bytes(photo.size, photo.name, most)
    try:
        with Path(photo.where).open("rb") as archive:
            return _from_tar(photo, archive) if photo.kind == "tar" else _from_zip(photo, archive, most)
    except FileNotFoundError as error:
        raise PhotoNotFoundError(photo.name, "The archive is not there any more.") from error
    except PermissionError as error:
        raise PhotoPermissionError(photo.name, "The archive may not be read: permission denied.") from error
    except OSError as error:
        raise UnreadableFileError(photo.name, "The archive could not be read: the system reports an error.") from error


def _from_tar(photo: PhotoRef, archive: BinaryIO) -> bytes:
    archive.seek(photo.offset)
    content = archive.read(photo.size)
    if len(content) != photo.size:
        raise UnreadableFileError(photo.name, "The archive ends before the entry does.")
    return content


def _from_zip(photo: PhotoRef, archive: BinaryIO, most: int) -> bytes:
    archive.seek(photo.offset)
    header = archive.read(_LOCAL_HEADER.size)
    if len(header) != _LOCAL_HEADER.size:
        raise UnreadableFileError(photo.name, "The archive ends before the entry does.")
    signature, name, extra = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise UnreadableFileError(photo.name, "The archive is damaged: there is no entry where there should be one.")
    archive.seek(name + extra, 1)
    packed = archive.read(photo.size)
    if photo.method == _STORED:
        content = packed
    else:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = unpacker.decompress(packed, most + 1)
        except zlib.error as error:
            raise UnreadableFileError(photo.name, "The entry cannot be unpacked: the archive is damaged.") from error
        check_bytes(len(content), photo.name, most)
    if zlib.crc32(content) != photo.crc:
        raise UnreadableFileError(photo.name, "The entry is not what the archive says: it is damaged.")
    return content


def _from_url(photo: PhotoRef, most: int) -> bytes:
    import fsspec

    try:
        with fsspec.open(photo.where, "rb") as file:
            return stream_bytes(cast("BinaryIO", file), photo.name, most)
    except PhotoError:
        raise
    except (FileNotFoundError, IsADirectoryError) as error:
        raise PhotoNotFoundError(photo.name, "There is no file of this name.") from error
    except PermissionError as error:
        raise PhotoPermissionError(photo.name, "This file may not be read: permission denied.") from error
    except Exception as error:  # a foreign file system raises what it likes
        raise UnreadableFileError(photo.name, f"The file could not be read: {type(error).__name__}.") from error
