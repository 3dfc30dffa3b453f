"""Everything around the answers: health, limits, failures, headers, documents, the page's files."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from handlens import photo_errors
from handlens.errors import HandlensError, UsageError
from handlens.identifier import Identifier, UnknownLabelError
from handlens.minerals.knowledge import UnknownMineralError
from handlens.model import Model, Scores
from handlens.photo import PhotoError
from handlens.service import CannotListenError, Settings, create_app, serve
from handlens.service.problems import status_of
from service.running import JPEG, check_problem, client_of, running

PAGE = Path(sys.modules["handlens.service"].__file__ or "").parent / "page"


class WithModel(Identifier):
    """An identifier whose network can be replaced."""

    fake: Model | None = None

    @property
    def model(self) -> Model:
        return self.fake or super().model


class BrokenModel(Model):
    """A network that fails, or answers no numbers."""

    def __init__(self, labels: int, error: Exception | None) -> None:
        self._labels, self._error = labels, error

    def run(self, views: np.ndarray[Any, Any]) -> Scores:  # noqa: ARG002
        if self._error:
            raise self._error
        return Scores(np.full((1, self._labels), np.nan, np.float32), np.zeros((1, 4), np.float32))


@pytest.fixture
def broken(identifier: Identifier) -> Iterator[httpx.Client]:
    other = WithModel(identifier.bundle)
    other.fake = BrokenModel(len(other.bundle.labels), RuntimeError("secret path of the server"))
    with client_of(create_app(other)) as client:
        yield client


# Health.


def test_alive_and_ready(client: httpx.Client, identifier: Identifier) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok", "model": identifier.bundle.name}


def test_ready_runs_the_network_each_time(identifier: Identifier) -> None:
    other = WithModel(identifier.bundle)
    with client_of(create_app(other)) as client:
        assert client.get("/readyz").status_code == 200
        for error in (RuntimeError("secret"), None):
            other.fake = BrokenModel(len(other.bundle.labels), error)
            assert "secret" not in check_problem(client.get("/readyz"), 503, "not-ready")
            assert client.get("/livez").status_code == 200
        other.fake = None
        assert client.get("/readyz").status_code == 200


# Failures.


def test_an_unexpected_failure_tells_nothing(broken: httpx.Client) -> None:
    answer = broken.post("/v1/identify", files={"photos": ("a.jpg", JPEG)})
    assert "secret" not in check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_path_or_method_that_is_none(client: httpx.Client) -> None:
    check_problem(client.get("/nowhere"), 404, "not-found")
    check_problem(client.get("/page/..%2fapp.py"), 404, "not-found")
    check_problem(client.get("/page/__init__.py"), 404, "not-found")
    check_problem(client.post("/v1/identify/"), 404, "not-found")
    answer = client.get("/v1/identify")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


def photo_error_classes(base: type[PhotoError] = PhotoError) -> Iterator[type[PhotoError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from photo_error_classes(kind)


def test_every_photo_error_has_a_status_of_the_client() -> None:
    special = {"image-too-large": 413, "unsupported-format": 415, "not-an-image": 415}
    classes = [kind for kind in photo_error_classes() if kind.__module__ == photo_errors.__name__]
    assert len(classes) >= 10
    for kind in classes:
        assert status_of(kind("a.jpg", "wrong")) == special.get(kind.code, 400), kind


def test_other_errors_have_their_statuses() -> None:
    assert status_of(UsageError("x")) == 422
    assert status_of(UnknownLabelError("x")) == 422
    assert status_of(UnknownMineralError("x")) == 422
    assert status_of(HandlensError("x")) == 500


# The limit on bodies.


@pytest.fixture(scope="module")
def small(identifier: Identifier) -> Iterator[httpx.Client]:
    with client_of(create_app(identifier, Settings(max_body_bytes=50_000))) as client:
        yield client


def chunks(count: int) -> Iterator[bytes]:
    yield b'--edge\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
    for _ in range(count):
        yield b"x" * 10_000


@pytest.mark.parametrize("path", ["/v1/identify", "/predict/", "/predict"])
def test_a_streamed_body_is_cut_off_at_the_limit(small: httpx.Client, path: str) -> None:
    answer = small.post(path, content=chunks(12), headers={"content-type": "multipart/form-data; boundary=edge"})
    assert answer.request.headers["transfer-encoding"] == "chunked"
    check_problem(answer, 413, "body-too-large")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/v1/identify", "/predict/", "/livez", "/nowhere"])
def test_a_declared_length_over_the_limit_is_refused_on_any_path(small: httpx.Client, path: str) -> None:
    check_problem(small.post(path, content=b"x" * 50_001), 413, "body-too-large")


@pytest.mark.parametrize("header", ["content-length: {size}", "transfer-encoding: chunked"])
def test_a_client_that_reads_only_after_sending_sees_the_answer(identifier: Identifier, header: str) -> None:
    """As browsers may: it fails where the server closes the connection instead of reading on."""
    limit, size = 4 * 2**20, 16 * 2**20
    head = f"POST /predict/ HTTP/1.1\r\nhost: localhost\r\n{header.format(size=size)}\r\n\r\n".encode()
    body = bytes(size) if "length" in header else f"{size:x}\r\n".encode() + bytes(size) + b"\r\n0\r\n\r\n"
    with running(create_app(identifier, Settings(max_body_bytes=limit))) as address:
        url = httpx.URL(address)
        with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
            connection.sendall(head + body)
            assert connection.recv(64).startswith(b"HTTP/1.1 413")


def test_a_client_that_waits_to_continue_is_refused_at_once(small: httpx.Client) -> None:
    url = small.base_url
    head = "POST /predict/ HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 50001\r\n\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


def test_a_body_at_the_limit_is_accepted(small: httpx.Client) -> None:
    room = 50_000 - len(small.build_request("POST", "/v1/identify", files={"photos": ("a.jpg", JPEG)}).read())
    answer = small.post("/v1/identify", files={"photos": ("a.jpg", JPEG + b"\0" * room)})
    assert answer.request.headers["content-length"] == "50000"
    assert answer.status_code == 200


def test_a_stalled_upload_does_not_stop_the_others(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=5) as connection:
        connection.sendall(b"POST /predict/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
        assert client.get("/livez", timeout=5).status_code == 200
        assert client.post("/v1/identify", files={"photos": ("a.jpg", JPEG)}, timeout=20).status_code == 200


def test_the_loop_is_free_while_a_photo_is_worked_on(identifier: Identifier) -> None:
    other = WithModel(identifier.bundle)
    real = other.model

    begun, go_on = threading.Event(), threading.Event()

    class SlowModel(BrokenModel):
        def run(self, views: np.ndarray[Any, Any]) -> Scores:
            begun.set()
            assert go_on.wait(30)
            return real.run(views)

    other.fake = SlowModel(0, None)
    with client_of(create_app(other)) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/v1/identify", files={"photos": ("a.jpg", JPEG)})
        assert begun.wait(30)
        assert client.get("/livez").status_code == 200
        assert not answer.done()
        go_on.set()
        assert answer.result(timeout=30).status_code == 200


# Documents.


def test_openapi_describes_every_route_and_its_problems(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert {"/v1/identify", "/v1/reweigh", "/predict/", "/v1/minerals/names", "/v1/model"} <= set(paths)
    assert {"/livez", "/readyz"} <= set(paths)
    identify = paths["/v1/identify"]["post"]
    assert set(identify["responses"]) == {"200", "400", "408", "413", "415", "422", "429", "503"}
    form = identify["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        *("photos", "top", "among", "crop", "rotate", "hardness", "streak", "gravity", "test", "lang", "scores"),
        *("explain", "thorough"),
    }
    assert set(paths["/v1/reweigh"]["post"]["responses"]) == {"200", "408", "413", "415", "422"}
    assert set(paths["/predict/"]["post"]["responses"]) == {"200", "400", "408", "413", "422", "429", "501", "503"}
    schemas = document["components"]["schemas"]
    problem = identify["responses"]["413"]["content"]["application/problem+json"]
    assert problem["schema"]["$ref"].removeprefix("#/components/schemas/") in schemas
    assert set(problem["example"]) <= set(schemas["ProblemDocument"]["properties"])
    references = set(re.findall(r'"\$ref": ?"([^"]+)"', client.get("/openapi.json").text))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in schemas}


def test_the_documentation_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in answer.text
    assert "<script" not in answer.text
    assert not re.search(r"""(?:href|src)=["'](?:https?:)?//""", answer.text)


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/style.css", "/v1/model", "/v1/minerals/names", "/docs"])
def test_what_does_not_change_has_an_etag(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    assert first.status_code == 200
    etag = first.headers["etag"]
    for asked in (etag, f'W/{etag}, "other"', "*"):
        again = client.get(path, headers={"if-none-match": asked})
        assert again.status_code == 304
        assert again.content == b""
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_names_cover_everything_an_answer_can_hold(client: httpx.Client, identifier: Identifier) -> None:
    for lang, quartz in (("en", "quartz"), ("es", "cuarzo")):
        document = client.get("/v1/minerals/names", params={"lang": lang}).json()
        assert document["lang"] == lang
        assert document["names"]["quartz"] == quartz
        assert set(document["names"]) == set(identifier.taxonomy.names)
    assert client.get("/v1/minerals/names").json()["lang"] == "en"
    check_problem(client.get("/v1/minerals/names?lang=xx"), 422, "bad-request")


def test_the_model_is_described(client: httpx.Client, identifier: Identifier) -> None:
    document = client.get("/v1/model").json()
    assert document["name"] == identifier.bundle.name
    assert document["labels"] == list(identifier.bundle.labels)
    assert 0 < document["max_photo_bytes"] < Settings().max_body_bytes
    card = Path(identifier.bundle.path) / "MODEL_CARD.md"
    assert document["card"] == card.read_text("utf-8")
    assert identifier.bundle.name in document["card"]
    assert document["metrics"] == identifier.bundle.manifest["metrics"]
    assert document["metrics"]["protocols"]
    assert document["training_data"]["per_label"].keys() == set(document["labels"])
    assert "weights" in document["licences"]


# The page's files and the headers.


def test_the_page_files_are_served_and_name_no_other_host(client: httpx.Client) -> None:
    names = sorted(path.name for path in PAGE.iterdir())
    assert {"index.html", "app.js", "style.css"} <= set(names)
    for name in names:
        answer = client.get(f"/page/{name}")
        assert answer.status_code == 200
        assert answer.content == (PAGE / name).read_bytes()
        # The namespace of SVG is a name, not an address.
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?|wss?):|[\"'(]//|@import", text), name
    assert client.get("/").content == (PAGE / "index.html").read_bytes()
    assert client.head("/").status_code == 200


def test_the_page_puts_nothing_into_the_document_but_text() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html)
    for path in PAGE.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text())


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/livez", "/openapi.json", "/docs", "/nowhere", "/v1/model"])
def test_every_response_carries_the_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


# `serve`.


def test_serve_says_where_it_listens_and_stops_when_interrupted() -> None:
    code = "from handlens.service import Settings, serve; serve(Settings(port=0))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"Handlens listens on (http://127\.0\.0\.1:\d+)/\n", line)
        assert found, line
        assert httpx.get(f"{found[1]}/livez", timeout=20).json() == {"status": "ok"}
        assert httpx.post(f"{found[1]}/v1/identify", files={"photos": ("a.jpg", b"")}, timeout=20).status_code == 400
        form = {"content-type": "multipart/form-data; boundary=edge"}
        assert httpx.post(f"{found[1]}/v1/identify", content=b"--x", headers=form, timeout=20).status_code == 422
        process.terminate()
        out, err = process.communicate(timeout=20)
        assert (out, err, process.returncode) == ("", "", 0)
    finally:
        process.kill()
        process.communicate()


def test_serve_refuses_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListenError, match="cannot listen"):
        serve(Settings(port=taken.getsockname()[1]))
    with pytest.raises(CannotListenError):
        serve(Settings(host="192.0.2.1"))  # of a network for documentation: no machine has it
