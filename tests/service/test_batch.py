"""`/v1/identify/batch`: many specimens, a line for each."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from handlens.cli.main import main
from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.settings import Settings
from service.running import (
    JPEG,
    HeldIdentifier,
    check_problem,
    client_of,
    connected,
    drawn,
    encoded,
    read_answer,
    wait_for_metric,
)

GREEN = encoded(drawn((40, 160, 60)))
PATH = "/v1/identify/batch"


def photos(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", file) for file in files]


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_photo_is_a_specimen_of_its_own_in_their_order(client: httpx.Client) -> None:
    lines = lines_of(client.post(PATH, files=photos(("b.jpg", JPEG), ("a.jpg", GREEN), ("b.jpg", JPEG))))
    assert [line["photo"] for line in lines] == ["b.jpg", "a.jpg", "b.jpg"]
    assert lines[0] == lines[2] != lines[1]
    alone = [client.post("/v1/identify", files={"photos": ("x.jpg", photo)}).json() for photo in (JPEG, GREEN)]
    assert [line | {"photo": ""} for line in lines[:2]] == [one | {"photo": ""} for one in alone]


def test_a_broken_photo_is_a_line_like_that_of_the_command(
    client: httpx.Client, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [("a.jpg", JPEG), ("b.jpg", JPEG[:300]), ("c.txt", b"text"), ("d.jpg", b""), ("e.jpg", GREEN)]
    lines = lines_of(client.post(PATH, files=photos(*files)))
    assert ["error" in line for line in lines] == [False, True, True, True, False]
    for name, content in files:
        (tmp_path / name).write_bytes(content)
    assert main(["identify", "--format", "jsonl", *(str(tmp_path / name) for name, _ in files)]) == 1
    for line, told in zip(lines, map(json.loads, capsys.readouterr().out.splitlines()), strict=True):
        assert line.get("error") == told.get("error")
        assert line.get("decision", {}).get("name") == told.get("decision", {}).get("name")


def test_the_fields_are_of_every_photo(client: httpx.Client) -> None:
    data = {"top": "1", "among": "quartz, calcite", "lang": "es"}
    for line in lines_of(client.post(PATH, data=data, files=photos(("a.jpg", JPEG), ("b.jpg", GREEN)))):
        assert len(line["candidates"]) == 1
        assert line["candidates"][0]["name"] in {"quartz", "calcite"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"hardness": "3"}, "bad-request"),
        ({"crop": "1,1,5,5"}, "bad-request"),
        ({"top": "0"}, "bad-request"),
        ({"lang": "fr"}, "bad-request"),
        ({"among": "cheese"}, "unknown-mineral"),
    ],
)
def test_what_is_wrong_with_the_request_is_its_answer(client: httpx.Client, data: dict[str, str], code: str) -> None:
    check_problem(client.post(PATH, data=data, files=photos(("a.jpg", JPEG))), 422, code)


def test_other_bodies_are_refused(client: httpx.Client) -> None:
    check_problem(client.post(PATH, json={}), 415, "unsupported-media-type")
    check_problem(client.post(PATH, files={"top": (None, b"3")}), 422, "bad-request")
    check_problem(client.post(PATH + "?top=3", files=photos(("a.jpg", JPEG))), 422, "bad-request")
    check_problem(client.get(PATH), 405, "method-not-allowed")


def test_photos_and_bytes_have_limits_of_their_own(tiny: Identifier) -> None:
    settings = Settings(max_batch_photos=7, max_batch_bytes=100_000, max_body_bytes=20_000)
    with client_of(create_app(tiny, settings)) as client:
        assert len(lines_of(client.post(PATH, files=photos(*[("a.jpg", JPEG)] * 7)))) == 7
        check_problem(client.post(PATH, files=photos(*[("a.jpg", JPEG)] * 8)), 422, "bad-request")
        assert len(lines_of(client.post(PATH, files=photos(("a.jpg", JPEG + bytes(60_000)))))) == 1
        check_problem(client.post(PATH, files=photos(("a.jpg", bytes(100_000)))), 413, "body-too-large")
        check_problem(client.post("/v1/identify", files=photos(("a.jpg", bytes(60_000)))), 413, "body-too-large")


def test_a_line_comes_when_its_photo_is_done(tiny: Identifier) -> None:
    identifier = HeldIdentifier(tiny.bundle)
    files = photos(("bad.jpg", b"x"), ("a.jpg", JPEG))
    with client_of(create_app(identifier)) as client, client.stream("POST", PATH, files=files) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["error"]["type"] == "not-an-image"
        assert identifier.begun.acquire(timeout=30)
        identifier.go_on.set()
        assert json.loads(next(lines))["photo"] == "a.jpg"
        assert next(lines, None) is None


def test_a_client_that_goes_away_stops_the_work(tiny: Identifier) -> None:
    identifier = HeldIdentifier(tiny.bundle)
    with client_of(create_app(identifier, Settings(metrics=True))) as client:
        request = client.build_request("POST", PATH, files=photos(*[("a.jpg", JPEG)] * 20))
        body = request.read()
        head = f"content-type: {request.headers['content-type']}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with connected(str(client.base_url)) as connection:
            connection.sendall(b"POST /v1/identify/batch HTTP/1.1\r\nhost: localhost\r\n" + head + body)
            assert identifier.begun.acquire(timeout=30)
        gone = 'handlens_requests_total{method="POST",route="/v1/identify/batch",status="499"}'
        wait_for_metric(client, gone, 1)
        identifier.go_on.set()
        wait_for_metric(client, "handlens_photos_in_work", 0)
        assert identifier.photos == 1


def test_a_batch_that_was_let_in_waits_where_the_queue_is_full(tiny: Identifier) -> None:
    identifier = HeldIdentifier(tiny.bundle)
    settings = Settings(max_concurrent=1, max_queue=0, metrics=True)
    with client_of(create_app(identifier, settings)) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, PATH, files=photos(*[("a.jpg", JPEG)] * 3))
        assert identifier.begun.acquire(timeout=30)
        check_problem(client.post("/v1/identify", files=photos(("a.jpg", JPEG))), 503, "overloaded")
        identifier.go_on.set()
        assert ["error" in line for line in lines_of(answer.result(60))] == [False] * 3


class Failing(Identifier):
    """An identifier that fails at the second photo as nobody expected."""

    photos = 0

    def identify(self, *arguments: Any, **others: Any) -> Any:
        self.photos += 1
        if self.photos == 2:
            raise RuntimeError("secret path of the server")
        return super().identify(*arguments, **others)


def test_an_unexpected_failure_is_the_line_of_its_photo_and_tells_nothing(tiny: Identifier) -> None:
    with client_of(create_app(Failing(tiny.bundle))) as client:
        answer = client.post(PATH, files=photos(("a.jpg", JPEG), ("b.jpg", JPEG), ("c.jpg", JPEG)))
        lines = lines_of(answer)
        assert [line.get("error", {}).get("type") for line in lines] == [None, "internal-error", None]
        assert "secret" not in answer.text


def test_it_is_described(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"][PATH]["post"]
    assert set(operation["responses"]) == {"200", "408", "413", "415", "422", "429", "503"}
    assert "application/x-ndjson" in operation["responses"]["200"]["content"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"photos", "top", "among", "lang", "thorough"}
    assert form["properties"]["photos"]["maxItems"] == Settings().max_batch_photos
    for line in operation["responses"]["200"]["content"]["application/x-ndjson"]["example"].splitlines():
        assert "photo" in json.loads(line)


def test_a_chunked_batch_is_read_as_well(client: httpx.Client) -> None:
    request = client.build_request("POST", PATH, files=photos(("a.jpg", JPEG)))
    body = request.read()
    with connected(str(client.base_url)) as connection:
        connection.sendall(
            b"POST /v1/identify/batch HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-type: "
            + request.headers["content-type"].encode()
            + b"\r\n\r\n"
        )
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert len(lines_of(read_answer(connection))) == 1
