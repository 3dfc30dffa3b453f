"""Files, folders and patterns as people type them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from handlens.photo_files import expand, photos_in


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def relative(paths: Iterable[str], folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in paths]


def test_a_folder_gives_its_photos_sorted_whatever_their_capitals(tmp_path: Path) -> None:
    make(tmp_path, "b.JPG", "a.jpeg", "c.Heic", "d.tiff", "notes.txt", "a.jpg.json", "README", "jpg", "x/y.png")
    assert relative(photos_in(tmp_path), tmp_path) == ["a.jpeg", "b.JPG", "c.Heic", "d.tiff", "x/y.png"]


def test_folders_below_come_after_the_files_of_their_place(tmp_path: Path) -> None:
    make(tmp_path, "z.jpg", "b/a.jpg", "a/z.jpg", "a/b/c.jpg")
    assert relative(photos_in(tmp_path), tmp_path) == ["z.jpg", "a/z.jpg", "a/b/c.jpg", "b/a.jpg"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".hidden.jpg", "._mac.jpg", ".cache/a.jpg", "seen.jpg")
    assert relative(photos_in(tmp_path), tmp_path) == ["seen.jpg"]


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    make(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert relative(photos_in(tmp_path), tmp_path) == ["a/b.jpg"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/b.jpg", "closed/c.jpg", "d.jpg")
    real_scandir = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert relative(photos_in(tmp_path), tmp_path) == ["d.jpg", "a/b.jpg", "closed"]


def test_files_stand_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.jpg", "notes.txt")
    typed = ["./a.jpg", "notes.txt", "a.jpg", "a.jpg", "gone.jpg", "", "-x.jpg"]
    assert list(expand(typed)) == typed


def test_a_folder_is_replaced_by_its_photos_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "f/b.jpg", "f/a.jpg", "z.jpg", "empty/notes.txt")
    assert list(expand(["z.jpg", "f", "f/", "empty"])) == [
        "z.jpg",
        "f/a.jpg",
        "f/b.jpg",
        "f/a.jpg",
        "f/b.jpg",
        "empty",
    ]


def test_patterns_give_what_they_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "b1.jpg", "a1.jpg", "a2.png", "a3.txt", "sub/a9.jpg", "a5.jpg/inside.png")
    assert list(expand(["a*"])) == ["a1.jpg", "a2.png", "a3.txt"]
    assert list(expand(["[ab]1.jpg", "?2.png"])) == ["a1.jpg", "b1.jpg", "a2.png"]
    assert list(expand(["**/a9.*"])) == ["sub/a9.jpg"]
    assert list(expand([f"{tmp_path}/b*"])) == [f"{tmp_path}/b1.jpg"]
    assert list(expand(["*.gif", "a5*"])) == ["*.gif", "a5*"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a[1].jpg", "a1.jpg", "what?.jpg")
    assert list(expand(["a[1].jpg", "what?.jpg"])) == ["a[1].jpg", "what?.jpg"]


@pytest.mark.parametrize("name", ["n" * 300 + ".jpg", "n" * 300 + "*", "x/" * 3000 + "a.jpg", "zero\0.jpg"])
def test_names_that_no_file_can_have_are_passed_on(name: str) -> None:
    assert list(expand([name])) == [name]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    make(tmp_path, name)
    assert list(expand([str(tmp_path)])) == [str(tmp_path / name)]
