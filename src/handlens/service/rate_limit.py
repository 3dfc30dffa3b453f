"""How many photos a client may send: a token bucket for each key, or for each address where there are no keys.

Headers as in draft-ietf-httpapi-ratelimit-headers-10: the quota is what the bucket holds, the window the time in
which an empty one fills.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlens.service.problems import TooManyRequestsError, error_problem
from handlens.service.record import current_record
from handlens.service.routes import takes_photos

__all__ = ["RateLimitMiddleware", "Share", "TokenBuckets"]

_MOST_CLIENTS: Final = 10_000
"""Buckets that are kept; beyond it the one that was used longest ago is forgotten."""
_POLICY: Final = '"photos"'


@dataclass(frozen=True, slots=True)
class Share:
    """What a client may still send: `left` photos now, `wait` seconds to the next one, `full` to all of them."""

    left: int
    wait: float
    full: float


class TokenBuckets:
    """A bucket a client: holds `burst` tokens, gets `per_minute` a minute. `clock` gives seconds."""

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst = burst
        self.per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> tuple[bool, Share]:
        """Takes one token if there is one; says whether, and what is left."""
        tokens = self._tokens(client)
        taken = tokens >= 1
        return taken, self._keep(client, tokens - taken)

    def charge(self, client: str, tokens: int) -> None:
        """Takes tokens whether there are any or not: the bucket may owe, and then fills from below zero."""
        self._keep(client, self._tokens(client) - tokens)

    def _tokens(self, client: str) -> float:
        now = self._clock()
        tokens, then = self._buckets.get(client, (float(self.burst), now))
        return min(float(self.burst), tokens + (now - then) * self.per_second)

    def _keep(self, client: str, tokens: float) -> Share:
        self._buckets[client] = (tokens, self._clock())
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        wait = max(0.0, 1 - tokens) / self.per_second
        return Share(max(0, math.floor(tokens)), wait, (self.burst - tokens) / self.per_second)


class RateLimitMiddleware:
    """Answers 429 `too-many-requests` to a client that has sent its share, before the body is read."""

    def __init__(self, app: ASGIApp, per_minute: int, burst: int) -> None:
        """`per_minute`: 1 or more."""
        self.app = app
        self._buckets = TokenBuckets(per_minute, burst)
        self._policy = f"{_POLICY};q={burst};w={math.ceil(burst * 60 / per_minute)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes one for the request; a batch is charged for the others once they are counted."""
        if scope["type"] != "http" or not takes_photos(scope):
            await self.app(scope, receive, send)
            return
        record = current_record()
        client = _bucket_of(record.client if record else "")
        admitted, share = self._buckets.take(client)

        async def send_with_share(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = self._policy
                headers["RateLimit"] = f"{_POLICY};r={share.left};t={math.ceil(share.full)}"
            await send(message)

        if not admitted:
            error = TooManyRequestsError("You have sent as many photos as you may for now.", share.wait)
            await error_problem(error)(scope, receive, send_with_share)
            return
        if record:
            record.charge = partial(self._buckets.charge, client)
        await self.app(scope, receive, send_with_share)


def _bucket_of(client: str) -> str:
    """An IPv6 client has a network of 64 bits to choose addresses from, so that is what counts."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return client
