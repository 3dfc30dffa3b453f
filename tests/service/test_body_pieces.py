"""Bodies that go past the parser arrive whole, and the parser still knows where they end."""

from __future__ import annotations

import hashlib
import random
import time

import h11
import pytest
from starlette.types import Receive, Scope, Send

from handlens.service.body_pieces import pass_by
from service.running import connected, read_answer, running

HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
BODY = random.Random(4).randbytes(3_000_000)


def amid_a_body(framing: bytes, first: bytes = b"0123") -> h11.Connection:
    """A server's side that has seen the head and the first bytes of a body."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD + framing + b"\r\n\r\n" + first)
    assert isinstance(connection.next_event(), h11.Request)
    if first:
        assert isinstance(connection.next_event(), h11.Data)
    assert connection.next_event() is h11.NEED_DATA
    return connection


def test_the_parser_finds_the_end_behind_what_went_past_it() -> None:
    connection = amid_a_body(b"content-length: 10")
    assert pass_by(connection, 3)
    assert pass_by(connection, 2)
    assert not pass_by(connection, 1)  # the last byte
    connection.receive_data(b"9GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    event = connection.next_event()
    assert isinstance(event, h11.Data)
    assert bytes(event.data) == b"9"
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data[0].startswith(b"GET")


def test_a_body_that_breaks_off_behind_it_is_an_error() -> None:
    connection = amid_a_body(b"content-length: 10")
    assert pass_by(connection, 3)
    connection.receive_data(b"")
    with pytest.raises(h11.RemoteProtocolError, match=r"received 7 bytes, expected 10"):
        connection.next_event()


@pytest.mark.parametrize("size", [6, 7, 100])
def test_the_end_goes_through_the_parser(size: int) -> None:
    assert not pass_by(amid_a_body(b"content-length: 10"), size)


def test_the_first_piece_goes_through_it() -> None:
    assert not pass_by(amid_a_body(b"content-length: 10", b""), 3)


def test_what_waits_in_the_parser_goes_first() -> None:
    connection = amid_a_body(b"content-length: 10")
    connection.receive_data(b"45")
    assert not pass_by(connection, 2)


def test_chunks_go_through_it() -> None:
    assert not pass_by(amid_a_body(b"transfer-encoding: chunked", b"9\r\n0123"), 3)


def test_a_connection_without_a_request_has_no_body() -> None:
    assert not pass_by(h11.Connection(h11.SERVER), 3)


async def digesting(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the digest of the body."""
    state, more = hashlib.sha256(), True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        assert isinstance(message["body"], bytes)
        state.update(message["body"])
        more = message["more_body"]
    digest = state.hexdigest().encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"64")]})
    await send({"type": "http.response.body", "body": digest})


async def answering_at_once(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before it has read the body, of which it takes one piece."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("most", [1, 5_000, 70_000, 600_000])
def test_a_body_in_pieces_arrives_whole_and_so_does_the_next(most: int) -> None:
    rng = random.Random(most)
    body = BODY[: max(2_000, 10 * most)]
    request = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with running(digesting) as address, connected(address) as connection:
        at = 0
        while at < len(request):
            size = rng.randint(1, most)
            connection.sendall(request[at : at + size])
            at += size
            if not rng.randrange(20):
                time.sleep(0.001)  # so that pieces are read one by one
        answers = [read_answer(connection).text]
        connection.sendall(HEAD + b"content-length: 3\r\n\r\nabc")
        answers.append(read_answer(connection).text)
    assert answers == [hashlib.sha256(part).hexdigest() for part in (body, b"abc")]


def test_a_body_that_nobody_wants_leaves_the_connection_as_it_should_be() -> None:
    with running(answering_at_once) as address, connected(address) as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY[:10])
        assert read_answer(connection).text == "ok"
        for at in range(10, len(BODY), 200_000):
            connection.sendall(BODY[at : at + 200_000])
        connection.sendall(HEAD + b"content-length: 3\r\n\r\nabc")
        assert read_answer(connection).text == "ok"
