"""Folders named for labels, and trees of links."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from handlens.dataset.folders import LinkTree, folder_name

ODD = [
    "..",
    ".",
    "",
    "/",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "c:",
    "a*b?",
    "100%",
    "%2F",
    "a\0b",
    "a\nb",
    " quartz",
    "quartz ",
    "quartz.",
    ".hidden",
    "~root",
    "CON",
    "con.txt",
    "lpt1",
    "a|b<c>",
    "\u202egnp",
]


@pytest.mark.parametrize(
    "label",
    ["quartz", "smoky quartz", "quartz (var: x)".replace(":", ""), "ágata", "石英", "हीरा", "fluorapatite-(CaF)"],
)
def test_names_of_minerals_stay_as_they_are(label: str) -> None:
    assert folder_name(label) == label


@pytest.mark.parametrize("label", ODD)
def test_odd_labels_become_one_harmless_component(label: str) -> None:
    name = folder_name(label)
    assert Path(name).name == name
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|')
    assert name.strip(" .") == name
    assert unquote(name) == label or label == ""


def test_different_labels_have_different_folders() -> None:
    labels = [*ODD, "a%2Fb", "x" * 130, "x" * 131, "é" * 70, "é" * 71, "con", "%63on"]
    names = {folder_name(label) for label in labels}
    assert len(names) == len(labels)
    assert all(len(name.encode()) <= 137 for name in names)


def test_a_surrogate_is_escaped() -> None:
    assert folder_name("a\udce1b") == "a%ED%B3%A1b"


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_tree_of_links_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    folder = tmp_path / "links"
    links = LinkTree(folder)
    links.add("quartz", "1.jpg", tmp_path / "a")
    links.add("../x", "../1.jpg", tmp_path / "b")
    assert not folder.exists()
    links.commit()
    assert tree(folder) == {"quartz/1.jpg": "a", "%2E.%2Fx/%2E.%2F1.jpg": "b"}
    assert (folder / "quartz" / "1.jpg").samefile(tmp_path / "a")
    killed = LinkTree(folder)
    killed.add("pyrite", "9.jpg", tmp_path / "c")
    again = LinkTree(folder)
    again.add("pyrite", "1.jpg", tmp_path / "c")
    assert tree(folder) == {"quartz/1.jpg": "a", "%2E.%2Fx/%2E.%2F1.jpg": "b"}
    again.commit()
    assert tree(folder) == {"pyrite/1.jpg": "c"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "links"]


def test_what_is_not_there_cannot_be_linked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LinkTree(tmp_path / "links").add("quartz", "1.jpg", tmp_path / "none")
