"""The stage `filter`: what is selected, what is left out and why, and in how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from commands import environment
from conftest import SHARED_PHOTOS
from handlens.dataset.errors import BadListError
from handlens.dataset.filter import FilterSettings, FilterSummary, filter_list, read_names
from handlens.dataset.manifest import Row, read_info
from handlens.dataset.tree import row_id
from handlens.dataset.workspace import Workspace

URL_LISTS = SHARED_PHOTOS.parent / "url_lists"
LIST = """url,label,author,licence,licence_url
https://example.org/1.jpg,Quartz,Ann,CC BY 4.0,https://creativecommons.org/licenses/by/4.0
https://example.org/2.jpg,Quartz (Var: Amethyst),Ann,CC BY-SA 3.0,
https://example.org/3.jpg,"Azurite, Malachite",,,
https://example.org/4.jpg,Azurite,Bob,CC BY-NC 2.0,
https://example.org/5.jpg,Baryte,,CC0,
https://example.org/5.jpg,barite,,CC0,
https://example.org/6.jpg,Duftite,,,
https://example.org/7.jpg,???,,,
https://example.org/8.jpg,,,,
https://example.org/9.jpg,quartz,,Public domain,
"""


def select(folder: Path, text: str = LIST, **settings: Any) -> tuple[FilterSummary, list[Row]]:
    (folder / "list.csv").write_text(text)
    workspace = Workspace(folder / "made")
    summary = filter_list(workspace, FilterSettings(sources=(folder / "list.csv",), **settings))
    return summary, list(workspace.rows("filter"))


def test_every_row_is_kept_or_left_out_for_a_reason(tmp_path: Path) -> None:
    summary, rows = select(tmp_path)
    assert [row.label for row in rows] == ["quartz", "amethyst", "azurite", "barite", "duftite", "quartz"]
    assert summary.labels == (("quartz", 2), ("amethyst", 1), ("azurite", 1), ("barite", 1), ("duftite", 1))
    assert dict(summary.left_out) == {"several": 1, "repeated": 1, "no-name": 1, "bad-row": 1}
    assert summary.kept + sum(dict(summary.left_out).values()) == 10
    assert [str(row) for row in summary.bad_rows] == [f"{tmp_path}/list.csv:10: has no label"]
    assert [(name.name, name.rows) for name in summary.unknown] == [("duftite", 1)]


def test_a_row_has_all_that_the_list_says(tmp_path: Path) -> None:
    _, (first, *_) = select(tmp_path)
    assert first == Row(
        id=row_id("https://example.org/1.jpg"),
        label="quartz",
        status="listed",
        title="Quartz",
        source=str(tmp_path / "list.csv"),
        url="https://example.org/1.jpg",
        author="Ann",
        licence="CC BY 4.0",
        licence_url="https://creativecommons.org/licenses/by/4.0",
    )


def test_several_minerals_labelled_by_the_first(tmp_path: Path) -> None:
    summary, rows = select(tmp_path, several="first")
    (row,) = [row for row in rows if row.also]
    assert (row.label, row.also, row.title) == ("azurite", ("malachite",), "Azurite, Malachite")
    assert "several" not in dict(summary.left_out)


def test_an_address_with_two_labels_shows_several_minerals(tmp_path: Path) -> None:
    text = "url,label\nhttps://example.org/1.jpg,azurite\nhttps://example.org/1.jpg,malachite\nhttps://example.org/2.jpg,gold"
    summary, rows = select(tmp_path, text)
    assert [row.label for row in rows] == ["gold"]
    assert (summary.merged, dict(summary.left_out)) == (1, {"several": 1, "repeated": 1})
    _, rows = select(tmp_path, text, several="first")
    assert [(row.label, row.also) for row in rows] == [("azurite", ("malachite",)), ("gold", ())]


def test_names_select_exact_labels_in_any_spelling(tmp_path: Path) -> None:
    summary, rows = select(tmp_path, labels=("cuarzo", "barita", "duftit", "galena"))
    assert [row.label for row in rows] == ["quartz", "barite", "quartz"]  # and no amethyst
    assert dict(summary.left_out)["not-selected"] == 3
    assert summary.absent == ("galena",)
    assert [(name.name, name.rows) for name in summary.unknown_selected] == [("duftit", 0)]


def test_an_unknown_name_selects_its_like(tmp_path: Path) -> None:
    _, rows = select(tmp_path, labels=("Duftite",))
    assert [row.label for row in rows] == ["duftite"]


def test_a_file_of_names(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\ufeff# the violet ones\r\n\r\n Quartz (Var: Amethyst) \r\nazurite,\r\n", encoding="utf-8")
    _, rows = select(tmp_path, names=names)
    assert [row.label for row in rows] == ["amethyst", "azurite"]
    assert read_names(names) == ("Quartz (Var: Amethyst)", "azurite")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\n"])
def test_files_of_names_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(BadListError, match=r"names\.txt"):
        read_names(tmp_path / "names.txt")
    with pytest.raises(BadListError, match="nowhere"):
        read_names(tmp_path / "nowhere.txt")


def test_a_least_number_counts_what_would_be_kept(tmp_path: Path) -> None:
    summary, rows = select(tmp_path, at_least=2)
    assert [row.label for row in rows] == ["quartz", "quartz"]
    assert dict(summary.left_out)["too-few"] == 4
    _, rows = select(tmp_path, at_least=2, several="first")
    assert sorted({row.label for row in rows}) == ["azurite", "quartz"]


def test_licences(tmp_path: Path) -> None:
    summary, rows = select(tmp_path, licences=("cc0", "cc-by", "public-domain"))
    assert [row.licence for row in rows] == ["CC BY 4.0", "CC0", "Public domain"]
    assert dict(summary.left_out)["licence"] == 5


def test_nothing_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadListError, match=r"not-selected 6.*ametist \(near amethyst"):
        select(tmp_path, labels=("ametist",))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "settings",
    [{"at_least": 0}, {"several": "all"}, {"licences": ("mine",)}, {"sources": ()}, {"lables": ("quartz",)}],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilterSettings(**{"sources": (Path("list.csv"),), **settings})


def test_a_stage_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    first, _ = select(tmp_path)
    table = Workspace(tmp_path / "made").table("filter")
    before = table.stat().st_mtime_ns
    again, _ = select(tmp_path)
    assert (again.done_before, again.kept, again.labels) == (True, first.kept, first.labels)
    assert table.stat().st_mtime_ns == before
    changed, rows = select(tmp_path, LIST + "https://example.org/10.jpg,gold,,,\n")
    assert (changed.done_before, len(rows)) == (False, 7)
    other, _ = select(tmp_path, LIST, at_least=2)
    assert (other.done_before, other.kept) == (False, 2)
    assert read_info(table).settings["at_least"] == 2


def test_a_list_and_a_folder_together(tmp_path: Path) -> None:
    (tmp_path / "own" / "Quartz (Var: Amethyst)").mkdir(parents=True)
    (tmp_path / "own" / "Quartz (Var: Amethyst)" / "a.jpg").touch()
    (tmp_path / "list.csv").write_text("https://example.org/1.jpg, quartz, \n")
    workspace = Workspace(tmp_path / "made")
    filter_list(workspace, FilterSettings(sources=(tmp_path / "list.csv", tmp_path / "own")))
    listed, own = workspace.rows("filter")
    assert (listed.label, listed.path, listed.source) == ("quartz", None, str(tmp_path / "list.csv"))
    assert (own.label, own.url, own.source) == ("amethyst", None, str(tmp_path / "own"))
    assert own.path == str(tmp_path / "own" / "Quartz (Var: Amethyst)" / "a.jpg")


MEASURED = """
import json, re, sys
from pathlib import Path
from handlens.dataset.filter import FilterSettings, filter_list
from handlens.dataset.workspace import Workspace
source = Path(sys.argv[1])
summary = filter_list(Workspace(source.with_suffix("")), FilterSettings(sources=(source,), at_least=100))
# Not ru_maxrss, which a process inherits from the one that started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
print(json.dumps([summary.kept, dict(summary.left_out), len(summary.labels), peak]))
"""


def generated(path: Path, rows: int) -> Path:
    """A list like MinDat's: half the rows under 300 known titles with localities, the others under 1,500 unknown."""
    known = ["calcite", "fluorite", "quartz", "baryte", "azurite, malachite", "quartz (var: amethyst)"]
    with path.open("w") as file:
        for row in range(rows):
            name = f"{known[row // 2 % 6]} - Mine {row % 50}, Spain" if row % 2 else f"unknown{row % 1500}ite"
            number = row - 1 if row % 100 == 99 else row  # one in a hundred is listed again
            file.write(f"https://www.mindat.org/photos/{number % 1000:03}/00/{number:07}00973367537.jpg, {name}, \n")
    return path


def measured(path: Path) -> tuple[int, dict[str, int], int, int]:
    """What is kept, left out, how many labels, and the peak resident memory of the process in MiB."""
    command = [sys.executable, "-c", MEASURED, str(path)]
    done = subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=300)
    kept, left_out, labels, peak = json.loads(done.stdout)
    return kept, left_out, labels, peak


def test_half_a_million_rows_in_bounded_memory(tmp_path: Path) -> None:
    *_, least = measured(generated(tmp_path / "small.csv", 50_000))
    kept, left_out, labels, peak = measured(generated(tmp_path / "full.csv", 500_000))
    assert kept + sum(left_out.values()) == 500_000
    # Five known labels, and those of 750 unknown ones whose photos are not all listed again under another name.
    assert (left_out["repeated"], labels) == (5_000, 5 + 750 - 15)
    assert peak < 300
    assert peak - least < 80  # for 450,000 rows more: what is kept of each is an integer or two


@pytest.mark.skipif(not URL_LISTS.is_dir(), reason="no lists of real photos here: ../shared/data/url_lists")
def test_the_lists_of_real_photos(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    sources = (URL_LISTS / "mindat_sample.csv", URL_LISTS / "wikimedia.csv")
    summary = filter_list(workspace, FilterSettings(sources=sources, at_least=10, labels=("cuarzo", "baryte", "gold")))
    assert dict(summary.labels).keys() == {"quartz", "gold"}
    assert summary.kept + sum(dict(summary.left_out).values()) == 546 + 1298
    assert {row.given_group is None for row in workspace.rows("filter")} == {True, False}
