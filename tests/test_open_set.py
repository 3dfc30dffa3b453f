"""The unknown score of a bundle: its arithmetic, its files, and what it does to an answer."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import solid, write_bundle
from handlens.bundle import BadBundleError, open_bundle
from handlens.cli.main import main
from handlens.evidence import Evidence
from handlens.identification import NO_SPECIMEN
from handlens.identifier import Identifier
from handlens.open_set import DIRECTIONS_FILE, SCALES_FILE, BadOpenSetError, Novelty, OpenSet

GREY_ONLY = OpenSet(
    mean=np.array([0.5, 0.5, 0.5], np.float32),
    deviation=np.array([0.25, 0.25, 0.25], np.float32),
    directions=np.full((1, 3), 3**-0.5, np.float32),
    centre=math.log(0.5),
    width=0.25,
    weights=np.array([0.5, 0.5, 0.5], np.float32),
    bias=-1.0,
)
"""Of mean colours: greys lie along its one direction, and bright ones are like unknown minerals."""
GREY, BRIGHT, RED, QUARTZ = (128, 128, 128), (250, 250, 250), (255, 0, 0), (235, 235, 235)


def bundle_with(folder: Path, found: OpenSet = GREY_ONLY, **changes: Any) -> Path:
    return write_bundle(folder, extra=found.files(), open_set=found.numbers(), **changes)


@pytest.fixture(scope="module")
def grey_only(tmp_path_factory: pytest.TempPathFactory) -> Identifier:
    return Identifier(open_bundle(bundle_with(tmp_path_factory.mktemp("open") / "set")), threads=1)


def test_the_residual_is_what_lies_beside_the_directions() -> None:
    shown = GREY_ONLY.standardised(np.array([[0.75, 0.75, 0.75], [0.75, 0.5, 0.25]]))
    assert shown == pytest.approx(np.array([[1, 1, 1], [1, 0, -1]]))
    grey, coloured = GREY_ONLY.residual(shown)
    assert grey < -10  # nothing but rounding
    assert coloured == pytest.approx(math.log(2 / 3), abs=1e-6)


def test_both_scores_are_logistic() -> None:
    found = GREY_ONLY.novelty(np.array([0.75, 0.5, 0.25]))
    assert found.far == pytest.approx(1 / (1 + math.exp(-(math.log(2 / 3) - math.log(0.5)) / 0.25)), abs=1e-6)
    assert found.near == pytest.approx(1 / (1 + math.exp(1.0)), abs=1e-6)
    assert found.unknown == pytest.approx(1 - (1 - found.far) * (1 - found.near))


def test_what_is_infinitely_far_has_a_probability() -> None:
    found = GREY_ONLY.novelty(np.array([1e30, -1e30, 0]))
    assert found.far == pytest.approx(1)
    assert 0 <= found.near <= 1


def test_photos_of_one_specimen_share_their_novelty() -> None:
    several = [Novelty(0.2, 0.4), Novelty(0.6, 0.0)]
    assert Novelty.of_photos(several).as_dict() == pytest.approx({"far": 0.4, "near": 0.2})


def test_it_is_read_as_it_was_written() -> None:
    again = OpenSet.read(GREY_ONLY.numbers(), GREY_ONLY.files())
    assert again is not None
    for embedding in np.random.default_rng(0).random((20, 3)):
        one, two = GREY_ONLY.novelty(embedding), again.novelty(embedding)
        assert (one.far, one.near) == pytest.approx((two.far, two.near), abs=0.01)  # directions in half precision


def test_without_exposure_nothing_is_near() -> None:
    numbers = GREY_ONLY.numbers()
    del numbers["exposure"]
    found = OpenSet.read(numbers, GREY_ONLY.files())
    assert found is not None
    assert found.novelty(np.array([0.9, 0.9, 0.9])).near == 0


def test_bundles_with_probabilities_only(tiny: Identifier) -> None:
    assert OpenSet.read({"score": "1 - maximum probability"}, {}) is None
    assert tiny.bundle.open_set is None


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (DIRECTIONS_FILE, None),
        (SCALES_FILE, None),
        (DIRECTIONS_FILE, b""),
        (DIRECTIONS_FILE, b"\x93NUMPY\x01\x00"),
        (SCALES_FILE, array(np.ones((3, 3)))[:-9]),
        (SCALES_FILE, b"PK\x03\x04 an archive"),
        (SCALES_FILE, array(np.ones((2, 3)))),
        (SCALES_FILE, array(np.ones((3, 4)))),
        (SCALES_FILE, array(np.zeros((3, 3)))),
        (SCALES_FILE, array(np.full((3, 3), np.nan))),
        (SCALES_FILE, array(np.ones(3))),
        (SCALES_FILE, array([["a"]])),
        (SCALES_FILE, array(np.array([[1]], int))),
        (DIRECTIONS_FILE, array(np.ones((0, 3)))),
    ],
)
def test_damaged_files(name: str, content: bytes | None) -> None:
    files = GREY_ONLY.files()
    if content is None:
        del files[name]
    else:
        files[name] = content
    with pytest.raises(BadOpenSetError):
        OpenSet.read(GREY_ONLY.numbers(), files)


def test_a_pickle_is_never_opened() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BadOpenSetError, match="cannot be read"):
        OpenSet.read(GREY_ONLY.numbers(), GREY_ONLY.files() | {SCALES_FILE: file.getvalue()})


def test_a_header_that_promises_what_is_not_there() -> None:
    content = array(np.ones((3, 3))).replace(b"(3, 3), }", b"(999999999, 99999), }"[:9])
    huge = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 3), }".ljust(
        117
    )
    for damaged in (content[:20], huge + b"\n"):
        with pytest.raises(BadOpenSetError):
            OpenSet.read(GREY_ONLY.numbers(), GREY_ONLY.files() | {SCALES_FILE: damaged})


@pytest.mark.parametrize(
    "numbers",
    [
        {"residual": {"centre": "0", "width": 1}},
        {"residual": {"centre": 0, "width": 0}},
        {"residual": {"centre": math.nan, "width": 1}},
        {"residual": {"centre": 0}},
        {"residual": 3},
        {"residual": {"centre": 0, "width": 1}, "exposure": {"bias": True}},
    ],
)
def test_numbers_that_make_no_sense_are_a_bad_bundle(tmp_path: Path, numbers: Any) -> None:
    place = write_bundle(tmp_path / "odd", extra=GREY_ONLY.files(), open_set=numbers)
    with pytest.raises(BadBundleError):
        open_bundle(place)


def test_a_bundle_refuses_statistics_of_another_network(tmp_path: Path) -> None:
    four = OpenSet(*(np.ones(4, np.float32),) * 2, np.ones((1, 4), np.float32), 0.0, 1.0, np.ones(4, np.float32), 0.0)
    with pytest.raises(BadBundleError, match="3 wide, the unknown score's 4"):
        open_bundle(bundle_with(tmp_path / "odd", four))


def test_what_is_no_specimen_gets_no_name_and_a_warning(grey_only: Identifier, tiny: Identifier) -> None:
    picture = solid(RED)
    before, answer = tiny.identify(picture), grey_only.identify(picture)
    assert (before.decision.name, before.warnings) == ("almandine", ())
    assert answer.decision.name == "unknown"
    assert answer.warnings == (NO_SPECIMEN,)
    assert answer.next_test is None
    assert answer.as_dict()["warnings"] == ["no-specimen"]
    assert answer.candidates == before.candidates  # what the network would say is still told
    assert answer.unknown_score > 0.95


def test_a_specimen_like_unknown_minerals_keeps_its_name(grey_only: Identifier) -> None:
    answer = grey_only.identify(solid(QUARTZ))
    assert answer.decision.name == "quartz"
    assert "warnings" not in answer.as_dict()
    assert 0.3 < answer.unknown_score < 0.9
    assert grey_only.identify(solid(BRIGHT)).unknown_score > answer.unknown_score


def test_what_was_tested_is_a_specimen(grey_only: Identifier, tiny: Identifier) -> None:
    evidence = Evidence.of({"hardness": "7"})
    answer, without = grey_only.identify(solid(RED), evidence=evidence), tiny.identify(solid(RED), evidence=evidence)
    assert answer.decision == without.decision
    assert answer.decision.name != "unknown"
    assert answer.warnings == (NO_SPECIMEN,)  # the photo is still told to be odd


def test_tests_that_fit_no_label_raise_the_score(grey_only: Identifier) -> None:
    plain = grey_only.identify(solid(QUARTZ))
    odd = grey_only.identify(solid(QUARTZ), evidence=Evidence.of({"hardness": "1", "gravity": "9"}))
    assert odd.unknown_score > max(0.9, plain.unknown_score)


def test_choosing_among_labels_leaves_the_score(grey_only: Identifier) -> None:
    whole = grey_only.identify(solid(GREY))
    assert grey_only.identify(solid(GREY), among=["azurite", "calcite"]).unknown_score == whole.unknown_score


def test_several_photos_and_each_alone(grey_only: Identifier) -> None:
    one, two = solid(RED), solid(QUARTZ)
    both = grey_only.fused([one, two]).novelty
    parts = [grey_only.fused(photo).novelty for photo in (one, two)]
    assert both is not None
    assert None not in parts
    assert both.far == pytest.approx(sum(part.far for part in parts if part) / 2)
    alone = [grey_only.identify(photo) for photo in (one, two)]
    each = list(grey_only.identify_each([one, two]))
    assert [answer.as_dict() for answer in each if not isinstance(answer, Exception)] == [a.as_dict() for a in alone]


def test_the_bundle_that_ships_tells_a_page_of_nothing(identifier: Identifier) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    for picture in (solid((255, 255, 255), 400, 300), noise):
        answer = identifier.identify(picture)
        assert answer.decision.name == "unknown"
        assert NO_SPECIMEN in answer.warnings


@pytest.mark.parametrize(("lang", "told"), [("en", "hardly looks like a photo"), ("es", "apenas parece la foto")])
def test_the_table_says_that_it_is_no_specimen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, told: str
) -> None:
    Image.fromarray(solid(RED)).save(tmp_path / "red.png")
    Image.fromarray(solid(QUARTZ)).save(tmp_path / "white.png")
    flags = ["--bundle", str(bundle_with(tmp_path / "bundle")), "--lang", lang]
    assert main(["identify", str(tmp_path / "red.png"), *flags]) == 0
    assert told in capsys.readouterr().out
    assert main(["identify", str(tmp_path / "white.png"), *flags]) == 0
    assert told not in capsys.readouterr().out
