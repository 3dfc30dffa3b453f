"""The validation part: whole groups, usable photos only, and no label loses all it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlens.training.fitting.parts import split_places
from handlens.training.fitting.settings import FitSettings
from handlens.training.samples import BadSamplesError, Sample

SETTINGS = FitSettings(network="cnn-2", validation=0.2)


def sample(number: int, label: str, group: str, *, usable: bool = True, split: str = "train") -> Sample:
    return Sample(Path(f"{number}.jpg"), f"{number}.jpg", label, group, split, "", usable)


def many() -> list[Sample]:
    samples = [sample(number, f"label {number % 4}", f"group {number // 2}") for number in range(80)]
    return [replace(one, usable=number % 10 != 0) for number, one in enumerate(samples)]


def test_groups_are_whole_and_only_usable_photos_are_judged() -> None:
    samples = many()
    train, valid = split_places(samples, SETTINGS)
    assert not {samples[place].group for place in train} & {samples[place].group for place in valid}
    assert all(samples[place].usable for place in valid)
    assert any(not samples[place].usable for place in train)
    assert 8 <= len(valid) <= 24
    assert {samples[place].label for place in valid} == {samples[place].label for place in train}
    train_only_usable, _ = split_places(samples, replace(SETTINGS, keep_unusable=False))
    assert all(samples[place].usable for place in train_only_usable)
    other, _ = split_places(samples, replace(SETTINGS, seed=1))
    assert list(other) != list(train)


def test_a_label_with_one_group_is_trained_on() -> None:
    samples = [*many(), sample(90, "rare", "one"), sample(91, "rare", "one")]
    for seed in range(8):
        train, valid = split_places(samples, replace(SETTINGS, seed=seed))
        assert {80, 81} <= set(train.tolist())
        assert not {80, 81} & set(valid.tolist())


def test_a_split_that_the_data_bring_is_taken_as_it_is() -> None:
    samples = many()
    samples[4:8] = [replace(one, split="validation", group=f"v{number}") for number, one in enumerate(samples[4:8])]
    train, valid = split_places(samples, SETTINGS)
    assert valid.tolist() == [4, 5, 6, 7]
    assert not set(train.tolist()) & {4, 5, 6, 7}
    # Its group cannot be trained on, whatever the split of the other photo says.
    samples[12] = replace(samples[12], group="v1")
    train, _ = split_places(samples, SETTINGS)
    assert 12 not in train


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(BadSamplesError, match="too few"):
        split_places([sample(0, "a", "0"), sample(1, "b", "1")], SETTINGS)
    only = [sample(0, "a", "0"), sample(1, "b", "1"), sample(2, "c", "2", split="validation")]
    with pytest.raises(BadSamplesError, match="'c'"):
        split_places(only, SETTINGS)
    assert np.array_equal(split_places([*only[:2], replace(only[2], label="a")], SETTINGS)[1], [2])
