"""What the names of files and categories give away."""

from __future__ import annotations

import pytest

from handlens.dataset.commons.rules import REASONS, Subject
from handlens.dataset.labels import LabelReader

READER = LabelReader()


def subject(name: str) -> Subject:
    return Subject(READER.minerals.find(name), READER)


def reason(name: str, file_name: str, *categories: str) -> str | None:
    found = subject(name).why_not_photo(file_name, categories)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("fluorite", "Fluorite - Rogerley Mine, Weardale, England.jpg"),
        ("azurite", "Azurite-229883.jpg"),
        ("topaz", "2009 04 19 - Washington DC - Natural History Museum - Topaz (3527504054).jpg"),
        ("corundum", "Corundum from Cascade Canyon, San Bernardino Co.jpg"),
        ("copper", "Copper from the Quincy quarry, Keweenaw.jpg"),
        ("celestine", "Celestite geode, Crystal Cave, Ohio.jpg"),
        ("labradorite", "Anorthosite with labradorite (Wiborg Batholith, 1633 Ma).jpg"),
        ("malachite", "Malachite from Mapimi, Mexico.jpg"),
    ],
)
def test_photos_of_specimens(name: str, file_name: str) -> None:
    assert reason(name, file_name) is None


@pytest.mark.parametrize(
    ("name", "file_name", "why"),
    [
        ("kaolinite", "Beevers crystal structure model of Kaolinite.jpg", "structure"),
        ("zircon", "EB1911 Zircon - crystal diagram (1).jpg", "diagram"),
        ("albite", "02 FELDSPAR stabilitetsdiagramm.jpg", "diagram"),
        ("zircon", "Detrital_zircons_BSE_micrographs.jpg", "micrograph"),
        ("turquoise", "Chacoan_turquoise_pendant.jpg", "jewellery"),
        ("alabaster", "Alabaster vase turning (5378433108).jpg", "carving"),
        ("turquoise", "Madan Turquoise Mines.jpg", "place"),
        ("copper", "Kennecott-copper-mine.jpg", "place"),
        ("diamond", "Cullinan Diamond (replica) 2.jpg", "not-natural"),
        ("galena", "Galena map of Missouri.png", "map"),
    ],
)
def test_pictures_of_other_things(name: str, file_name: str, why: str) -> None:
    assert reason(name, file_name) == why


@pytest.mark.parametrize(
    ("category", "why"),
    [
        ("Pages with maps", None),
        ("Files with coordinates missing SDC location of creation", None),
        ("Taken with Nikon AZ100 microscope", None),
        ("Minerals in the Natural History Museum, London", None),
        ("Images with annotations", None),
        ("Rogerley Mine", None),
        ("Internet Archive Book Images", "drawing"),
        ("Thin sections of fluorite", "micrograph"),
        ("Faceted fluorites", "jewellery"),
        ("Fluorite mines in China", "place"),
        ("Objects made of fluorite", "carving"),
        ("Synthetic minerals", "not-natural"),
        ("Postage stamps of Namibia", "object"),
    ],
)
def test_categories_of_photos(category: str, why: str | None) -> None:
    assert reason("fluorite", "a.jpg", category) == why


@pytest.mark.parametrize(
    ("name", "file_name", "categories", "others"),
    [
        ("azurite", "Azurite-Malachite-229883.jpg", (), ("malachite",)),
        ("barite", "Baryte-Sphalerite-elm37a.jpg", (), ("sphalerite",)),
        ("chalcopyrite", "Acanthite-Polybasite-Chalcopyrite-196080.jpg", (), ("acanthite", "polybasite")),
        ("malachite", "Museum - Quartz with Malachite (3527546990).jpg", (), ("quartz",)),
        ("amethyst", "a.jpg", ("Amethyst", "Quartz", "Violet minerals", "Silica group"), ()),
        (
            "azurite",
            "a.jpg",
            ("Azurite", "Cerussite", "Malachite Hill", "Minerals of gold mines in Nevada"),
            ("cerussite",),
        ),
        ("fluorite", "Fluorite - Rogerley Mine, Weardale, England.jpg", ("Rogerley Mine",), ()),
    ],
)
def test_other_minerals(name: str, file_name: str, categories: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert subject(name).others(file_name, categories) == others


def test_a_more_exact_name() -> None:
    assert reason("quartz", "Citrine.jpg") == "named-more-exactly"
    assert reason("quartz", "a.jpg", "Amethyst from Brazil") == "named-more-exactly"
    assert reason("citrine", "Citrine.jpg", "Quartz") is None


def test_names_of_a_mineral_in_english() -> None:
    assert {"Barite", "Baryte"} <= set(subject("barita").names)
    assert not {"Baritina", "barita"} & set(subject("barite").names)


def test_every_reason_is_in_words() -> None:
    assert all(REASONS.values())
    assert all(name == name.lower() for name in REASONS)
