"""Files that are whole or not there: written beside, flushed, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["TEMPORARY_PREFIX", "atomic_file", "file_digest", "link_or_copy", "write_atomically"]

TEMPORARY_PREFIX = ".part-"
"""What the name of a file starts with while it is being written; what a killed run leaves of them may be deleted."""


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Its folder is made. The content is flushed to the disk before it is renamed. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a whole file, text as UTF-8. Raises OSError."""
    with atomic_file(path) as file:
        file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`: a hard link, which takes no space, or a copy where there are none.

    A `target` that is there already is replaced; of a symbolic link, the file it leads to is taken. Raises OSError.
    """
    source = source.resolve()  # a link to a relative symbolic link would lead nowhere
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.unlink()
        try:
            temporary.hardlink_to(source)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            # Renaming one link of a file onto another of its links does nothing and leaves both.
            temporary.unlink()


def file_digest(path: Path) -> str:
    """sha256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
