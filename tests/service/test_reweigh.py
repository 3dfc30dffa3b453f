"""`POST /v1/reweigh` over a real connection: the answer of identify with that evidence, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from handlens.evidence import Evidence
from handlens.identifier import Identifier
from handlens.service.schemas import IdentificationDocument
from service.running import JPEG, check_problem, drawn, encoded

EVIDENCE: list[dict[str, Any]] = [
    {},
    {"hardness": "3"},
    {"hardness": "7", "streak": "white", "gravity": "2.6-2.8", "test": ["acid=none", "nail=no"]},
    {"hardness": "9", "test": ["acid=vigorous"]},
    {"streak": "#c8b46e", "among": "quartz,cuarzo, fluorite,calcite", "top": 2, "lang": "es"},
    {"hardness": "1", "gravity": "15", "among": "origin-ten", "top": 99},
]


@pytest.fixture(scope="module")
def scored(client: httpx.Client) -> dict[str, Any]:
    """The answer for two photos of one specimen, with the scores."""
    files = [("photos", ("a.jpg", JPEG)), ("photos", ("b.jpg", encoded(drawn((20, 140, 70)))))]
    answer: dict[str, Any] = client.post("/v1/identify", files=files, data={"scores": "1"}).json()
    return answer


def numbers_near(got: Any, wanted: Any) -> None:
    """The same object, numbers to 1e-5."""
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        for key in wanted:
            numbers_near(got[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            numbers_near(one, other)
    else:
        assert got == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("fields", EVIDENCE)
def test_it_is_what_identify_answers_with_that_evidence(
    client: httpx.Client, scored: dict[str, Any], fields: dict[str, Any]
) -> None:
    files = [("photos", ("a.jpg", JPEG)), ("photos", ("b.jpg", encoded(drawn((20, 140, 70)))))]
    form = {key: str(value) if isinstance(value, int) else value for key, value in fields.items()}
    whole = client.post("/v1/identify", files=files, data=form).json()
    body = {"scores": scored["scores"], "novelty": scored["novelty"], "photos": scored["photos"], **fields}
    answer = client.post("/v1/reweigh", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    numbers_near(answer.json(), whole)
    IdentificationDocument.model_validate(answer.json())


def test_it_is_what_python_answers(client: httpx.Client, identifier: Identifier) -> None:
    told = client.post("/v1/identify", files={"photos": ("a.jpg", JPEG)}, data={"scores": "1"}).json()
    evidence = Evidence.of({"hardness": "7", "magnet": "none"})
    wanted = identifier.identify(JPEG, name="photo", evidence=evidence).as_dict()
    body = {"scores": told["scores"], "novelty": told["novelty"], "hardness": "7", "test": ["magnet=none"]}
    numbers_near(client.post("/v1/reweigh", json=body).json(), wanted)


def test_without_the_novelty_the_score_is_what_the_best_label_lacks(
    client: httpx.Client, scored: dict[str, Any]
) -> None:
    answer = client.post("/v1/reweigh", json={"scores": scored["scores"]}).json()
    assert answer["unknown_score"] == pytest.approx(1 - max(scored["scores"].values()), abs=1e-5)
    assert "warnings" not in answer


def test_novelty_changes_the_decision_and_warns(client: httpx.Client, scored: dict[str, Any]) -> None:
    sure = dict.fromkeys(scored["scores"], 0.0) | {"malachite": 1.0}
    asked = {"scores": sure, "novelty": {"far": 0.1, "near": 0.5}}
    near = client.post("/v1/reweigh", json=asked).json()
    assert near["decision"] == {"name": "malachite", "rank": "species", "probability": 0.9}
    assert near["unknown_score"] == pytest.approx(0.55)
    far = client.post("/v1/reweigh", json=asked | {"novelty": {"far": 0.9, "near": 0}}).json()
    assert far["decision"]["name"] == "unknown"
    assert far["warnings"] == ["no-specimen"]
    assert "next_test" not in far


@pytest.mark.parametrize(
    "novelty", [{}, {"far": 0.5}, {"far": 2, "near": 0}, {"far": "0", "near": 0}, {"far": 0, "near": 0, "mid": 0}, 0.5]
)
def test_a_novelty_that_makes_no_sense(client: httpx.Client, scored: dict[str, Any], novelty: Any) -> None:
    check_problem(client.post("/v1/reweigh", json={"scores": scored["scores"], "novelty": novelty}), 422, "bad-request")


def test_names_of_photos_are_cleaned(client: httpx.Client, scored: dict[str, Any]) -> None:
    body = {"scores": scored["scores"], "photos": ["../../a\x07.jpg"]}
    assert client.post("/v1/reweigh", json=body).json()["photo"] == "a.jpg"


def first(scores: dict[str, float], value: Any) -> dict[str, Any]:
    return {**scores, next(iter(scores)): value}


BAD_SCORES: list[tuple[str, Callable[[dict[str, float]], Any]]] = [
    ("a label is missing", lambda scores: dict(list(scores.items())[1:])),
    ("a label too many", lambda scores: {**scores, "kryptonite": 0.0}),
    ("another name", lambda scores: {(name if name != "quartz" else "Quartz"): one for name, one in scores.items()}),
    ("none", lambda _: {}),
    ("negative", lambda scores: first(scores, -0.1)),
    ("more than 1", lambda scores: first(scores, 1.5)),
    ("text", lambda scores: first(scores, "0.1")),
    ("nothing", lambda scores: first(scores, None)),
    ("true", lambda scores: first(scores, True)),
    ("too much together", lambda scores: {name: one * 1.01 for name, one in scores.items()}),
    ("all zero", lambda scores: dict.fromkeys(scores, 0.0)),
    ("a list", lambda scores: list(scores.values())),
]


@pytest.mark.parametrize(("case", "change"), BAD_SCORES, ids=[case for case, _ in BAD_SCORES])
def test_scores_that_are_none(
    client: httpx.Client, scored: dict[str, Any], case: str, change: Callable[[dict[str, float]], Any]
) -> None:
    answer = client.post("/v1/reweigh", json={"scores": change(scored["scores"])})
    assert "scores" in check_problem(answer, 422, "bad-request").lower()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite(client: httpx.Client, scored: dict[str, Any], number: str) -> None:
    body = json.dumps({"scores": first(scored["scores"], 0.123456)}).replace("0.123456", number)
    answer = client.post("/v1/reweigh", content=body, headers={"content-type": "application/json"})
    check_problem(answer, 422, "bad-request")


def test_scores_may_be_off_by_rounding(client: httpx.Client, scored: dict[str, Any]) -> None:
    rounded = {name: round(one, 5) for name, one in scored["scores"].items()}
    assert client.post("/v1/reweigh", json={"scores": rounded}).status_code == 200


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"hardness": "hard"}, "bad-evidence"),
    ({"hardness": ""}, "bad-evidence"),
    ({"test": ["acid=maybe"]}, "bad-evidence"),
    ({"test": ["acid=none", "acid=none"]}, "bad-evidence"),
    ({"streak": "white", "test": ["streak=white"]}, "bad-evidence"),
    ({"hardness": 3}, "bad-request"),
    ({"test": "acid=none"}, "bad-request"),
    ({"test": ["acid=none"] * 99}, "bad-request"),
    ({"top": 0}, "bad-request"),
    ({"top": "3"}, "bad-request"),
    ({"lang": "fr"}, "bad-request"),
    ({"photos": []}, "bad-request"),
    ({"photos": ["a"] * 6}, "bad-request"),
    ({"colour": "red"}, "bad-request"),
    ({"among": ","}, "bad-request"),
    ({"among": "plastic"}, "unknown-mineral"),
]


@pytest.mark.parametrize(("fields", "code"), WRONG)
def test_fields_that_make_no_sense(
    client: httpx.Client, scored: dict[str, Any], fields: dict[str, Any], code: str
) -> None:
    check_problem(client.post("/v1/reweigh", json={"scores": scored["scores"], **fields}), 422, code)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b'{"scores": ' + b"[" * 500])
def test_a_body_that_is_no_such_json(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/reweigh", content=body, headers={"content-type": "application/json"})
    check_problem(answer, 422, "bad-request")


def test_what_was_sent_is_not_sent_back(client: httpx.Client, scored: dict[str, Any]) -> None:
    body = {"scores": first(scored["scores"], "s3cret"), "hardness": 3}
    assert "s3cret" not in client.post("/v1/reweigh", json=body).text


def test_limits_and_content_types(client: httpx.Client) -> None:
    big = b'{"scores": {}, "among": "' + b"x" * 2**20 + b'"}'
    answer = client.post("/v1/reweigh", content=big, headers={"content-type": "application/json"})
    check_problem(answer, 413, "body-too-large")
    check_problem(client.post("/v1/reweigh", data={"scores": "1"}), 415, "unsupported-media-type")
    check_problem(client.post("/v1/reweigh?top=1", json={}), 422, "bad-request")
    check_problem(client.get("/v1/reweigh"), 405, "method-not-allowed")
