"""Families of licences."""

from __future__ import annotations

import pytest

from handlens.dataset.licences import FAMILIES, FREE, family_of, needs_author

CC = "https://creativecommons.org/"


@pytest.mark.parametrize(
    ("name", "url", "family"),
    [
        ("CC BY 4.0", None, "cc-by"),
        ("CC-BY-SA-3.0", None, "cc-by-sa"),
        ("cc-by-sa-3.0-migrated", None, "cc-by-sa"),
        ("CC BY-SA 2.0 de", f"{CC}licenses/by-sa/2.0/de/deed.en", "cc-by-sa"),
        ("Creative Commons Attribution-Share Alike 4.0", None, "cc-by-sa"),
        ("CC BY-NC-SA 4.0", None, "cc-by-nc-sa"),
        ("CC BY-NC-ND 4.0", None, "cc-by-nc-nd"),
        ("CC0", f"{CC}publicdomain/zero/1.0/", "cc0"),
        ("CC0 1.0", None, "cc0"),
        ("Public domain", None, "public-domain"),
        ("PD-USGov", None, "public-domain"),
        ("No restrictions", None, "public-domain"),
        (None, f"{CC}licenses/by/4.0/", "cc-by"),
        (None, f"{CC}publicdomain/mark/1.0/", "public-domain"),
        ("CC BY 4.0", f"{CC}licenses/by-nc/4.0/", None),
        ("Public domain", f"{CC}licenses/by/4.0/", None),
        ("GFDL", None, None),
        ("Copyrighted free use", None, None),
        ("All rights reserved", None, None),
        ("not CC0", None, None),
        ("CC SA 1.0", None, None),
        ("", "", None),
        (None, None, None),
        (None, "https://example.org/licenses/by/4.0", None),
    ],
)
def test_families(name: str | None, url: str | None, family: str | None) -> None:
    assert family_of(name, url) == family
    assert family is None or family in FAMILIES


def test_free_ones_and_those_that_ask_for_the_author() -> None:
    assert set(FREE) < set(FAMILIES)
    assert [family for family in FREE if needs_author(family)] == ["cc-by", "cc-by-sa"]
