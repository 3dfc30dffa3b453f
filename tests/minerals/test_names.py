"""The spelling rules on their own, without any mineral."""

from __future__ import annotations

import pytest

from handlens.minerals import names


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Quartz", "quartz"),
        ("  Tiger's\tEye \n", "tigers eye"),
        ("tiger’s eye", "tigers eye"),
        ("ROSE_QUARTZ", "rose quartz"),
        ("rose-quartz", "rose quartz"),
        ("ágata", "agata"),
        ("a\u0301gata", "agata"),
        ("hübnerite", "hubnerite"),
        ("Fluorapophyllite-(K)", "fluorapophyllite k"),
        ("", ""),
        (" ?!- ", ""),
    ],
)
def test_key_keeps_letters_and_digits_only(text: str, key: str) -> None:
    assert names.key(text) == key


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Quartz (Var: Amethyst)", ("quartz", "amethyst")),
        ("Quartz(Var:Amethyst)", ("quartz", "amethyst")),
        ("Amethyst (Quartz)", ("amethyst", "quartz")),
        ("quartz var. amethyst", ("quartz", "amethyst")),
        ("amethyst variety of quartz", ("amethyst", "quartz")),
        ("amatista, variedad de cuarzo", ("amatista", "cuarzo")),
        ("Var. Amethyst", ("amethyst",)),
        ("quartz, smoky", ("quartz", "smoky")),
        ("variscite", ("variscite",)),
        ("Monazite-(La)", ("monazite", "la")),
        ("(( , ))", ()),
        ("", ()),
    ],
)
def test_parts_of_a_label(text: str, parts: tuple[str, ...]) -> None:
    assert names.parts(text) == parts


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("amethysts", "amethyst"),
        ("tiger eyes", "tiger eye"),
        ("rubies", "ruby"),
        ("topazes", "topaz"),
        ("cuarzos ahumados", "cuarzo ahumado"),
        ("cristales de roca", "cristal de roca"),
    ],
)
def test_singulars_hold_the_right_one(plural: str, singular: str) -> None:
    assert singular in set(names.singulars(plural))


def test_a_singular_has_no_other_singular() -> None:
    assert list(names.singulars("quartz")) == []


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("garnet group", "garnet"),
        ("grupo del granate", "granate"),
        ("tourmaline supergroup", "tourmaline"),
        ("biotite series", "biotite"),
        ("quartz", None),
        ("group", None),
    ],
)
def test_without_group_word(text: str, rest: str | None) -> None:
    assert names.without_group_word(text) == rest


def test_cuts_give_every_pair() -> None:
    assert list(names.cuts("smoky quartz crystal")) == [
        ("smoky", "quartz crystal"),
        ("smoky quartz", "crystal"),
    ]
    assert list(names.cuts("quartz")) == []
