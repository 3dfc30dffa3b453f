"""The self-test tells a bundle that scores as its maker's did from one that does not, or that has none."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import LABELS, REMOVED, expected_logits, views_of, write_bundle
from handlens.bundle import BadBundleError
from handlens.identifier import Identifier
from handlens.selftest import TOLERANCE, drawn_picture, run_self_test


def test_the_picture_has_the_same_pixels_everywhere() -> None:
    picture = drawn_picture()
    assert picture.shape == (360, 480, 3)
    assert picture.dtype == np.uint8
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    assert digest == "62230de0ba5e31bdaae447ba072e4589f5a86fb1153f9b15050a8d1aacadd136"
    assert picture[180, 240].tolist() == [148, 90, 190]
    assert picture[10, 20].tolist() == [70, 3, 60]


def test_a_right_bundle_passes(tiny: Identifier) -> None:
    test = run_self_test(tiny)
    assert test.passed
    assert test.difference < 1e-3


@pytest.mark.parametrize(("shift", "passes"), [(TOLERANCE / 2, True), (TOLERANCE * 1.5, False), (-0.5, False)])
def test_the_difference_is_the_largest_of_a_logit(tmp_path: Path, shift: float, passes: bool) -> None:
    logits = expected_logits(views_of(drawn_picture()))[0]
    logits[3] += shift
    path = write_bundle(tmp_path / "b", self_test={"logits": logits.tolist()})
    test = run_self_test(Identifier.load(path))
    assert test.passed is passes
    assert test.difference == pytest.approx(abs(shift), abs=2e-3)


def test_a_number_that_is_none_does_not_pass(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", self_test={"logits": [math.nan] * len(LABELS)})
    test = run_self_test(Identifier.load(path))
    assert test.difference == math.inf
    assert not test.passed


NO_LOGITS: list[Any] = [None, "x", [], [1.0], 1.0, [[1.0] * 6], [1.0] * 7, [{}] * 6, [10**400] * 6]


@pytest.mark.parametrize(
    "stored",
    [REMOVED, None, [], {}, *({"logits": value} for value in NO_LOGITS)],
)
def test_a_bundle_without_one_says_so(tmp_path: Path, stored: Any) -> None:
    identifier = Identifier.load(write_bundle(tmp_path / "b", self_test=stored))
    with pytest.raises(BadBundleError, match="self-test"):
        run_self_test(identifier)


def test_the_bundle_that_ships_passes(identifier: Identifier) -> None:
    assert run_self_test(identifier).passed
