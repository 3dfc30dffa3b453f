"""How often a host is asked: by the server's own log, and the parts by themselves."""

from __future__ import annotations

import asyncio
import email.utils
import time
from itertools import pairwise

import pytest

from dataset.download.conftest import ends, quick, write_list
from dataset.loopback import PHOTOS, Asked, Loopback, first, photo, redirect, status, text
from handlens.dataset.download import HostSettings, download
from handlens.dataset.download.politeness import Gate, Gates, backoff, counts_against_host
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.http_manners import retry_after_seconds
from handlens.dataset.workspace import Workspace

JITTER = 0.15
"""Seconds by which a busy machine may hold up a request between client and server."""


def most_at_once(log: list[Asked]) -> int:
    """The most requests under way at the same time."""
    moments = sorted([(asked.at, 1) for asked in log] + [(asked.until, -1) for asked in log])
    at_once, most = 0, 0
    for _, change in moments:
        at_once += change
        most = max(most, at_once)
    return most


def gaps(log: list[Asked]) -> list[float]:
    return [after.at - before.at for before, after in pairwise(log)]


def fastest(log: list[Asked], requests: int) -> float:
    """The shortest time, in seconds, in which so many requests followed one."""
    return min(log[place + requests].at - log[place].at for place in range(len(log) - requests))


def test_rate_and_concurrency_hold_for_every_host(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number % 12], 0.05) for number in range(40)}
    hosts = {
        "127.0.0.1": HostSettings(terms_acknowledged=True, rate=10, concurrency=1),
        "127.0.0.2": HostSettings(terms_acknowledged=True, rate=0, concurrency=3),
        "127.0.0.3": HostSettings(terms_acknowledged=True, rate=20, concurrency=4),
    }
    shares = {"127.0.0.1": 8, "127.0.0.2": 40, "127.0.0.3": 16}
    write_list(workspace, [server.url(f"/{number}.jpg", host) for host in hosts for number in range(shares[host])])
    begin = time.monotonic()
    download(workspace, quick(hosts=hosts))
    took = time.monotonic() - begin
    for host, own in hosts.items():
        log = server.asked(host, robots=True)
        assert len(log) == shares[host] + 1
        assert most_at_once(log) <= (own.concurrency or 0)
        if own.rate:
            assert fastest(log, 8) >= 8 / own.rate - JITTER
            assert log[-1].at - log[0].at >= shares[host] / own.rate - JITTER
    assert most_at_once(server.asked("127.0.0.2")) == 3  # so that the test could fail
    assert most_at_once(server.asked()) > 3  # the hosts at the same time
    assert took < 5


def test_the_default_is_one_request_a_second_and_at_a_time(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/b.jpg": photo(PHOTOS[1])}
    write_list(workspace, [server.url("/a.jpg"), server.url("/b.jpg")])
    settings = quick()
    download(workspace, settings.model_copy(update={"rate": 1.0, "concurrency": 1}))
    log = server.asked(robots=True)
    assert [asked.path for asked in log] == ["/robots.txt", "/a.jpg", "/b.jpg"]
    assert min(gaps(log)) >= 1 - JITTER


def test_no_more_connections_than_allowed_in_all(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[0], 0.02) for number in range(20)}
    hosts = [f"127.0.0.{number}" for number in range(1, 5)]
    write_list(workspace, [server.url(f"/{number}.jpg", host) for number in range(20) for host in hosts])
    download(workspace, quick(connections=5))
    assert most_at_once(server.asked(robots=True)) == 5


def test_retry_after_rests_the_whole_host(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number], 0.01) for number in range(10)}
    server.pages["/3.jpg"] = first(1, status(429, Retry_After="1"), photo(PHOTOS[3]))
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(10)])
    download(workspace, quick(concurrency=1))
    log = server.asked()
    refused = next(place for place, asked in enumerate(log) if asked.status == 429)
    assert log[refused + 1].at - log[refused].at >= 1 - JITTER
    assert ends(workspace) == [("fetched", None)] * 10


def test_a_host_that_asks_for_too_long_a_rest_is_left_alone(server: Loopback, workspace: Workspace) -> None:
    server.pages["/0.jpg"] = status(503, Retry_After="86400")
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(4)])
    download(workspace, quick(concurrency=1))
    assert ends(workspace) == [("failed", "http-503")] + [("failed", "host-failing")] * 3
    assert len(server.asked()) == 1


def test_the_breaker_opens_rests_and_gives_up(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": status(403) for number in range(30)}
    server.pages["/good.jpg"] = photo(PHOTOS[0])
    urls = [server.url(f"/{number}.jpg") for number in range(30)]
    write_list(workspace, [*urls, server.url("/good.jpg", "127.0.0.2")])
    summary = download(workspace, quick(concurrency=1, breaker_after=5, breaker_pause=0.3, breaker_trips=2))
    log = server.asked("127.0.0.1")
    assert len(log) == 5 + 1 + 1  # and one after each rest
    assert gaps(log)[4] >= 0.3 - JITTER
    assert gaps(log)[5] >= 0.6 - JITTER
    assert summary.by_reason == {"host-failing": 23, "http-403": 7}
    assert summary.by_status["fetched"] == 1
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[1]) for number in range(30)}
    assert download(workspace, quick()).by_status == {"fetched": 31}


def test_a_success_closes_the_breaker(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": status(403) if number % 3 else photo(PHOTOS[0]) for number in range(30)}
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(30)])
    summary = download(workspace, quick(concurrency=1, breaker_after=3, breaker_trips=0))
    assert summary.by_reason == {"http-403": 20}


def test_a_redirect_takes_its_turn_at_the_other_host(server: Loopback, workspace: Workspace) -> None:
    there = "127.0.0.2"
    server.pages |= {f"127.0.0.1/{number}.jpg": redirect(server.url(f"/{number}.jpg", there)) for number in range(6)}
    server.pages |= {f"{there}/{number}.jpg": redirect(server.url(f"/end-{number}.jpg")) for number in range(6)}
    server.pages |= {f"127.0.0.1/end-{number}.jpg": photo(PHOTOS[number]) for number in range(6)}
    hosts = {
        "127.0.0.1": HostSettings(terms_acknowledged=True, concurrency=1),
        there: HostSettings(terms_acknowledged=True, rate=10, concurrency=1),
    }
    write_list(workspace, [server.url(f"/{number}.jpg", host) for number in range(6) for host in hosts])
    download(workspace, quick(hosts=hosts))
    assert ends(workspace) == [("fetched", None)] * 12
    for host in hosts:
        assert most_at_once(server.asked(host, robots=True)) == 1
    assert fastest(server.asked(there, robots=True), 10) >= 10 * 0.1 - JITTER


def test_robots_is_asked_for_once_kept_and_obeyed(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number]) for number in range(4)}
    server.pages["127.0.0.1/robots.txt"] = text("User-agent: *\nDisallow: /0.jpg\nCrawl-delay: 0.2\n")
    server.pages["127.0.0.2/robots.txt"] = redirect(server.url("/else", "127.0.0.3"))
    server.pages["127.0.0.3/else"] = text("User-agent: HANDLENS\nDisallow: /1.jpg")
    hosts = ("127.0.0.1", "127.0.0.2")
    write_list(workspace, [server.url(f"/{number}.jpg", host) for host in hosts for number in range(4)])
    download(workspace, quick())
    refused, fetched = ("refused", "robots"), ("fetched", None)
    assert ends(workspace) == [refused, fetched, fetched, fetched, fetched, refused, fetched, fetched]
    assert fastest(server.asked("127.0.0.1", robots=True), 3) >= 3 * 0.2 - JITTER
    server.forget()
    write_list(workspace, [server.url(f"/{number}.jpg?again") for number in range(2)], name="another")
    download(workspace, quick())
    assert ends(workspace) == [refused, ("failed", "http-404")]
    assert not [asked for asked in server.log if asked.path == "/robots.txt"]  # known from before


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (status(403), ("fetched", None)),
        (redirect("/robots.txt"), ("fetched", None)),
        (status(500), ("failed", "robots-unavailable")),
        (status(429), ("failed", "robots-unavailable")),
        (first(1, status(500), status(404)), ("fetched", None)),
        (redirect("http://127.0.0.99/robots.txt"), ("failed", "robots-unavailable")),
    ],
)
def test_a_robots_file_that_cannot_be_had(
    server: Loopback, workspace: Workspace, answer: object, end: tuple[str, str | None]
) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/robots.txt": answer}  # type: ignore[dict-item]
    write_list(workspace, [server.url("/a.jpg")])
    download(workspace, quick(max_attempts=2))
    assert ends(workspace) == [end]
    assert bool(server.asked()) == (end[0] == "fetched")
    server.pages["/robots.txt"] = status(404)
    download(workspace, quick())
    assert ends(workspace) == [("fetched", None)]


def test_backoff_doubles_up_to_its_end_and_is_never_quite_the_same() -> None:
    settings = quick(backoff=2, max_backoff=60)
    for attempts, longest in ((1, 2), (2, 4), (3, 8), (5, 32), (9, 60), (1000, 60)):
        waits = [backoff(attempts, settings) for _ in range(200)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
        assert max(waits) - min(waits) > longest / 4


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_seconds("120") == 120
    assert retry_after_seconds(" 0 ") == 0
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 58 < (retry_after_seconds(in_a_minute) or 0) <= 60
    assert retry_after_seconds("Tue, 01 Oct 2013 10:00:00 GMT") == 0
    for nonsense in (None, "", "soon", "-5", "1e9", "Tue, 99 Oct 2013"):
        assert retry_after_seconds(nonsense) is None


@pytest.mark.parametrize(
    ("word", "status", "counts"),
    [
        ("http-403", 403, True),
        ("http-429", 429, True),
        ("http-500", 500, True),
        ("http-503", 503, True),
        ("http-404", 404, False),
        ("timeout", None, True),
        ("connection", None, True),
        ("noai", None, False),
        ("not-an-image", None, False),
    ],
)
def test_what_counts_against_a_host(word: str, status: int | None, counts: bool) -> None:
    assert counts_against_host(NotFetched(word, "", http_status=status)) is counts


def test_a_gate_that_is_given_up_lets_nobody_through() -> None:
    async def turns(gate: Gate) -> list[str]:
        words = []
        for _ in range(3):
            try:
                async with gate.turn():
                    raise NotFetched("http-500", "", http_status=500)
            except NotFetched as error:
                words.append(error.word)
        return words

    async def both() -> list[str]:
        return await turns(Gates(quick(breaker_after=2, breaker_trips=0)).of("example.org"))

    assert asyncio.run(both()) == ["http-500", "http-500", "host-failing"]
