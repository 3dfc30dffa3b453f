"""Every kind of source lists the same photos under the same names, and what is odd in it is told."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.drawn import contents, folder
from handlens.batch.archives import ArchiveCaps, plain_tar, tar_photos, zip_photos
from handlens.batch.errors import BadSourceError
from handlens.batch.reading import read
from handlens.batch.sources import open_source
from handlens.batch.units import Listed, PhotoRef
from handlens.photo import PhotoError

WANTED = contents(7)


def listed(source: str | Path, run: Path) -> dict[str, Listed]:
    run.mkdir(exist_ok=True)
    found = list(open_source(str(source), run).photos())
    by_name = {one.photo.name: one for one in found}
    assert len(by_name) == len(found)
    return by_name


def bytes_of(found: dict[str, Listed]) -> dict[str, bytes]:
    return {name: read(one.photo) for name, one in found.items()}


def write_zip(path: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_bytes(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def packed(root: Path, kind: str) -> str:
    plain = tar_bytes(WANTED)
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".tar": bytes,
        ".tar.gz": gzip.compress,
        ".tar.bz2": bz2.compress,
        ".txz": lzma.compress,
    }
    path = root / f"photos{kind}"
    path.write_bytes(pack[kind](plain))
    return str(path)


KINDS: dict[str, Callable[[Path], str]] = {
    "folder": lambda root: str(folder(root / "photos", 7)),
    "pattern of files": lambda root: f"{folder(root / 'photos', 7)}/*/*.jpg",
    "pattern of folders": lambda root: f"{folder(root / 'photos', 7)}/*",
    "deep pattern": lambda root: f"{folder(root / 'photos', 7)}/**/*.jpg",
    "deflated zip": lambda root: str(write_zip(root / "photos.zip", WANTED)),
    "stored zip": lambda root: str(write_zip(root / "photos.zip", WANTED, zipfile.ZIP_STORED)),
    "tar": lambda root: packed(root, ".tar"),
    "tar.gz": lambda root: packed(root, ".tar.gz"),
    "tar.bz2": lambda root: packed(root, ".tar.bz2"),
    "txz": lambda root: packed(root, ".txz"),
    "file URL": lambda root: f"file://{folder(root / 'photos', 7)}",
    "file URL with a pattern": lambda root: f"file://{folder(root / 'photos', 7)}/*/*.jpg",
    "zip at a URL": lambda root: f"zip://::file://{write_zip(root / 'photos.zip', WANTED)}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_photos_from_every_kind(tmp_path: Path, kind: str) -> None:
    assert bytes_of(listed(KINDS[kind](tmp_path), tmp_path / "run")) == WANTED


def test_a_file_system_in_memory(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for name, content in WANTED.items():
        files.pipe(f"/batch-test/{name}", content)
    files.pipe("/batch-test/notes.txt", b"no photo")
    found = listed("memory://batch-test", tmp_path / "run")
    assert bytes_of(found) == WANTED
    files.rm("/batch-test", recursive=True)
    with pytest.raises(PhotoError) as gone:
        read(next(iter(found.values())).photo)
    assert gone.value.code == "not-found"


def test_one_photo(tmp_path: Path) -> None:
    (tmp_path / "stone.png").write_bytes(b"x")
    assert list(listed(tmp_path / "stone.png", tmp_path / "run")) == ["stone.png"]


@pytest.mark.parametrize("name", ["no such", "list.csv", "photos.zip", "photos.tar", "photos.tar.gz", "photos.parquet"])
def test_what_is_no_source_is_refused(tmp_path: Path, name: str) -> None:
    if name != "no such":
        (tmp_path / name).write_bytes(b"\x80 no such thing")
    with pytest.raises(BadSourceError):
        listed(tmp_path / name, tmp_path / "run")


def test_a_url_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(BadSourceError, match="nosuchprotocol"):
        listed("nosuchprotocol://here", tmp_path / "run")


def test_a_manifest_keeps_its_columns(tmp_path: Path) -> None:
    folder(tmp_path / "photos", 3)
    names = list(contents(3))
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8-sig") as text:
        rows = csv.writer(text, delimiter=";")
        rows.writerow(["Inventory", "File", "specimen_id", "label", "hardness", "test_file", "drawer"])
        rows.writerow(["=1", f"photos/{names[0]}", "S1", "Bergkristall", "7", "yes", "A"])
        rows.writerow(["2", str(tmp_path / "photos" / names[1]), "", "", "", "", "B"])
        rows.writerow(["3", f"file://{tmp_path}/photos/{names[2]}", "S1", "", " ", "", "C"])
        rows.writerow(["4", "", "", "", "", "", ""])
    found = listed(tmp_path / "list.csv", tmp_path / "run")
    first, second, third, fourth = found.values()
    assert (first.specimen, first.label) == ("S1", "Bergkristall")
    assert first.evidence == {"hardness": "7", "file": "yes"}
    assert first.columns == {"Inventory": "=1", "hardness": "7", "test_file": "yes", "drawer": "A"}
    assert second.evidence == {}
    assert [read(one.photo) for one in (first, second, third)] == list(contents(3).values())
    assert fourth.photo.name == "(row 4)"
    with pytest.raises(PhotoError):
        read(fourth.photo)


def test_a_parquet_manifest_keeps_types(tmp_path: Path) -> None:
    columns = {"photo": ["a.jpg", "b.jpg"], "year": [1901, None], "weight": [0.5, 1.5], "specimen": [7.0, 8.0]}
    pq.write_table(pa.table(columns | {"sold": [True, False]}), tmp_path / "list.parquet")
    source = open_source(str(tmp_path / "list.parquet"), tmp_path)
    assert source.columns == {"year": "int64", "weight": "double", "sold": "bool"}
    first, second = source.photos()
    assert first.columns == {"year": 1901, "weight": 0.5, "sold": True}
    assert second.columns["year"] is None
    assert first.specimen == "7"


@pytest.mark.parametrize("header", ["label,drawer", "", "file,a,a"])
def test_a_manifest_without_photos_or_with_a_double_column(tmp_path: Path, header: str) -> None:
    (tmp_path / "list.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(BadSourceError):
        listed(tmp_path / "list.csv", tmp_path / "run")


ESCAPES = ["../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "..\\out.jpg", "C:\\out.jpg"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_entry_that_leads_out_is_a_row_with_an_error(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"photos.{kind}"
    if kind == "zip":
        write_zip(path, {name: b"x", "in.jpg": b"y"})
    else:
        path.write_bytes(tar_bytes({name: b"x", "in.jpg": b"y"}))
    found = listed(path, tmp_path / "run")
    bad = next(one for one in found if one != "in.jpg")
    with pytest.raises(PhotoError) as refused:
        read(found[bad].photo)
    assert refused.value.code == "unsafe-path"
    assert read(found["in.jpg"].photo) == b"y"


def test_links_in_archives_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for name, kind in (
            ("soft.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, str(secret)
            archive.addfile(entry)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        info = zipfile.ZipInfo("soft.jpg")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, str(secret))
    for archive_name, count in (("photos.tar", 3), ("photos.zip", 1)):
        found = listed(tmp_path / archive_name, tmp_path / "run")
        assert len(found) == count
        for one in found.values():
            with pytest.raises(PhotoError) as refused:
                read(one.photo)
            assert refused.value.code == "not-a-file"


def test_caps_on_entries_and_bytes(tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "photos.zip", WANTED)
    plain = tmp_path / "photos.tar"
    plain.write_bytes(tar_bytes(WANTED))
    small = tmp_path / "photos.tar.gz"
    small.write_bytes(gzip.compress(tar_bytes({"zeros.jpg": bytes(10**6)})))
    for caps in (ArchiveCaps(max_entries=6), ArchiveCaps(max_bytes=1000)):
        with pytest.raises(BadSourceError, match="most allowed"):
            list(zip_photos(zipped, caps))
        with pytest.raises(BadSourceError, match="most allowed"):
            list(tar_photos(plain, caps))
    with pytest.raises(BadSourceError, match="most allowed"):
        plain_tar(small, tmp_path, ArchiveCaps(max_bytes=500_000))
    assert not list(tmp_path.glob("source-*"))
    assert not list(tmp_path.glob(".part-*"))
    assert len(list(zip_photos(zipped, ArchiveCaps(max_entries=7)))) == 7


def test_a_zip_bomb_is_stopped_at_the_limit_of_a_photo(tmp_path: Path) -> None:
    write_zip(tmp_path / "photos.zip", {"bomb.jpg": bytes(60 * 2**20)})
    found = listed(tmp_path / "photos.zip", tmp_path / "run")
    assert found["bomb.jpg"].photo.size < 100_000
    with pytest.raises(PhotoError) as refused:
        read(found["bomb.jpg"].photo)
    assert refused.value.code == "image-too-large"


def test_damaged_and_cut_entries_are_told(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "photos.zip", {"a.jpg": os.urandom(1000)}, zipfile.ZIP_STORED)
    photo = listed(path, tmp_path / "run")["a.jpg"].photo
    whole = path.read_bytes()
    codes = []
    for damaged in (whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], whole[:500], b"", b"no zip" + whole):
        path.write_bytes(damaged)
        with pytest.raises(PhotoError) as refused:
            read(photo)
        codes.append(refused.value.code)
    path.unlink()
    with pytest.raises(PhotoError) as refused:
        read(photo)
    assert [*codes, refused.value.code] == ["unreadable-file"] * 4 + ["not-found"]


def test_what_lies_beside_photos_is_left_alone(tmp_path: Path) -> None:
    noise = {"notes.txt": b"", ".hidden/a.jpg": b"", "__MACOSX/a.jpg": b"", ".a.jpg": b"", "b/._c.jpg": b""}
    path = write_zip(tmp_path / "photos.zip", WANTED | noise)
    assert set(listed(path, tmp_path / "run")) == set(WANTED)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/photos"
    os.mkdir(place)  # noqa: PTH102 - a name of bytes
    with open(place + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    found = listed(tmp_path / "photos", tmp_path / "run")
    assert list(found) == ["caf\udce9.jpg"]
    assert read(next(iter(found.values())).photo) == b"x"


def test_a_refusal_is_known(tmp_path: Path) -> None:
    with pytest.raises(PhotoError):
        read(PhotoRef("a.jpg", "zip", "nowhere", refusal="corrupt-image"))
