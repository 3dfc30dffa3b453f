"""Limits: heads, slow and endless clients, the queue, the time of a photo, all bodies together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.connection import GuardedProtocol
from handlens.service.settings import Settings
from service.running import (
    JPEG,
    HeldIdentifier,
    check_problem,
    client_of,
    connected,
    is_closed,
    metric,
    read_answer,
    running,
    wait_for_metric,
)

PHOTO = {"photos": ("a.jpg", JPEG)}
BEGIN = b"POST /v1/identify HTTP/1.1\r\nhost: localhost\r\n"
SHORT = 0.4
"""Seconds: a deadline that a test waits for."""


def test_answers_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = GuardedProtocol.connection_made
    delayed = []

    def seen(self: GuardedProtocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        connection = transport.get_extra_info("socket")
        delayed.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)

    monkeypatch.setattr(GuardedProtocol, "connection_made", seen)
    with running(Response("ok")) as address:
        assert httpx.get(address).text == "ok"
    assert delayed == [False]


# Heads.


@pytest.fixture(scope="module")
def narrow(tiny: Identifier) -> Iterator[str]:
    settings = Settings(max_url_bytes=200, max_head_bytes=2000)
    with running(create_app(tiny, settings), settings) as address:
        yield address


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, "url-too-long"),
        (b"GET /?" + b"a" * 300 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, "url-too-long"),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 2500 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\n" + b"x: a\r\n" * 500 + b"\r\n", 431, "head-too-large"),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 2500, 431, "head-too-large"),
        (b"GET /" + b"a" * 2500, 431, "head-too-large"),
        (b"nonsense\r\n\r\n", 400, "bad-request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad-request"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (BEGIN + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", 400, "bad-request"),
        (BEGIN + b"content-length: -5\r\n\r\n", 400, "bad-request"),
    ],
)
def test_a_head_that_is_too_long_or_none_is_refused(narrow: str, head: bytes, status: int, code: str) -> None:
    with connected(narrow) as connection:
        connection.sendall(head)
        answer = read_answer(connection)
    check_problem(answer, status, code)
    assert answer.headers["x-request-id"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_head_within_the_limits_is_taken(narrow: str) -> None:
    assert httpx.get(f"{narrow}/livez?{'a' * 150}", headers={"x": "a" * 1000}).status_code == 200


@pytest.mark.parametrize("chunk", [b"xyz\r\n", b"-1\r\n", b"5\r\nhello6\r\n"])
def test_a_body_that_is_no_http_is_a_bad_request(narrow: str, chunk: bytes) -> None:
    head = BEGIN + b"content-type: multipart/form-data; boundary=edge\r\ntransfer-encoding: chunked\r\n\r\n"
    with connected(narrow) as connection:
        connection.sendall(head + chunk)
        check_problem(read_answer(connection), 400, "bad-request")
        assert is_closed(connection)
    assert httpx.get(f"{narrow}/livez").status_code == 200


# Slow clients.


def keep_sending_until_closed(connection: socket.socket, piece: bytes) -> None:
    """Sends and reads nothing; fails where the server is still there after a while."""
    deadline = time.monotonic() + 30
    with contextlib.suppress(ConnectionError):
        while True:
            connection.sendall(piece)
            assert time.monotonic() < deadline, "the server still reads"


@pytest.fixture(scope="module")
def hurried(tiny: Identifier) -> Iterator[str]:
    settings = Settings(head_timeout=SHORT, body_timeout=3 * SHORT, min_body_rate=0, max_body_bytes=100_000)
    with running(create_app(tiny, settings), settings) as address:
        yield address


def test_a_connection_that_says_nothing_is_closed(hurried: str) -> None:
    with connected(hurried) as connection:
        assert is_closed(connection)


def test_a_head_that_drips_is_cut_off(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n")
        check_problem(read_answer(connection), 408, "slow-head")
        assert is_closed(connection)


def test_the_head_of_a_second_request_has_a_deadline_too(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(connection).status_code == 200
        connection.sendall(b"GET /livez HTT")
        check_problem(read_answer(connection), 408, "slow-head")


@pytest.mark.parametrize(
    "framing", [b"content-length: 50000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n6\r\n--edge\r\n"]
)
def test_a_body_that_stops_is_cut_off(hurried: str, framing: bytes) -> None:
    with connected(hurried) as connection:
        connection.sendall(BEGIN + b"content-type: multipart/form-data; boundary=edge\r\n" + framing)
        answer = read_answer(connection)
        check_problem(answer, 408, "slow-body")
        assert answer.headers["connection"] == "close"
        assert is_closed(connection)


def test_what_an_application_does_not_take_is_not_read_on_and_on() -> None:
    pieces: list[int] = []

    async def idle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await asyncio.sleep(1)
        more = True
        while more:
            message = await receive()
            pieces.append(len(message["body"]))
            more = message["more_body"]
        await Response("taken")(scope, receive, send)

    with running(idle) as address:
        assert httpx.post(address, content=bytes(20_000_000), timeout=60).text == "taken"
    assert sum(pieces) == 20_000_000
    assert max(pieces) <= 2**20, "more than half a MiB and a piece was kept"


def test_a_body_below_the_least_rate_is_cut_off_early(tiny: Identifier) -> None:
    settings = Settings(head_timeout=SHORT, body_timeout=60, min_body_rate=1000)
    with running(create_app(tiny, settings), settings) as address, connected(address) as connection:
        began = time.monotonic()
        connection.sendall(BEGIN + b"content-type: multipart/form-data; boundary=e\r\ncontent-length: 50000\r\n\r\n--e")
        check_problem(read_answer(connection), 408, "slow-body")
        assert time.monotonic() - began < 20


def test_a_body_that_keeps_coming_after_its_refusal_is_cut_off(hurried: str) -> None:
    with connected(hurried) as connection:
        connection.sendall(BEGIN + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        check_problem(read_answer(connection), 415, "unsupported-media-type")
        keep_sending_until_closed(connection, b"5\r\nhello\r\n")


def test_who_reads_only_after_sending_sees_why_it_was_refused(tiny: Identifier) -> None:
    """However long the body takes, where it was stated to be of a size that is taken."""
    settings = Settings(head_timeout=SHORT, body_timeout=60, min_body_rate=0)
    with running(create_app(tiny, settings), settings) as address, connected(address) as connection:
        connection.sendall(BEGIN + b"content-length: 50\r\n\r\n")
        for _ in range(5):
            time.sleep(SHORT / 2)
            connection.sendall(bytes(10))
        check_problem(read_answer(connection), 415, "unsupported-media-type")
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(connection).status_code == 200


def test_a_client_that_takes_no_answer_is_cut_off(hurried: str) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = httpx.URL(hurried)
        connection.connect((url.host, url.port or 0))
        connection.settimeout(30)
        keep_sending_until_closed(connection, b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that goes on and on."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})


def test_a_client_that_takes_no_more_of_a_stream_is_cut_off() -> None:
    settings = Settings(body_timeout=SHORT)
    with running(endless, settings) as address, connected(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        keep_sending_until_closed(connection, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)


def test_an_endless_body_is_refused_at_the_limit(tiny: Identifier) -> None:
    settings = Settings(max_body_bytes=2**20, head_timeout=SHORT)
    head = BEGIN + b"content-type: multipart/form-data; boundary=edge\r\ntransfer-encoding: chunked\r\n\r\n"
    part = b'--edge\r\ncontent-disposition: form-data; name="photos"; filename="a"\r\n\r\n'
    with running(create_app(tiny, settings), settings) as address, connected(address) as connection:
        connection.sendall(head + f"{len(part):x}\r\n".encode() + part + b"\r\n")
        piece = b"10000\r\n" + bytes(2**16) + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                connection.sendall(piece)
        check_problem(read_answer(connection), 413, "body-too-large")
        keep_sending_until_closed(connection, piece)


# The queue.


@contextlib.contextmanager
def held(tiny: Identifier, settings: Settings) -> Iterator[tuple[HeldIdentifier, httpx.Client, ThreadPoolExecutor]]:
    identifier = HeldIdentifier(tiny.bundle)
    with client_of(create_app(identifier, settings), settings) as client, ThreadPoolExecutor(8) as pool:
        try:
            yield identifier, client, pool
        finally:
            identifier.go_on.set()


def post(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/identify", files=PHOTO)


def test_beyond_the_queue_a_photo_is_refused_and_the_others_are_answered(tiny: Identifier) -> None:
    settings = Settings(max_concurrent=1, max_queue=2, metrics=True)
    with held(tiny, settings) as (identifier, client, pool):
        answers = [pool.submit(post, client)]
        assert identifier.begun.acquire(timeout=30)
        answers += [pool.submit(post, client) for _ in range(2)]
        wait_for_metric(client, "handlens_queue_length", 2)
        for path in ("/v1/identify", "/v1/identify/batch", "/predict/"):
            refused = client.post(path, files=PHOTO)
            check_problem(refused, 503, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["x-request-id"]
        check_problem(client.get("/readyz"), 503, "overloaded")
        assert client.get("/livez").status_code == 200
        assert client.get("/").status_code == 200
        assert metric(client, 'handlens_refusals_total{reason="overloaded"}') == 4
        assert identifier.photos == 1
        identifier.go_on.set()
        assert [answer.result(60).status_code for answer in answers] == [200, 200, 200]
        assert post(client).status_code == 200


def test_a_full_queue_is_told_before_the_body_is_sent(tiny: Identifier) -> None:
    with held(tiny, Settings(max_concurrent=1, max_queue=0)) as (identifier, client, pool):
        answer = pool.submit(post, client)
        assert identifier.begun.acquire(timeout=30)
        with connected(str(client.base_url)) as connection:
            connection.sendall(BEGIN + b"content-length: 1000000\r\nexpect: 100-continue\r\n\r\n")
            check_problem(read_answer(connection), 503, "overloaded")
        identifier.go_on.set()
        assert answer.result(60).status_code == 200


def test_a_photo_that_takes_too_long_is_given_up_but_keeps_its_place(tiny: Identifier) -> None:
    settings = Settings(max_concurrent=1, max_queue=1, request_timeout=SHORT, metrics=True)
    with held(tiny, settings) as (identifier, client, _):
        for _ in range(2):  # the first while it is worked on, the second while it waits
            answer = post(client)
            check_problem(answer, 503, "request-timeout")
            assert int(answer.headers["retry-after"]) >= 1
        # The first is still worked on: its thread cannot be stopped. The second has left the queue.
        assert metric(client, "handlens_photos_in_work") == 1
        assert metric(client, "handlens_queue_length") == 0
        assert identifier.photos == 1
        identifier.go_on.set()
        wait_for_metric(client, "handlens_photos_in_work", 0)
        deadline = time.monotonic() + 20
        while post(client).status_code != 200:
            assert time.monotonic() < deadline


def test_a_client_that_goes_away_leaves_the_queue(tiny: Identifier) -> None:
    settings = Settings(max_concurrent=1, max_queue=4, metrics=True)
    with held(tiny, settings) as (identifier, client, pool):
        answer = pool.submit(post, client)
        assert identifier.begun.acquire(timeout=30)
        request = client.build_request("POST", "/v1/identify", files=PHOTO)
        body = request.read()
        head = f"content-type: {request.headers['content-type']}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with connected(str(client.base_url)) as connection:
            connection.sendall(BEGIN + head + body)
            wait_for_metric(client, "handlens_queue_length", 1)
        wait_for_metric(client, "handlens_queue_length", 0)
        gone = 'handlens_requests_total{method="POST",route="/v1/identify",status="499"}'
        wait_for_metric(client, gone, 1)
        identifier.go_on.set()
        assert answer.result(60).status_code == 200
        wait_for_metric(client, "handlens_photos_in_work", 0)
        assert identifier.photos == 1


def test_any_number_of_readiness_checks_takes_one_place(tiny: Identifier) -> None:
    settings = Settings(max_concurrent=2, max_queue=0, metrics=True)
    with held(tiny, settings) as (identifier, client, pool):
        checks: list[Future[httpx.Response]] = [pool.submit(client.get, "/readyz") for _ in range(4)]
        assert identifier.begun.acquire(timeout=30)
        wait_for_metric(client, "handlens_photos_in_work", 1)
        identifier.go_on.set()
        assert [check.result(60).status_code for check in checks] == [200] * 4


# Too many at once.


def test_beyond_the_most_connections_photos_are_refused_and_health_is_answered(tiny: Identifier) -> None:
    settings = Settings(max_connections=3)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(running(create_app(tiny, settings), settings))
        idle = [stack.enter_context(connected(address)) for _ in range(3)]
        for connection in idle:  # each is then surely accepted
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert read_answer(connection).status_code == 200
        with httpx.Client(base_url=address) as client:
            refused = client.post("/v1/identify", files=PHOTO)
            check_problem(refused, 503, "overloaded")
            assert refused.headers["x-request-id"]
            assert client.get("/livez").status_code == 200
            for connection in idle:
                connection.close()
            deadline = time.monotonic() + 20
            while client.post("/v1/identify", files=PHOTO).status_code != 200:
                assert time.monotonic() < deadline


def test_far_beyond_it_connections_are_closed_at_once(tiny: Identifier) -> None:
    settings = Settings(max_connections=1, head_timeout=60)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(running(create_app(tiny, settings), settings))
        for _ in range(4):
            connection = stack.enter_context(connected(address))
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert read_answer(connection).status_code == 200
        assert is_closed(stack.enter_context(connected(address)))


def test_all_bodies_together_are_bounded(tiny: Identifier) -> None:
    settings = Settings(max_uploads_bytes=100_000)
    head = BEGIN + b"content-type: multipart/form-data; boundary=edge\r\ncontent-length: 90000\r\n\r\n--edge\r\n"
    part = b'content-disposition: form-data; name="photos"; filename="a"\r\n\r\n'
    with running(create_app(tiny, settings), settings) as address, httpx.Client(base_url=address) as client:
        with connected(address) as connection:
            connection.sendall(head + part + bytes(80_000))
            deadline = time.monotonic() + 20
            # Until the server has read what was just sent.
            while (answer := client.post("/v1/identify", files={"photos": ("a", bytes(30_000))})).status_code != 503:
                check_problem(answer, 415, "not-an-image", "a")
                assert time.monotonic() < deadline
            check_problem(answer, 503, "overloaded")
        deadline = time.monotonic() + 20
        while client.post("/v1/identify", files=PHOTO).status_code != 200:
            assert time.monotonic() < deadline
