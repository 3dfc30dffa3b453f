"""`POST /v1/identify` over a real connection: the answer of Python, and every refusal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bundles import MASKED_PREPROCESSING, write_bundle
from handlens.evidence import Evidence
from handlens.explain import explain
from handlens.field_tests import CHOICES
from handlens.identifier import Identification, Identifier
from handlens.photo import Crop
from handlens.service import create_app
from handlens.service.forms import photo_name
from handlens.service.schemas import IdentificationDocument
from service.running import JPEG, check_problem, client_of, drawn, encoded

COLOURS = [(150, 60, 170), (20, 140, 70), (200, 160, 60), (30, 60, 190), (235, 235, 240)]


def post(
    client: httpx.Client, photo: bytes = JPEG, name: str = "a.jpg", fields: Mapping[str, Any] | None = None
) -> httpx.Response:
    return client.post("/v1/identify", files={"photos": (name, photo)}, data=dict(fields or {}))


def same(response: httpx.Response, expected: Identification) -> None:
    """The answers agree: names and order exactly, numbers to 1e-5."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    got, wanted = response.json(), expected.as_dict()
    assert list(got) == list(wanted)
    assert got["candidates"] == [
        {"name": row["name"], "probability": pytest.approx(row["probability"], abs=1e-5)}
        for row in wanted["candidates"]
    ]
    decision = wanted["decision"]
    assert got["decision"] == decision | {"probability": pytest.approx(decision["probability"], abs=1e-5)}
    assert got["unknown_score"] == pytest.approx(wanted["unknown_score"], abs=1e-5)
    for key in wanted.keys() - {"candidates", "decision", "unknown_score"}:
        assert got[key] == wanted[key]
    IdentificationDocument.model_validate(got)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_the_answer_is_that_of_python(
    client: httpx.Client, identifier: Identifier, colour: tuple[int, int, int], image_format: str
) -> None:
    photo = encoded(drawn(colour), image_format)
    same(post(client, photo), identifier.identify(photo, name="a.jpg"))


def test_every_field_reaches_the_identifier(client: httpx.Client, identifier: Identifier) -> None:
    among = list(identifier.bundle.labels[:4])
    fields = {"top": "3", "among": " , ".join(among), "crop": "20,100,180,140", "rotate": "-90"}
    expected = identifier.identify(JPEG, top=3, among=among, crop=Crop(20, 100, 180, 140), rotate=-90, name="a.jpg")
    assert expected != identifier.identify(JPEG, top=3, among=among, name="a.jpg")
    same(post(client, fields=fields), expected)
    assert len(expected.candidates) == 3


EVIDENCE = {"hardness": "7", "streak": "white", "gravity": "2.6-2.8", "acid": "none", "nail": "no"}
EVIDENCE_FIELDS: dict[str, Any] = {
    "hardness": "7",
    "streak": "white",
    "gravity": "2.6-2.8",
    "test": ["acid=none", " Nail = no", " "],
}


def test_evidence_and_language_reach_the_identifier(client: httpx.Client, identifier: Identifier) -> None:
    expected = identifier.identify(JPEG, name="a.jpg", evidence=Evidence.of(EVIDENCE), lang="es")
    assert expected.decision != identifier.identify(JPEG).decision, "the evidence must matter"
    same(post(client, fields=EVIDENCE_FIELDS | {"lang": "es"}), expected)
    # The drawn photo is told for none, so that without any test no other is advised.
    assert "next_test" not in post(client, fields={"lang": "es"}).json()
    spanish, english = (post(client, fields={"test": "magnet=none", "lang": lang}).json() for lang in ("es", "en"))
    assert spanish["next_test"]["test"] == english["next_test"]["test"]
    assert spanish["next_test"]["text"] != english["next_test"]["text"]


def test_every_test_can_be_given_at_once(client: httpx.Client) -> None:
    tests = [f"{name}={words[0]}" for name, words in CHOICES.items() if name != "streak"]
    fields: dict[str, Any] = dict.fromkeys(("top", "scores", "hardness"), "1")
    fields |= {"streak": "white", "gravity": "2.7", "test": tests, "lang": "en"}
    fields |= {"crop": "20,100,180,140", "rotate": "90", "among": "quartz,calcite"}
    answer = post(client, fields=fields)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["evidence"]) == len(CHOICES) + 2


def test_a_test_that_is_given_twice(client: httpx.Client) -> None:
    fields: Any = {"test": ["acid=none", "acid=weak"]}
    assert "acid is given twice" in check_problem(post(client, fields=fields), 422, "bad-evidence")


@pytest.mark.parametrize("count", [2, 5])
def test_several_photos_of_one_specimen(client: httpx.Client, identifier: Identifier, count: int) -> None:
    photos = [encoded(drawn(colour)) for colour in COLOURS[:count]]
    names = [f"{index}.jpg" for index in range(count)]
    files = [("photos", (name, photo)) for name, photo in zip(names, photos, strict=True)]
    answer = client.post("/v1/identify", files=files, data={"crop": "20,10,180,140"})
    same(answer, identifier.identify(photos, name=names, crop=Crop(20, 10, 180, 140)))
    assert answer.json()["photos"] == names


def test_one_broken_photo_of_several_is_named(client: httpx.Client) -> None:
    files = [("photos", ("a.jpg", JPEG)), ("photos", ("b.jpg", JPEG[: len(JPEG) // 2])), ("photos", ("c.jpg", b"no"))]
    check_problem(client.post("/v1/identify", files=files), 400, "truncated-image", photo="b.jpg")


def test_scores_are_those_of_every_label_before_the_evidence(client: httpx.Client, identifier: Identifier) -> None:
    assert "scores" not in post(client).json()
    assert "scores" not in post(client, fields={"scores": "0"}).json()
    answer = post(client, fields={"scores": "1", "hardness": "3", "among": "quartz,calcite", "top": "1"}).json()
    IdentificationDocument.model_validate(answer)
    plain = identifier.identify(JPEG, top=len(identifier.bundle.labels))
    assert list(answer["scores"]) == list(identifier.bundle.labels)
    expected = {one.name: one.probability for one in plain.candidates}
    assert answer["scores"] == pytest.approx(expected, rel=1e-6)
    del answer["scores"], answer["novelty"]
    assert answer == post(client, fields={"hardness": "3", "among": "quartz,calcite", "top": "1"}).json()


CROPPED = {"crop": "20,100,180,140", "rotate": "-90"}


@pytest.mark.parametrize(
    ("fields", "box"), [({}, [0, 0, 320, 240]), ({"rotate": "90"}, [0, 0, 240, 320]), (CROPPED, [20, 100, 180, 140])]
)
def test_the_answer_is_explained_where_asked_for(tiny: Identifier, fields: dict[str, str], box: list[int]) -> None:
    crop, rotate = (Crop.parse(fields["crop"]) if "crop" in fields else None), int(fields.get("rotate", 0))
    with client_of(create_app(tiny)) as client:
        answer = post(client, fields=fields | {"explain": "1"}).json()
        IdentificationDocument.model_validate(answer)
        found = answer.pop("explanation")
        assert answer == post(client, fields=fields | {"explain": "0"}).json()
    expected = explain(tiny, JPEG, crop=crop, rotate=rotate)
    assert found["label"] == expected.label == answer["candidates"][0]["name"]
    assert found["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert found["box"] == box
    assert np.asarray(found["heat"]) == pytest.approx(expected.heat, abs=1e-6)
    assert np.asarray(found["heat"]).shape == (10, 10)


def test_what_is_explained_is_the_first_candidate_after_the_evidence(tiny: Identifier) -> None:
    with client_of(create_app(tiny)) as client:
        answer = post(client, fields={"explain": "1", "hardness": "3", "test": "acid=vigorous"}).json()
    assert answer["candidates"][0]["name"] == "calcite"
    assert explain(tiny, JPEG).label != "calcite"
    found = answer["explanation"]
    assert found["label"] == "calcite"
    assert np.asarray(found["heat"]) == pytest.approx(explain(tiny, JPEG, label="calcite").heat, abs=1e-6)


def test_several_photos_are_not_explained(client: httpx.Client) -> None:
    files = [("photos", ("a.jpg", JPEG)), ("photos", ("b.jpg", JPEG))]
    assert "2" in check_problem(client.post("/v1/identify", files=files, data={"explain": "1"}), 422, "bad-request")


def test_with_the_mask_of_the_origin_the_centre_square_is_explained(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    masked = Identifier.load(write_bundle(tmp_path / "masked", preprocessing=MASKED_PREPROCESSING), threads=1)
    with client_of(create_app(masked)) as client:
        assert post(client, fields={"explain": "1"}).json()["explanation"]["box"] == [40, 0, 240, 240]
        assert post(client, fields=CROPPED | {"explain": "1"}).json()["explanation"]["box"] == [40, 100, 140, 140]


def test_blank_fields_count_as_not_given(client: httpx.Client, identifier: Identifier) -> None:
    same(
        post(
            client,
            fields=dict.fromkeys(
                ("top", "among", "crop", "rotate", "hardness", "streak", "gravity", "test", "lang", "scores"), " "
            ),
        ),
        identifier.identify(JPEG, name="a.jpg"),
    )


def test_names_to_choose_from_may_be_spanish_and_reserved(client: httpx.Client, identifier: Identifier) -> None:
    same(
        post(client, fields={"among": "cuarzo,Calcita"}),
        identifier.identify(JPEG, among=["quartz", "calcite"], name="a.jpg"),
    )
    answer = post(client, fields={"among": "origin-ten", "top": "99"})
    assert len(answer.json()["candidates"]) == 10


def test_many_requests_at_once_get_their_own_answers(client: httpx.Client, identifier: Identifier) -> None:
    photos = [encoded(drawn(colour)) for colour in COLOURS] * 2
    expected = [identifier.identify(photo, name=f"{index}.jpg") for index, photo in enumerate(photos)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: post(client, photos[index], f"{index}.jpg"), range(len(photos))))
    for answer, wanted in zip(answers, expected, strict=True):
        same(answer, wanted)


def test_real_photos_get_the_answer_of_python(
    client: httpx.Client, identifier: Identifier, real_photos: Callable[[str, int], list[Path]]
) -> None:
    for path in real_photos("field", 4):
        same(post(client, path.read_bytes(), path.name), identifier.identify(path.read_bytes(), name=path.name))


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\photos\\ágata 1.jpg", "ágata 1.jpg"),
        ("a\x07b\u202egpj.exe", "abgpj.exe"),
        ("folder/..", "photo"),
        ("", "photo"),
        (None, "photo"),
        ("x" * 999, "x" * 150),
    ],
)
def test_a_photo_is_named_by_the_base_name(sent: str | None, named: str) -> None:
    assert photo_name(sent) == named


def test_the_name_in_the_answer_is_the_base_name(client: httpx.Client) -> None:
    assert post(client, name="../../minas/ágata.jpg").json()["photo"] == "ágata.jpg"


BROKEN: list[tuple[str, bytes, int, str]] = [
    ("cut.jpg", JPEG[: len(JPEG) // 2], 400, "truncated-image"),
    ("text.jpg", b"This is a letter, not a picture.\n" * 20, 415, "not-an-image"),
    ("page.jpg", b"<!doctype html><html><body>404</body></html>", 415, "not-an-image"),
    ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "unsupported-format"),
    ("empty.jpg", b"", 400, "empty-file"),
    ("tiny.png", encoded(drawn(size=(8, 8)), "PNG"), 400, "image-too-small"),
    ("long.png", encoded(drawn(size=(20_001, 16)).convert("1"), "PNG"), 413, "image-too-large"),
]


@pytest.mark.parametrize(("name", "photo", "status", "code"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_photo_that_cannot_be_used(client: httpx.Client, name: str, photo: bytes, status: int, code: str) -> None:
    check_problem(post(client, photo, name), status, code, photo=name)


WRONG_FIELDS: list[tuple[dict[str, str], int, str, str | None]] = [
    ({"crop": "1,2,3"}, 400, "bad-crop", "a.jpg"),
    ({"crop": "0,0,9999,9999"}, 400, "bad-crop", "a.jpg"),
    ({"rotate": "45"}, 400, "bad-rotation", "a.jpg"),
    ({"rotate": "left"}, 400, "bad-rotation", "a.jpg"),
    ({"top": "0"}, 422, "bad-request", None),
    ({"top": "-3"}, 422, "bad-request", None),
    ({"top": "five"}, 422, "bad-request", None),
    ({"top": "9" * 5000}, 422, "bad-request", None),
    ({"among": "quartz,kryptonite"}, 422, "unknown-mineral", None),
    ({"among": "@/etc/passwd"}, 422, "unknown-mineral", None),
    ({"among": ","}, 422, "bad-request", None),
    ({"hardness": "hard"}, 422, "bad-evidence", None),
    ({"hardness": "3" * 999}, 422, "bad-evidence", None),
    ({"streak": "plaid"}, 422, "bad-evidence", None),
    ({"gravity": "0"}, 422, "bad-evidence", None),
    ({"test": "acid"}, 422, "bad-evidence", None),
    ({"test": "acid=maybe"}, 422, "bad-evidence", None),
    ({"test": "smell=garlic"}, 422, "bad-evidence", None),
    ({"lang": "fr"}, 422, "bad-request", None),
    ({"scores": "yes"}, 422, "bad-request", None),
    ({"explain": "2"}, 422, "bad-request", None),
    ({"same-specimen": "1"}, 422, "bad-request", None),
    ({"top": "3" * 20_000}, 422, "bad-request", None),
    ({f"field{index}": "x" for index in range(30)}, 422, "bad-request", None),
]


@pytest.mark.parametrize(("fields", "status", "code", "photo"), WRONG_FIELDS)
def test_a_field_that_makes_no_sense(
    client: httpx.Client, fields: dict[str, str], status: int, code: str, photo: str | None
) -> None:
    check_problem(post(client, fields=fields), status, code, photo)


def test_a_mineral_that_is_no_label(client: httpx.Client, identifier: Identifier) -> None:
    other = next(mineral.name for mineral in identifier.minerals if mineral.name not in identifier.bundle.labels)
    assert other in check_problem(post(client, fields={"among": other}), 422, "unknown-label")


Files = list[tuple[str, tuple[str | None, bytes]]]
WRONG_FILES: list[tuple[Files, str]] = [
    ([("top", (None, b"3"))], "no photo"),
    ([("photos", (f"{index}.jpg", JPEG)) for index in range(6)], "Maximum number of files is 5"),
    ([("photos", (f"{index}.jpg", JPEG)) for index in range(20)], "cannot be read"),
    ([("photo", ("a.jpg", JPEG))], "field 'photo'"),
    ([("photos", (None, b"a.jpg"))], "must be a file"),
    ([("photos", ("a.jpg", JPEG)), ("top", ("b.txt", b"3"))], "must be a text"),
    ([("photos", ("a.jpg", JPEG)), ("top", (None, b"3")), ("top", (None, b"4"))], "2 times"),
]


@pytest.mark.parametrize(("files", "words"), WRONG_FILES)
def test_a_form_that_is_not_as_it_must_be(client: httpx.Client, files: Files, words: str) -> None:
    assert words in check_problem(client.post("/v1/identify", files=files), 422, "bad-request")


FORM = "multipart/form-data; boundary=edge"
PART = b'--edge\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
MALFORMED: list[tuple[str, bytes]] = [
    ("multipart/form-data", PART),
    (FORM, b"no form at all"),
    (FORM, b""),
    (FORM, PART + JPEG),  # the last boundary is missing
    (FORM, PART.replace(b"a.jpg", b"") + b"\r\n--edge--\r\n"),  # a browser's field in which nothing was chosen
    (FORM, b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n--edge--\r\n"),
    (FORM, b"--edge\r\n: \r\n\r\nx\r\n--edge--\r\n"),
    (f"{FORM}; charset=idna", b'--edge\r\nContent-Disposition: form-data; name="\xff..a"\r\n\r\nx\r\n--edge--\r\n'),
    (f"{FORM}; charset=undefined", b'--edge\r\nContent-Disposition: form-data; name="top"\r\n\r\nx\r\n--edge--\r\n'),
]


@pytest.mark.parametrize(("content_type", "body"), MALFORMED)
def test_a_form_that_is_broken(client: httpx.Client, content_type: str, body: bytes) -> None:
    answer = client.post("/v1/identify", content=body, headers={"content-type": content_type})
    check_problem(answer, 422, "bad-request")


@pytest.mark.parametrize("content_type", ["application/json", "image/jpeg", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_content_type(client: httpx.Client, content_type: str) -> None:
    answer = client.post("/v1/identify", content=JPEG, headers={"content-type": content_type})
    check_problem(answer, 415, "unsupported-media-type")


def test_parameters_in_the_address_are_refused_and_not_ignored(client: httpx.Client) -> None:
    answer = client.post("/v1/identify?top=1", files={"photos": ("a.jpg", JPEG)})
    check_problem(answer, 422, "bad-request")


def test_a_large_photo_never_touches_the_disk(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError("a temporary file was opened")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_file)
    photo = JPEG + os.urandom(3 * 2**20)  # what follows the end of a JPEG is allowed, and is more than is spooled
    with pytest.raises(AssertionError), tempfile.SpooledTemporaryFile(max_size=2**20) as spooled:
        spooled.write(photo)
    assert post(client, photo).status_code == 200
