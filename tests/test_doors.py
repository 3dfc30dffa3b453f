"""All doors give the same answer to the same photo: CLI, Python, HTTP, and each of them a second time."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bundles import MASKED_PREPROCESSING, expected_logits, write_bundle
from handlens import Crop, Evidence, Identifier
from handlens.photo import read_photo
from handlens.service import create_app
from service.running import running

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def address(identifier: Identifier) -> Iterator[str]:
    with running(create_app(identifier)) as base:
        yield base


def by_command_line(photos: list[Path], *options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "handlens", "identify", *map(str, photos), "--format", "jsonl", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_http(address: str, photos: list[Path], **fields: Any) -> list[dict[str, Any]]:
    answers = []
    for photo in photos:
        files = {"photos": (photo.name, photo.read_bytes())}
        response = httpx.post(f"{address}/v1/identify", files=files, data=fields, timeout=60)
        assert response.status_code == 200, response.text
        answers.append(response.json())
    return answers


def named(answer: dict[str, Any]) -> list[str]:
    return list(answer["photos"]) if "photos" in answer else [answer["photo"]]


def assert_same(answers: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    assert len(answers) == len(others) > 0
    for answer, other in zip(answers, others, strict=True):
        # HTTP has the name of the upload, the command line the path as typed.
        assert [Path(name).name for name in named(answer)] == [Path(name).name for name in named(other)]
        assert list(answer) == list(other)
        for key in answer.keys() - {"photo", "photos", "unknown_score", "decision", "candidates"}:
            assert answer[key] == other[key]
        assert answer["unknown_score"] == pytest.approx(other["unknown_score"], abs=TOLERANCE)
        for key in ("name", "rank"):
            assert answer["decision"][key] == other["decision"][key]
        assert answer["decision"]["probability"] == pytest.approx(other["decision"]["probability"], abs=TOLERANCE)
        assert [row["name"] for row in answer["candidates"]] == [row["name"] for row in other["candidates"]]
        found = [row["probability"] for row in answer["candidates"]]
        assert found == pytest.approx([row["probability"] for row in other["candidates"]], abs=TOLERANCE)


def check_all_doors(identifier: Identifier, address: str, photos: list[Path], *options: str) -> None:
    python = [identifier.identify(photo).as_dict() for photo in photos]
    line = by_command_line(photos, *options)
    assert_same(line, python)
    assert_same(by_http(address, photos), python)
    assert by_command_line(photos, *options) == line


def test_drawn_pictures(identifier: Identifier, address: str, drawn_pictures: list[Path]) -> None:
    check_all_doors(identifier, address, drawn_pictures)


@pytest.mark.real_photos
def test_real_photos(identifier: Identifier, address: str, real_photos: Callable[[str, int], list[Path]]) -> None:
    check_all_doors(identifier, address, real_photos("field", 12) + real_photos("others", 12))


def test_options_mean_the_same(identifier: Identifier, address: str, drawn_pictures: list[Path]) -> None:
    python = [
        identifier.identify(
            photo, top=3, among=["origin-ten", "citrine"], crop=Crop(40, 30, 300, 400), rotate=90
        ).as_dict()
        for photo in drawn_pictures
    ]
    flags = ("--top", "3", "--among", "origin-ten,citrine", "--crop", "40,30,300,400", "--rotate", "90")
    assert_same(by_command_line(drawn_pictures, *flags), python)
    fields = {"top": "3", "among": "origin-ten,citrine", "crop": "40,30,300,400", "rotate": "90"}
    assert_same(by_http(address, drawn_pictures, **fields), python)
    plain = [identifier.identify(photo, top=3).as_dict() for photo in drawn_pictures]
    assert plain != python, "the options must have changed something"


EVIDENCE = {"hardness": "5.5±1", "streak": "white", "gravity": "2.5-3.5", "acid": "none", "magnet": "none"}
EVIDENCE_FLAGS = (
    *("--hardness", "5.5+-1", "--streak", "white", "--gravity", "2.5-3.5"),
    *("--test", "acid=none", "--test", "magnet=none"),
)
EVIDENCE_FIELDS = {
    "hardness": "5.5±1",
    "streak": "white",
    "gravity": "2.5-3.5",
    "test": ["acid=none", "magnet=none"],
}


def reweighed(address: str, scored: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The answer of `/v1/reweigh` for the scores of an answer of `/v1/identify`."""
    names = {"photos": named(scored)}
    response = httpx.post(
        f"{address}/v1/reweigh",
        json={"scores": scored["scores"], "novelty": scored["novelty"], **names, **fields},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("lang", ["en", "es"])
def test_evidence_means_the_same(identifier: Identifier, address: str, drawn_pictures: list[Path], lang: Any) -> None:
    evidence = Evidence.of(EVIDENCE)
    python = [identifier.identify(photo, evidence=evidence, lang=lang).as_dict() for photo in drawn_pictures]
    assert_same(by_command_line(drawn_pictures, *EVIDENCE_FLAGS, "--lang", lang), python)
    assert_same(by_http(address, drawn_pictures, **EVIDENCE_FIELDS, lang=lang), python)
    scored = by_http(address, drawn_pictures, scores="1")
    assert_same([reweighed(address, one, **EVIDENCE_FIELDS, lang=lang) for one in scored], python)
    plain = [identifier.identify(photo, lang=lang).as_dict() for photo in drawn_pictures]
    assert all(one["decision"] != other["decision"] for one, other in zip(plain, python, strict=True))
    assert any("next_test" in one for one in python)


def test_photos_of_one_specimen_mean_the_same(identifier: Identifier, address: str, drawn_pictures: list[Path]) -> None:
    photos, among = drawn_pictures[:2], ["origin-ten"]
    python = identifier.identify(photos, evidence=Evidence.of(EVIDENCE), among=among, top=3).as_dict()
    assert python["photos"] == [str(photo) for photo in photos]
    flags = ("--same-specimen", *EVIDENCE_FLAGS, "--among", "origin-ten", "--top", "3")
    assert_same(by_command_line(photos, *flags), [python])
    files = [("photos", (photo.name, photo.read_bytes())) for photo in photos]
    asked: dict[str, Any] = {"among": "origin-ten", "top": "3", "scores": "1"}
    answer = httpx.post(f"{address}/v1/identify", files=files, data=asked | EVIDENCE_FIELDS, timeout=60).json()
    again = reweighed(address, answer, **EVIDENCE_FIELDS, among="origin-ten", top=3)
    del answer["scores"], answer["novelty"]
    assert_same([answer, again], [python, python])
    alone = identifier.identify(photos[0], evidence=Evidence.of(EVIDENCE), among=among, top=3)
    assert alone.as_dict()["candidates"] != python["candidates"], "the second photo must have changed something"


def test_the_original_contract_names_the_best_of_the_ten(
    identifier: Identifier, address: str, drawn_pictures: list[Path]
) -> None:
    for photo in drawn_pictures:
        body = {"image_base64": base64.b64encode(photo.read_bytes()).decode("ascii")}
        answer = httpx.post(f"{address}/predict/", json=body, timeout=60).json()
        best = identifier.identify(photo, among=["origin-ten"], top=1).candidates[0].name
        expected = {"amethyst": "Quartz (Var: Amethyst)"}.get(best, best.capitalize())
        assert answer == {"La categoria es": expected}


def test_the_small_bundle(drawn_pictures: list[Path]) -> None:
    small = Identifier.load("small")
    with running(create_app(small)) as address:
        check_all_doors(small, address, drawn_pictures, "--bundle", "small")


@pytest.mark.real_photos
def test_real_photos_by_the_small_bundle(real_photos: Callable[[str, int], list[Path]]) -> None:
    small = Identifier.load("small")
    with running(create_app(small)) as address:
        check_all_doors(small, address, real_photos("field", 12), "--bundle", "small")


def test_a_bundle_with_the_mask_of_the_origin(drawn_pictures: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    from handlens.dataset.prepare.origin_mask import origin_picture

    bundle = write_bundle(tmp_path / "masked", preprocessing=MASKED_PREPROCESSING, temperature=3.0)
    masked = Identifier.load(bundle, threads=1)
    for photo in drawn_pictures:
        for crop, rotate in ((None, 0), (Crop(40, 30, 300, 400), 90)):
            picture = origin_picture(read_photo(photo, crop=crop, rotate=rotate).rgb, MASKED_PREPROCESSING.side)
            wanted = masked.answer("photo", expected_logits(picture[None, None])[0]).as_dict()
            found = masked.identify(photo, crop=crop, rotate=rotate, name="photo").as_dict()
            assert_same([found], [wanted])
    with running(create_app(masked)) as address:
        check_all_doors(masked, address, drawn_pictures, "--bundle", str(bundle))
