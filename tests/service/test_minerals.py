"""The knowledge base over HTTP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from handlens.minerals import KnowledgeBase, document
from handlens.minerals.properties import WORDS
from handlens.service.mineral_documents import MineralDocument, MineralsDocument, WordsDocument
from service.running import check_problem


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    MineralsDocument.model_validate_json(answer.content)
    return [one["name"] for one in answer.json()["minerals"]]


def test_all_are_listed(client: httpx.Client) -> None:
    answer = client.get("/v1/minerals")
    assert names(answer) == [record.name for record in KnowledgeBase.load()]
    entries = {one["name"]: one for one in answer.json()["minerals"]}
    assert entries["agate"] == {
        "name": "agate",
        "rank": "variety",
        "names": {"en": "agate", "es": "ágata"},
        "species": "quartz",
    }
    assert entries["garnet"]["species"] is None


@pytest.mark.parametrize("typed", ["amatsita", "Amethyst", "amatista", "amethy"])
def test_search(client: httpx.Client, typed: str) -> None:
    assert names(client.get("/v1/minerals", params={"search": typed}))[0] == "amethyst"


def test_search_is_cut(client: httpx.Client) -> None:
    assert len(names(client.get("/v1/minerals", params={"search": "a"}))) == 20
    assert len(names(client.get("/v1/minerals", params={"search": "a", "limit": 3}))) == 3
    assert names(client.get("/v1/minerals", params={"search": "plastic spoon"})) == []


@pytest.mark.parametrize("params", [{"search": "q" * 101}, {"search": "a", "limit": 0}, {"limit": "many"}])
def test_a_search_that_makes_no_sense(client: httpx.Client, params: dict[str, str]) -> None:
    check_problem(client.get("/v1/minerals", params=params), 422, "bad-request")


def test_every_record_is_as_documented() -> None:
    minerals = KnowledgeBase.load()
    for record in minerals:
        found = MineralDocument.model_validate_json(json.dumps(document.record(minerals, record.name)))
        assert found.name == record.name
        assert len(found.warnings.en) == len(found.warnings.es) == len(found.hazards)


def test_one_record_by_any_of_its_names(client: httpx.Client) -> None:
    answer = client.get("/v1/minerals/galena")
    found = answer.json()
    assert found["hazards"] == ["lead"]
    assert "plomo" in found["warnings"]["es"][0]
    assert found["properties"]["mohs"] == {"low": 2.5, "high": 2.75}
    assert found["properties"]["cleavage"] == [{"quality": "perfect", "directions": 3}]
    assert "sphalerite" in found["look_alikes"]
    assert found["source"] == "unverified"
    assert found["notice"]["en"] == "not for food, medicine, valuation or asbestos clearance"
    assert client.get("/v1/minerals/Lead glance").content == answer.content
    agate = client.get(f"/v1/minerals/{quote('ágata')}").json()
    assert agate["ancestors"] == ["chalcedony", "quartz", "silica group"]
    assert "blue lace agate" in agate["holds"]


def test_the_command_line_says_the_same(client: httpx.Client, capsys: Any) -> None:
    from commands import run

    assert run("minerals", "quartz", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == client.get("/v1/minerals/quartz").json()
    assert run("minerals", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == client.get("/v1/minerals").json()


def test_a_mineral_that_is_none(client: httpx.Client) -> None:
    answer = client.get("/v1/minerals/flourite")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["code"] == "unknown-mineral"
    assert found["near"][0] == "fluorite"
    assert "did you mean fluorite" in found["detail"]
    check_problem(client.get("/v1/minerals/plastic spoon"), 404, "unknown-mineral")
    check_problem(client.get(f"/v1/minerals/{'q' * 101}"), 422, "bad-request")
    check_problem(client.get("/v1/minerals/a/b"), 404, "not-found")


@pytest.mark.parametrize("lang", ["en", "es"])
def test_words(client: httpx.Client, lang: str) -> None:
    answer = client.get("/v1/minerals/words", params={"lang": lang})
    WordsDocument.model_validate_json(answer.content)
    found = answer.json()
    assert all(set(known) <= set(found["words"][field]) for field, known in WORDS.items())
    assert found["words"]["streak"]["white"] == {"en": "white", "es": "blanca"}[lang]
    assert found["titles"]["streak"] == {"en": "streak", "es": "raya"}[lang]


def test_words_of_an_unknown_language(client: httpx.Client) -> None:
    check_problem(client.get("/v1/minerals/words", params={"lang": "eo"}), 422, "bad-request")


def test_names_are_still_there(client: httpx.Client) -> None:
    assert client.get("/v1/minerals/names", params={"lang": "es"}).json()["names"]


@pytest.mark.parametrize("path", ["", "?search=agat", "/quartz", "/words"])
def test_documents_have_an_etag(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/v1/minerals{path}")
    tag = answer.headers["etag"]
    again = client.get(f"/v1/minerals{path}", headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_openapi_has_examples(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path in ("/v1/minerals", "/v1/minerals/{name}", "/v1/minerals/words"):
        content = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        schema = described["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert schema["example"], path
    MineralDocument.model_validate(described["components"]["schemas"]["MineralDocument"]["example"])
    assert "404" in described["paths"]["/v1/minerals/{name}"]["get"]["responses"]
