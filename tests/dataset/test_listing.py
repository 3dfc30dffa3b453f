"""Lists and folders: every form that exists, every row that cannot be used, and nothing that ends the reading."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from conftest import SHARED_PHOTOS
from handlens.dataset.errors import BadListError
from handlens.dataset.listing import BadRows, Entry, read_sources, source_digest
from handlens.dataset.tree import row_id

URL_LISTS = SHARED_PHOTOS.parent / "url_lists"
URL = "https://example.org/a.jpg"


def written(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(*sources: Path) -> tuple[list[Entry], list[str]]:
    bad = BadRows()
    entries = list(read_sources(sources, bad))
    assert bad.count == len(bad.examples)
    return entries, [str(row) for row in bad.examples]


def titles(*sources: Path) -> list[str]:
    entries, bad = read(*sources)
    assert not bad
    return [entry.title for entry in entries]


def refusal(source: Path) -> str:
    with pytest.raises(BadListError) as caught:
        read(source)
    assert str(source) in caught.value.detail
    return caught.value.detail


def test_bare_rows(tmp_path: Path) -> None:
    path = written(tmp_path, f"{URL}, quartz, \nhttps://example.org/b.jpg, kinoite, apophyllite, \n")
    (first, second), bad = read(path)
    assert first == Entry(hashlib.sha256(URL.encode()).hexdigest()[:16], str(path), 1, "quartz", url=URL)
    assert (second.title, second.line) == ("kinoite, apophyllite", 2)
    assert not bad


@pytest.mark.parametrize(
    ("row", "url", "title"),
    [
        (f"{URL},quartz", URL, "quartz"),
        (f'  {URL} ,  "smoky quartz" ,,', URL, "smoky quartz"),
        (f'"{URL}","Azurite, Malachite"', URL, "Azurite, Malachite"),
        ("https://example.org/a,_b.jpg, quartz, ", "https://example.org/a,_b.jpg", "quartz"),
        ("https://example.org/%C3%81gata.jpg, ágata", "https://example.org/%C3%81gata.jpg", "ágata"),
        (f"{URL}, pyrochloresupergroup(var:betafite, ", URL, "pyrochloresupergroup(var:betafite"),
    ],
)
def test_a_bare_row_in_every_form(tmp_path: Path, row: str, url: str, title: str) -> None:
    (entry,), bad = read(written(tmp_path, f"{row}\n"))
    assert (entry.url, entry.title) == (url, title)
    assert not bad


def test_columns_in_any_order_and_rights(tmp_path: Path) -> None:
    text = (
        "Label,extra,URL,page,author,license,licence_url,credit,group\n"
        f'"Azurite, Malachite",x,{URL},https://example.org/p,"O\'Neil, Ann",CC BY 4.0,https://cc/by,Own work,tray 7\n'
        f"quartz,x,https://example.org/b.jpg,,,,,,\n"
    )
    (first, second), bad = read(written(tmp_path, text))
    assert (first.title, first.author, first.licence) == ("Azurite, Malachite", "O'Neil, Ann", "CC BY 4.0")
    assert (first.page, first.licence_url, first.credit) == ("https://example.org/p", "https://cc/by", "Own work")
    assert (first.group, second.group, second.author, second.licence) == ("tray 7", None, None, None)
    assert not bad


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_byte_order_mark_and_line_ends(tmp_path: Path, delimiter: str, mark: str, end: str) -> None:
    text = end.join([mark + delimiter.join(["url", "label"]), "", delimiter.join([URL, "ágata"]), ""])
    assert titles(written(tmp_path, text)) == ["ágata"]


def test_labels_without_quotes_in_the_last_column(tmp_path: Path) -> None:
    assert titles(written(tmp_path, f"url,label\n{URL},azurite, malachite,\n")) == ["azurite, malachite"]


def test_a_label_over_two_lines(tmp_path: Path) -> None:
    (first, second), bad = read(written(tmp_path, f'url,label\n{URL},"quartz\n(Japan)"\n{URL}x,calcite\n'))
    assert (first.title.split(), second.title, second.line) == (["quartz", "(Japan)"], "calcite", 4)
    assert not bad


def test_what_a_file_is_its_content_says(tmp_path: Path) -> None:
    assert titles(written(tmp_path, f"{URL}, quartz", name="list.jpg")) == ["quartz"]


def test_bad_rows_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [
        f"{URL}, quartz",
        "https://example.org/b.jpg, ",
        "ftp://example.org/c.jpg, quartz",
        "https://, quartz",
        "https://[::1/d.jpg, quartz",
        "not a row at all",
        f"https://example.org/{'e' * 2048}.jpg, quartz",
        f"https://example.org/f.jpg, {'f' * 70_000}",
        "https://example.org/\x07g.jpg, quartz",
        "https://example.org/h.jpg, calcite",
    ]
    path = written(tmp_path, "\n".join(rows).encode() + b"\nhttps://example.org/i.jpg, \xff\xfe\n")
    entries, bad = read(path)
    assert [entry.title for entry in entries] == ["quartz", "calcite"]
    assert [row.split(": ", 1)[0] for row in bad] == [f"{path}:{line}" for line in (2, 3, 4, 5, 6, 7, 8, 9, 11)]
    for said, row in zip(
        ["label", "address", "address", "sense", "address", "2,048", "65,536", "address"], bad[:8], strict=True
    ):
        assert said in row
    assert "UTF-8" in bad[-1]


def test_bad_rows_of_a_table(tmp_path: Path) -> None:
    text = f"url,label,author\n{URL},quartz\n,quartz,x\n{URL},,x\n{URL},quartz,x,y\n{URL},calcite,x\n"
    entries, bad = read(written(tmp_path, text))
    assert [entry.title for entry in entries] == ["calcite"]
    assert ["2 columns" in bad[0], "no address" in bad[1], "no label" in bad[2], "4 columns" in bad[3]] == [True] * 4


def test_a_quote_that_nothing_closes_costs_some_rows_and_not_the_list(tmp_path: Path) -> None:
    rows = [f"https://example.org/{number}.jpg,quartz" for number in range(20_000)]
    rows[100] = 'https://example.org/100.jpg,"quartz'
    entries, bad = read(written(tmp_path, "url,label\n" + "\n".join(rows)))
    assert len(bad) >= 1
    assert "cannot be read" in bad[0]
    assert len(entries) > 15_000
    assert entries[-1].url == "https://example.org/19999.jpg"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"name,label\nx,quartz\n", "neither"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a text file"),
        ("url,label\n".encode("utf-16"), "not a text file"),
    ],
)
def test_what_is_no_list(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(written(tmp_path, content))


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nothing.csv")
    with pytest.raises(BadListError):
        source_digest(tmp_path / "nothing.csv")


def test_class_folders(tmp_path: Path) -> None:
    for file in ("quartz/a.jpg", "quartz/more/b.PNG", "Smoky Quartz/c.jpg", "quartz/notes.txt", ".git/d.jpg", "e.jpg"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    entries, bad = read(tmp_path)
    assert [(entry.title, entry.path) for entry in entries] == [
        ("Smoky Quartz", f"{tmp_path}/Smoky Quartz/c.jpg"),
        ("quartz", f"{tmp_path}/quartz/a.jpg"),
        ("quartz", f"{tmp_path}/quartz/more/b.PNG"),
    ]
    assert entries[1].id == row_id("quartz/a.jpg")
    assert {(entry.url, entry.group) for entry in entries} == {(None, None)}
    assert bad == [f"{tmp_path}/e.jpg: lies in no class folder, so it has no label"]


def test_class_folders_below_split_folders(tmp_path: Path) -> None:
    for file in ("train/quartz/a.jpg", "test/quartz/a.jpg", "validation/calcite/b.jpg"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    entries, bad = read(tmp_path)
    assert sorted(entry.title for entry in entries) == ["calcite", "quartz", "quartz"]
    assert len({entry.id for entry in entries}) == 3
    assert not bad


def test_ids_of_a_tree_do_not_depend_on_where_it_is(tmp_path: Path) -> None:
    for tree in ("one", "two"):
        (tmp_path / tree / "quartz").mkdir(parents=True)
        (tmp_path / tree / "quartz" / "a.jpg").touch()
    (one,), _ = read(tmp_path / "one")
    (two,), _ = read(tmp_path / "two")
    assert one.id == two.id
    both, _ = read(tmp_path / "one", tmp_path / "two")  # of two trees in one set they are two photos
    assert [both[0].id == one.id, both[1].id == one.id] == [True, False]


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "quartz").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "quartz") + b"/\xff.jpg")).touch()
    entries, bad = read(tmp_path)
    assert not entries
    assert "not UTF-8" in bad[0]


def test_a_folder_without_classes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert "no photo in a folder named for its label" in refusal(tmp_path)


def test_the_digest_of_a_source_changes_with_it(tmp_path: Path) -> None:
    path = written(tmp_path, "x")
    (tmp_path / "tree" / "quartz").mkdir(parents=True)
    before = source_digest(path), source_digest(tmp_path / "tree")
    assert before == (source_digest(path), source_digest(tmp_path / "tree"))
    path.write_text("y")
    (tmp_path / "tree" / "quartz" / "a.jpg").touch()
    assert before[0] != source_digest(path)
    assert before[1] != source_digest(tmp_path / "tree")


def test_bad_rows_are_all_counted_and_some_kept() -> None:
    bad = BadRows(most=2)
    for number in range(5):
        bad.add(f"list.csv:{number}", "no label")
    assert (bad.count, [row.where for row in bad.examples]) == (5, ["list.csv:0", "list.csv:1"])


@pytest.mark.skipif(not URL_LISTS.is_dir(), reason="no lists of real photos here: ../shared/data/url_lists")
def test_the_lists_of_real_photos() -> None:
    entries, bad = read(URL_LISTS / "mindat_sample.csv", URL_LISTS / "wikimedia.csv")
    assert not bad
    assert len(entries) == 546 + 1298
    assert len({entry.id for entry in entries}) == 546 + 1298 - 43  # some photos stand under two labels
    assert "stilbite-ca, heulandite-ca" in {entry.title for entry in entries}
