"""Files are whole or not there: exceptions, SIGKILL, links."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment
from handlens.dataset.files import TEMPORARY_PREFIX, atomic_file, file_digest, link_or_copy, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from handlens.dataset.files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    with atomic_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert names(path.parent) == ["c.bin"]
    with atomic_file(path) as file:
        file.write(b"two")
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "c.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_file(path) as file:  # noqa: PT012
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["c.bin"]


def test_sigkill_leaves_what_was_there_and_a_part_that_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "c.bin"
    path.write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment(), timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    left = [name for name in names(tmp_path) if name != "c.bin"]
    assert len(left) == 1
    assert left[0].startswith(TEMPORARY_PREFIX)
    write_atomically(path, "new")
    assert path.read_bytes() == b"new"


def test_a_file_is_as_readable_as_others(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_text_and_bytes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "Ágata \udcff")
    assert (tmp_path / "text").read_bytes() == "Ágata ".encode() + b"\xff"
    write_atomically(tmp_path / "bytes", b"\0")
    assert (tmp_path / "bytes").read_bytes() == b"\0"


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "er" / "target"
    source.write_bytes(b"photo")
    link_or_copy(source, target)
    assert target.samefile(source)
    assert names(target.parent) == ["target"]


def test_a_link_replaces_what_is_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    link_or_copy(source, target)
    assert target.samefile(source)
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["source", "target"]


def test_linking_twice_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"photo")
    for _ in range(3):
        link_or_copy(source, target)
    assert names(tmp_path) == ["source", "target"]
    assert source.stat().st_nlink == 2


def test_a_copy_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"photo")
    target.write_bytes(b"old")

    def refused(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    link_or_copy(source, target)
    assert not target.samefile(source)
    assert target.read_bytes() == b"photo"
    assert names(tmp_path) == ["source", "target"]


def test_of_a_symbolic_link_the_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"photo")
    (tmp_path / "source").symlink_to("photo")
    target = tmp_path / "elsewhere" / "target"
    link_or_copy(tmp_path / "source", target)
    assert not target.is_symlink()
    assert target.read_bytes() == b"photo"


def test_no_source_leaves_the_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="source"):
        link_or_copy(tmp_path / "source", target)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["target"]


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 100_000)
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"a" * 100_000).hexdigest()
