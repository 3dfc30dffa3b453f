"""Hosts, other origins, compression, the page left out; and that every refusal is whole."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.keys import new_key
from handlens.service.settings import Settings
from service.running import JPEG, check_problem, client_of, connected, read_answer

PHOTO = {"photos": ("a.jpg", JPEG)}
ORIGIN = "https://museum.example"


# Hosts.


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_loopback_names_are_trusted(client: httpx.Client, host: str) -> None:
    assert client.get("/livez", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "[::1"]
)
def test_other_names_are_refused(client: httpx.Client, host: str) -> None:
    """A page of another name that resolves to this machine (DNS rebinding) gets nothing."""
    answer = client.get("/v1/model", headers={"host": host})
    check_problem(answer, 400, "bad-request")
    assert answer.headers["x-request-id"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_trusted_hosts_can_be_set(tiny: Identifier) -> None:
    app = create_app(tiny, Settings(trusted_hosts=("museum.example", "*.museum.example")))
    with client_of(app) as client:
        for host, status in (("museum.example", 200), ("a.museum.example:443", 200), ("localhost", 400)):
            assert client.get("/livez", headers={"host": host}).status_code == status


def test_a_service_for_every_address_takes_every_name(tiny: Identifier) -> None:
    with client_of(create_app(tiny, Settings(host="0.0.0.0"))) as client:
        assert client.get("/livez", headers={"host": "any.example"}).status_code == 200


# Other origins.


@pytest.fixture(scope="module")
def shared(tiny: Identifier) -> Iterator[httpx.Client]:
    _, line = new_key()
    with client_of(create_app(tiny, Settings(cors_origins=(ORIGIN,), keys=(line,)))) as client:
        yield client


def preflight(client: httpx.Client, origin: str, method: str = "POST") -> httpx.Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": "authorization,content-type"}
    return client.options("/v1/identify", headers={"origin": origin, **asked})


def test_an_origin_that_is_set_may_ask_and_read_why_it_is_refused(shared: httpx.Client) -> None:
    asked = preflight(shared, ORIGIN)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    refused = shared.post("/v1/identify", files=PHOTO, headers={"origin": ORIGIN})
    check_problem(refused, 401, "unauthorised")
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert "retry-after" in refused.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in refused.headers


def test_another_origin_is_not_let_in(shared: httpx.Client, client: httpx.Client) -> None:
    other = "https://museum.example.evil.example"
    for refused in (preflight(shared, other), preflight(shared, ORIGIN, "DELETE")):
        check_problem(refused, 400, "bad-request")
    assert "access-control-allow-origin" not in preflight(shared, other).headers
    assert "access-control-allow-origin" not in shared.get("/v1/model", headers={"origin": other}).headers
    check_problem(preflight(client, ORIGIN), 405, "method-not-allowed")
    assert "access-control-allow-origin" not in client.get("/v1/model", headers={"origin": ORIGIN}).headers


# Compression.


@pytest.mark.parametrize("path", ["/", "/page/style.css", "/openapi.json", "/v1/minerals"])
def test_texts_are_compressed_for_who_takes_it(client: httpx.Client, path: str) -> None:
    packed = client.get(path, headers={"accept-encoding": "gzip"})
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert "accept-encoding" in plain.headers["vary"].lower()


def test_a_compressed_body_is_not_unpacked(client: httpx.Client) -> None:
    body = gzip.compress(b'{"scores": {}}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    check_problem(client.post("/v1/reweigh", content=body, headers=headers), 422, "bad-request")


# The page left out.


def test_the_page_can_be_left_out(tiny: Identifier) -> None:
    with client_of(create_app(tiny, Settings(page=False))) as client:
        for path in ("/", "/page/app.js", "/docs"):
            check_problem(client.get(path), 404, "not-found")
        assert client.get("/openapi.json").status_code == 200
        assert client.post("/v1/identify", files=PHOTO).status_code == 200


# Whole refusals, whatever comes.


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /%00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /%ff%fe HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /page/%2e%2e%2fapp.py HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET http://localhost/livez/x HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /v1/minerals/%00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /v1/minerals?search=%ff&limit=1e9 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
        "PRI * HTTP/2.0\r\nhost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "DELETE /v1/identify HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "POST /v1/identify HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "POST /v1/identify HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data\r\n"
        "content-length: 3\r\n\r\nabc",
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n\xff\xfe",
        "POST /v1/reweigh HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[[",
        "GET /docs HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: localhost\r\nrange: bytes=0-\r\nauthorization: \xe9\r\n\r\n",
    ],
)
def test_whatever_comes_the_answer_is_whole_and_never_500(address: str, request_text: str) -> None:
    with connected(address) as connection:
        connection.sendall(request_text.encode("latin-1"))
        answer = read_answer(connection)
    assert answer.headers["x-request-id"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.status_code < 500
    if answer.status_code >= 400:
        check_problem(answer, answer.status_code, answer.json()["code"])
