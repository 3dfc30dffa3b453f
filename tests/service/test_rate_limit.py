"""The share of each client: the bucket by itself, and what a client sees of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import httpx
import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.keys import new_key
from handlens.service.rate_limit import TokenBuckets
from handlens.service.settings import Settings
from service.running import JPEG, check_problem, client_of

PHOTO = {"photos": ("a.jpg", JPEG)}
SLOW = Settings(requests_per_minute=1, burst=2)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_fills_and_never_overflows() -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute=6, burst=3, clock=clock)
    assert [buckets.take("a")[0] for _ in range(4)] == [True, True, True, False]
    taken, share = buckets.take("a")
    assert not taken
    assert (share.left, share.wait, share.full) == (0, 10.0, 30.0)
    assert buckets.take("b")[0]
    clock.now += 9.9
    assert not buckets.take("a")[0]
    clock.now += 0.2
    assert buckets.take("a")[0]
    clock.now += 1e6
    assert [buckets.take("a")[0] for _ in range(4)] == [True, True, True, False]


def test_a_bucket_that_owes_fills_from_below() -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute=60, burst=2, clock=clock)
    assert buckets.take("a")[0]
    buckets.charge("a", 10)
    clock.now += 9
    assert not buckets.take("a")[0]
    clock.now += 1.1
    assert buckets.take("a")[0]


def test_clients_beyond_the_most_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlens.service.rate_limit._MOST_CLIENTS", 2)
    buckets = TokenBuckets(per_minute=1, burst=1, clock=Clock())
    for client in "abc":
        assert buckets.take(client)[0]
    assert len(buckets._buckets) == 2
    assert not buckets.take("b")[0]
    assert buckets.take("a")[0]


def test_a_client_that_has_sent_its_share_is_told_when_there_is_more(tiny: Identifier) -> None:
    with client_of(create_app(tiny, SLOW)) as client:
        first = client.post("/v1/identify", files=PHOTO)
        assert first.status_code == 200
        assert first.headers["ratelimit-policy"] == '"photos";q=2;w=120'
        assert first.headers["ratelimit"].startswith('"photos";r=1;t=')
        # What cannot be read has cost the network nothing, but the one who sends it could send it for ever.
        check_problem(client.post("/v1/identify", files={"photos": ("a.jpg", b"x")}), 415, "not-an-image", "a.jpg")
        for path in ("/v1/identify", "/predict/", "/v1/identify/batch"):
            refused = client.post(path, files=PHOTO)
            check_problem(refused, 429, "too-many-requests")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["ratelimit"].startswith('"photos";r=0;t=')
            assert refused.headers["ratelimit-policy"] == '"photos";q=2;w=120'
            assert refused.headers["x-request-id"]
        for path in ("/", "/livez", "/readyz", "/v1/model"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
        assert client.post("/v1/reweigh", json={}).status_code == 422


def test_a_batch_costs_what_it_holds(tiny: Identifier) -> None:
    with client_of(create_app(tiny, Settings(requests_per_minute=1, burst=3))) as client:
        files = [("photos", (f"{place}.jpg", JPEG)) for place in range(3)]
        assert len(client.post("/v1/identify/batch", files=files).text.splitlines()) == 3
        check_problem(client.post("/v1/identify", files=PHOTO), 429, "too-many-requests")


def test_several_photos_and_heat_maps_cost_more(tiny: Identifier) -> None:
    two = [("photos", (f"{place}.jpg", JPEG)) for place in range(2)]
    with client_of(create_app(tiny, Settings(requests_per_minute=1, burst=33))) as client:
        assert client.post("/v1/identify", files=two).status_code == 200
        told = client.post("/v1/identify", files=PHOTO, data={"explain": "1"})
        assert told.status_code == 200  # 2 and 31 are 33
        check_problem(client.post("/v1/identify", files=PHOTO), 429, "too-many-requests")


def test_each_key_has_its_share(tiny: Identifier) -> None:
    (one, one_line), (two, two_line) = new_key(), new_key()
    settings = Settings(requests_per_minute=1, burst=1, keys=(one_line, two_line))
    with client_of(create_app(tiny, settings)) as client:

        def status(key: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            return client.post("/v1/identify", files=PHOTO, headers=headers).status_code

        assert [status(one), status(one), status(two), status(two)] == [200, 429, 200, 429]


def from_address(client: httpx.Client, address: str) -> int:
    return client.post("/v1/identify", files=PHOTO, headers={"x-forwarded-for": address}).status_code


def test_a_forwarded_address_is_believed_from_a_proxy_that_is_set_only(tiny: Identifier) -> None:
    for proxies in ((), ("198.51.100.0/24",)):
        settings = Settings(requests_per_minute=1, burst=1, trusted_proxies=proxies)
        with client_of(create_app(tiny, settings), settings) as client:
            assert [from_address(client, "192.0.2.1"), from_address(client, "192.0.2.2")] == [200, 429]
    behind = Settings(requests_per_minute=1, burst=1, trusted_proxies=("127.0.0.0/8",))
    with client_of(create_app(tiny, behind), behind) as client:
        assert [from_address(client, "192.0.2.1"), from_address(client, "192.0.2.2")] == [200, 200]
        # What the client itself wrote stands left of what the proxy saw.
        assert from_address(client, "198.51.100.9, 192.0.2.1") == 429
        # A client has a whole network of IPv6 addresses to choose from.
        assert [from_address(client, "2001:db8::1"), from_address(client, "2001:db8::2")] == [200, 429]
        assert from_address(client, "2001:db8:0:1::1") == 200


def test_loopback_has_no_limit_unless_it_is_set(client: httpx.Client) -> None:
    answer = client.post("/v1/identify", files=PHOTO)
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers
    assert math.isfinite(answer.json()["unknown_score"])
