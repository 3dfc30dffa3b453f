"""Counting labels, the table of those with at least N photos, and its plot."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from conftest import SHARED_PHOTOS
from handlens.dataset.counts import LabelCount, Rung, count_labels, plot_counts, write_counts
from handlens.errors import UsageError

URL_LISTS = SHARED_PHOTOS.parent / "url_lists"
PUBLISHED = {
    "Calcite": 28748, "Fluorite": 26815, "Quartz": 21732, "Baryte": 9738, "Pyrite": 8992, "Wulfenite": 7794,
    "Azurite": 7625, "Elbaite": 6589, "Malachite": 6433, "Quartz (Var: Amethyst)": 6422, "Sphalerite": 6264,
    "Pyromorphite": 6082, "Galena": 5956, "Copper": 5693,
}  # fmt: skip
"""Rows a label of the full MinDat list: the fourteen that have 5,000 or more."""


def bare(folder: Path, *titles: str) -> Path:
    path = folder / "list.csv"
    path.write_text("".join(f"https://example.org/{place}.jpg, {title}, \n" for place, title in enumerate(titles)))
    return path


def test_alone_shared_and_unknown(tmp_path: Path) -> None:
    path = bare(tmp_path, "quartz", "Quartz", "azurite, malachite", "azurite", "duftite", "?")
    counts = count_labels([path])
    assert counts.labels == (
        LabelCount("quartz", 2, 0, True),
        LabelCount("azurite", 1, 1, True),
        LabelCount("duftite", 1, 0, False),
        LabelCount("malachite", 0, 1, True),
    )
    assert (counts.photos, counts.several, counts.nameless, counts.bad) == (6, 1, 1, 0)
    assert [(name.name, name.rows) for name in counts.unknown] == [("duftite", 1)]


def test_an_address_counts_once_and_its_labels_are_brought_together(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    rows = [
        ("a", "quartz"),
        ("a", "Quartz"),
        ("b", "azurite"),
        ("b", "malachite"),
        ("c", "malachite"),
        ("b", "azurite"),
    ]
    path.write_text("url,label\n" + "".join(f"https://example.org/{name},{label}\n" for name, label in rows))
    counts = count_labels([path, path])
    assert {label.label: (label.rows, label.shared) for label in counts.labels} == {
        "quartz": (1, 0),
        "malachite": (1, 1),
        "azurite": (0, 1),
    }
    assert (counts.photos, counts.repeated, counts.merged, counts.several) == (3, 9, 1, 1)


def test_fourteen_labels_of_the_full_list_have_five_thousand(tmp_path: Path) -> None:
    path = tmp_path / "full.csv"
    with path.open("w") as file:
        for title, rows in (PUBLISHED | {"Vanadinite": 4999}).items():
            file.writelines(f"https://example.org/{title[-9:-1]}/{number}.jpg, {title}, \n" for number in range(rows))
    counts = count_labels([path])
    assert counts.at_least(5_000) == Rung(5_000, 14, sum(PUBLISHED.values()))
    assert counts.at_least(4_999).labels == 15
    assert [(label.label, label.rows) for label in counts.labels[:1]] == [("calcite", 28748)]
    assert {label.label: label.rows for label in counts.labels}["amethyst"] == 6422


def test_the_ladder_ends_where_the_labels_do_and_has_what_is_asked_for(tmp_path: Path) -> None:
    counts = count_labels([bare(tmp_path, *["quartz"] * 6, *["calcite"] * 3, "pyrite")])
    assert counts.ladder(asked=[3, 5, 7]) == (
        Rung(1, 3, 10), Rung(2, 2, 9), Rung(3, 2, 9), Rung(5, 1, 6), Rung(7, 0, 0),
    )  # fmt: skip


def test_the_curve_is_that_of_the_table(tmp_path: Path) -> None:
    counts = count_labels([bare(tmp_path, *["quartz"] * 6, *["calcite"] * 3, *["gold"] * 3, "pyrite", "gold, silver")])
    assert counts.curve() == ((1, 4), (3, 3), (6, 1))
    assert all(counts.at_least(number).labels == labels for number, labels in counts.curve())
    assert all(counts.at_least(number + 1).labels < labels for number, labels in counts.curve())


def test_counts_as_csv(tmp_path: Path) -> None:
    write_counts(
        count_labels([bare(tmp_path, "quartz", "quartz", "duftite, azurite")]), tmp_path / "out" / "counts.csv"
    )
    with (tmp_path / "out" / "counts.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["label", "photos", "shared", "known"],
            ["quartz", "2", "0", "yes"],
            ["azurite", "0", "1", "yes"],
            ["duftite", "0", "1", "no"],
        ]


def test_the_plot(tmp_path: Path) -> None:
    counts = count_labels([bare(tmp_path, *["quartz"] * 6, *["calcite"] * 3, "pyrite")])
    for name in ("one.svg", "two.svg", "plot.png"):
        plot_counts(counts, tmp_path / name, asked=[5])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert ET.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 600


def test_plots_that_cannot_be_drawn(tmp_path: Path) -> None:
    counts = count_labels([bare(tmp_path, "quartz")])
    with pytest.raises(UsageError, match=r"\.svg"):
        plot_counts(counts, tmp_path / "plot.pdf")
    with pytest.raises(UsageError, match="nothing to plot"):
        plot_counts(count_labels([bare(tmp_path, "?")]), tmp_path / "plot.svg")
    with pytest.raises(UsageError, match="at least 1"):
        plot_counts(counts, tmp_path / "plot.svg", asked=[0])
    assert not (tmp_path / "plot.svg").exists()


@pytest.mark.skipif(not URL_LISTS.is_dir(), reason="no lists of real photos here: ../shared/data/url_lists")
def test_the_lists_of_real_photos() -> None:
    counts = count_labels([URL_LISTS / "mindat_sample.csv", URL_LISTS / "wikimedia.csv"])
    assert (counts.photos, counts.repeated, counts.bad, counts.nameless) == (1801, 43, 0, 0)
    known = sum(label.rows + label.shared for label in counts.labels if label.known)
    assert known / sum(label.rows + label.shared for label in counts.labels) > 0.95
    assert {"quartz", "barite", "celestine"} <= {label.label for label in counts.labels}
    assert not {"baryte", "celestite", "sulfur", "kfeldspar"} & {label.label for label in counts.labels}
