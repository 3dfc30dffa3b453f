"""`POST /predict/` and `/predict`: the original contract, and no way to a 500."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from handlens.identifier import ORIGIN_TEN, Identifier
from handlens.service import create_app
from handlens.service.predict import CATEGORIES
from service.running import JPEG, check_problem, client_of, drawn, encoded
from service.test_identify import BROKEN, COLOURS

TEN = ["Copper", "Pyromorphite", "Quartz (Var: Amethyst)", "Malachite", "Azurite", "Wulfenite", "Pyrite", "Quartz"]
TEN += ["Fluorite", "Calcite"]
TEXT = base64.b64encode(JPEG).decode()


def category(identifier: Identifier, photo: bytes) -> str:
    return CATEGORIES[identifier.identify(photo, among=ORIGIN_TEN, top=1).candidates[0].name]


def test_the_categories_are_spelled_as_they_always_were() -> None:
    assert [CATEGORIES[name] for name in ORIGIN_TEN] == TEN


@pytest.mark.parametrize("path", ["/predict/", "/predict"])
@pytest.mark.parametrize("colour", COLOURS)
def test_the_answer_is_the_most_probable_of_ten(
    client: httpx.Client, identifier: Identifier, path: str, colour: tuple[int, int, int]
) -> None:
    photo = encoded(drawn(colour))
    answer = client.post(path, json={"image_base64": base64.b64encode(photo).decode()})
    assert answer.status_code == 200
    assert answer.json() == {"La categoria es": category(identifier, photo)}


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/jpeg;base64,{TEXT}",
        f" DATA:;base64, {TEXT}",
        base64.encodebytes(JPEG).decode(),
        "\r\n".join(TEXT[start : start + 76] for start in range(0, len(TEXT), 76)),
    ],
    ids=["data-uri", "short-data-uri", "lines", "crlf"],
)
def test_what_clients_put_around_base64(client: httpx.Client, identifier: Identifier, text: str) -> None:
    answer = client.post("/predict/", json={"image_base64": text})
    assert answer.json() == {"La categoria es": category(identifier, JPEG)}


def test_other_keys_and_content_types_are_ignored(client: httpx.Client, identifier: Identifier) -> None:
    body = json.dumps({"image_base64": TEXT, "name": "x"})
    for headers in ({}, {"content-type": "text/plain"}):
        answer = client.post("/predict/", content=body, headers=headers)
        assert answer.json() == {"La categoria es": category(identifier, JPEG)}


@pytest.mark.parametrize("text", ["%%%", "QUJ", "=QUJD", "QUJD=x", "ñandú", "data:image/jpeg;base64", "\ud83d"])
def test_base64_that_is_none(client: httpx.Client, text: str) -> None:
    answer = client.post("/predict/", content=json.dumps({"image_base64": text}))
    assert answer.status_code in (400, 422)  # a lone surrogate is no JSON text at all
    check_problem(answer, *((422, "bad-request") if text == "\ud83d" else (400, "bad-base64")))


@pytest.mark.parametrize(("name", "photo", "status", "code"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_photo_that_cannot_be_used_is_always_400(
    client: httpx.Client, name: str, photo: bytes, status: int, code: str
) -> None:
    answer = client.post("/predict/", json={"image_base64": base64.b64encode(photo).decode()})
    check_problem(answer, 400, code, photo="photo")


BAD_BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"image_base64": 5}',
    b'{"image_base64": null}',
    b'{"image": "QUJD"}',
    b'{"image_base64": "QUJD"',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"image_base64": ' + b"[" * 100_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_body_of_another_shape(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/predict/", content=body, headers={"content-type": "application/json"})
    check_problem(answer, 422, "bad-request")


def test_a_problem_does_not_repeat_what_was_sent(client: httpx.Client) -> None:
    for body in ({"image_base64": 123456789}, {"image_base64": "%123456789"}, {"secret123456789": 1}):
        assert "123456789" not in client.post("/predict/", json=body).text


def test_a_model_without_the_ten_labels(identifier: Identifier) -> None:
    labels = tuple(f"label {index}" for index in range(len(identifier.bundle.labels)))
    other = Identifier(replace(identifier.bundle, labels=labels))
    with client_of(create_app(other)) as client:
        check_problem(client.post("/predict/", json={"image_base64": TEXT}), 501, "not-available")
        answer: dict[str, Any] = client.post("/v1/identify", files={"photos": ("a.jpg", JPEG)}).json()
        assert answer["candidates"][0]["name"] in labels
        assert client.get("/v1/minerals/names").json()["names"]["label 0"] == "label 0"
