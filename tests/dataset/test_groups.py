"""Which addresses tell that photos belong together."""

from __future__ import annotations

import pytest

from conftest import SHARED_PHOTOS
from handlens.dataset.groups import group_of
from handlens.dataset.listing import BadRows, Entry, read_sources

COMMONS = "https://upload.wikimedia.org/wikipedia/commons/0/05/"
URL_LISTS = SHARED_PHOTOS.parent / "url_lists"


def group(url: str, author: str | None = None, given: str | None = None) -> str | None:
    return group_of(Entry("0" * 16, "list.csv", 1, "quartz", url=url, author=author, group=given))


def commons(name: str, author: str | None = None) -> str | None:
    return group(COMMONS + name, author)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Amazonite_(Crystal_Peak,_USA)_2_%2833361793574%29.jpg",
            "Amazonite_(Crystal_Peak,_USA)_11_%2833361793999%29.jpg",
        ),
        ("Amazonite_(Crystal_Peak,_USA).jpg", "Amazonite_(Crystal_Peak,_USA)_2.JPG"),
        ("Actinolite_-_USGS_Mineral_Specimens_003.jpg", "Actinolite_-_USGS_Mineral_Specimens_001.jpg"),
        ("Arsentsumebite-Azurite-rut380e.jpg", "Arsentsumebite-Azurite-rut380a.jpg"),
        ("Green_Fluorite_Berbes_(1).jpg", "Green_Fluorite_Berbes_(2).jpg"),
        ("Green_Fluorite_Berbes_a.jpg", "Green_Fluorite_Berbes_b.jpg"),
    ],
)
def test_numbered_files_of_one_name(one: str, other: str) -> None:
    assert commons(one) == commons(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Calcite-Gypsum-Elmwood-229681.jpg", "Calcite-Gypsum-Elmwood-229682.jpg"),  # catalogue numbers
        ("Achat_from_Idar_DSC_5288.jpg", "Achat_from_Idar_DSC_5289.jpg"),  # a camera's counter
        ("Green_Fluorite_Berbes.jpg", "Blue_Fluorite_Berbes.jpg"),
    ],
)
def test_names_that_tell_nothing(one: str, other: str) -> None:
    assert commons(one) != commons(other)


def test_short_names_count_only_with_their_author() -> None:
    assert commons("Calcite_1.jpg") is None
    assert commons("Calcite_1.jpg", "Ann") == commons("Calcite_2.jpg", "Ann") is not None
    assert commons("Calcite_1.jpg", "Ann") != commons("Calcite_1.jpg", "Bob")


def test_a_photo_that_is_scaled_down_keeps_its_group() -> None:
    thumb = "https://upload.wikimedia.org/wikipedia/commons/thumb/0/05/Red_Calcite_Elmwood_2.jpg/1280px-Red_Calcite_Elmwood_2.jpg"
    assert group(thumb) == commons("Red_Calcite_Elmwood.jpg") is not None


def test_one_upload_of_mindat() -> None:
    first = group("https://www.mindat.org/photos/871/80/087180000973367537.jpg")
    assert first == group("https://www.mindat.org/photos/418/87/041887100973367617.jpg") is not None
    assert first != group("https://www.mindat.org/photos/418/87/041887100973457617.jpg")
    assert group("https://www.mindat.org/photos/u00/00/au00002.jpg") is None
    assert group("https://example.org/photos/418/87/041887100973367617.jpg") is None


def test_a_given_group_wins() -> None:
    assert group(COMMONS + "Red_Calcite_Elmwood.jpg", given="tray 7") == "list.csv: tray 7"


@pytest.mark.skipif(not URL_LISTS.is_dir(), reason="no lists of real photos here: ../shared/data/url_lists")
def test_groups_of_real_photos_are_small() -> None:
    for name, largest in (("mindat_sample.csv", 40), ("wikimedia.csv", 20)):
        groups = [found for entry in read_sources([URL_LISTS / name], BadRows()) if (found := group_of(entry))]
        assert len(groups) > 400
        assert max(map(groups.count, set(groups))) <= largest
