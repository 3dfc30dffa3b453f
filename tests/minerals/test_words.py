"""The closed words in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from handlens.minerals import Language, Rank
from handlens.minerals.properties import WORDS, Properties
from handlens.minerals.words import CHECKED, CLEAVAGE, NOTICE, RANKS, TEXTS, TITLES, WARNINGS, YES_NO

LANGUAGES = set(get_args(Language))


def test_every_word_has_its_text_in_both_languages() -> None:
    for field, words in WORDS.items():
        assert set(TEXTS[field]) == set(words), field
    tables: list[Mapping[Any, Mapping[Language, str]]] = [
        *TEXTS.values(),
        {True: NOTICE},
        TITLES,
        RANKS,
        YES_NO,
        CLEAVAGE,
        CHECKED,
        WARNINGS,
    ]
    for table in tables:
        for word, texts in table.items():
            assert set(texts) == LANGUAGES, word
            assert all(text == " ".join(text.split()) and text for text in texts.values()), word


def test_every_property_and_rank_has_a_title() -> None:
    assert set(Properties.__dataclass_fields__) - {"hazards", "fluorescence_colours"} <= set(TITLES)
    assert set(RANKS) == set(get_args(Rank))


def test_no_two_words_of_a_property_read_the_same() -> None:
    for field, words in TEXTS.items():
        for lang in get_args(Language):
            assert len({texts[lang] for texts in words.values()}) == len(words), (field, lang)


def test_hazards_are_sentences() -> None:
    for texts in WARNINGS.values():
        assert all(text[0].isupper() and text.endswith(".") for text in texts.values())
