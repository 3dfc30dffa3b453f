"""From a path or an open file to bytes, never more than the limit, never waiting on a pipe."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image

from handlens.photo_errors import (
    BadArrayError,
    ImageTooLargeError,
    NotAFileError,
    PhotoError,
    PhotoNotFoundError,
    PhotoPermissionError,
    UnreadableFileError,
)

_DEFAULT_NAME = "photo"
_READ_BYTES = 1 << 20
# Where a system has them: do not wait on a pipe that took the file's place, do not pass the file to children.
_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
    _OPEN_FLAGS |= getattr(os, _flag, 0)


def default_name(source: object) -> str:
    """The path as typed, an open file's base name, or "photo"."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source) or _DEFAULT_NAME
    label = None if isinstance(source, Image.Image) else getattr(source, "name", None)
    # The base name only: a temporary file's folder is nothing that the user typed.
    return (Path(label).name if isinstance(label, str) else "") or _DEFAULT_NAME


def path_bytes(path: str | os.PathLike[str], name: str, max_bytes: int) -> bytes:
    """All bytes of a regular file; raises the `PhotoError` that says why there are none to have."""
    try:
        # Looked at before it is opened: opening a pipe can wait, and opening a device can have effects.
        _check_regular(os.stat(path).st_mode, name)  # noqa: PTH116 - a path may also be one of bytes
        with os.fdopen(os.open(path, _OPEN_FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status.st_mode, name)
            check_bytes(status.st_size, name, max_bytes)
            return stream_bytes(file, name, max_bytes)
    except PermissionError as error:
        raise PhotoPermissionError(name, "This file may not be read: permission denied.") from error
    except (
        FileNotFoundError,
        NotADirectoryError,
        ValueError,
    ) as error:  # ValueError: a name with a zero byte
        raise PhotoNotFoundError(name, "There is no file of this name.") from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise PhotoNotFoundError(name, "There is no file of this name.") from error
        raise UnreadableFileError(name, "The file could not be read: the system reports an error.") from error


def _check_regular(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
    raise NotAFileError(name, f"This is {kind}, not a photo file.")


def stream_bytes(stream: BinaryIO, name: str, max_bytes: int) -> bytes:
    """All bytes of a file object, from its start where it can seek, from where it stands where it cannot."""
    most = max_bytes + 1
    buffer = bytearray()
    try:
        with contextlib.suppress(AttributeError, OSError):  # a pipe has no start to go to
            stream.seek(0)
        while len(buffer) < most:
            part: object = stream.read(min(_READ_BYTES, most - len(buffer)))
            if part is None or isinstance(part, str):
                raise BadArrayError(name, "The file object must be open in binary, blocking mode.")
            if not part:
                break
            buffer += cast("bytes", part)
    except PhotoError:
        raise
    except Exception as error:  # a foreign file object raises what it likes
        raise UnreadableFileError(name, "The photo could not be read from the open file.") from error
    if len(buffer) >= most:
        raise ImageTooLargeError(name, f"The file has more than {_amount(max_bytes)}, the most allowed.")
    return bytes(buffer)


def check_bytes(size: int, name: str, max_bytes: int) -> None:
    """Raise `ImageTooLargeError` when a file of `size` bytes is over the limit."""
    if size > max_bytes:
        detail = f"The file has {_amount(size)}; the most allowed is {_amount(max_bytes)}."
        raise ImageTooLargeError(name, detail)


def _amount(size: int) -> str:
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size} bytes"
