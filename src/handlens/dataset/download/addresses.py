"""Which addresses may be asked: http and https, and no machine of a private network.

A name is judged by the addresses that the connection is then really made to: the connector gets them from `Resolver`
and looks nothing up itself, so a name that resolves to a public address first and to a private one later (DNS
rebinding) gains nothing. A host written as a number never reaches a resolver and is judged by `check_address`, which
is called for every redirect, too.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from handlens.dataset.download.reasons import NotFetched

__all__ = ["PrivateAddressError", "Resolver", "check_address", "host_of", "is_public", "parse_url"]

_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
"""Names, already in their ASCII form, and numbers."""
_SENT_AS_IT_IS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, 2."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""


class PrivateAddressError(OSError):
    """A name resolves to no public address."""


def parse_url(text: str, base: URL | None = None) -> URL:
    """An address without its fragment, its host in lower case; `base`: what a relative one is relative to.

    One that is written as it is to be sent is sent as it is written, for `%2C` is not everywhere the same as a comma;
    what has other characters is encoded. Raises NotFetched (`bad-url`).
    """
    text = text.strip()
    try:
        url = URL(text, encoded=_SENT_AS_IT_IS.fullmatch(text) is not None)
        url = url if base is None else base.join(url)
        if "#" in text:
            url = url.with_fragment(None)
        if url.raw_host and url.raw_host != url.raw_host.lower():
            url = url.with_host(url.raw_host.lower())
        has_host = _HOST.fullmatch(url.raw_host or "") is not None
        usable = url.scheme in ("http", "https") and has_host and url.user is None and url.password is None
        port = url.port
    except ValueError as error:
        raise NotFetched("bad-url", f"{text[:200]!r}: {error}") from error
    if not usable or not port:
        raise NotFetched("bad-url", f"{text[:200]!r} is no http or https address without a password")
    return url


def host_of(url: URL) -> str:
    """The name that settings, politeness and shards know the host by: lower case, no port, no final dot."""
    return (url.raw_host or "").lower().rstrip(".")


def check_address(url: URL, *, allow_private: bool) -> None:
    """Raises NotFetched (`private-address`) for a host that is written as the number of a private address.

    Numbers in other forms than four decimals (127.1, 0x7f.1, 2130706433) are refused as well.
    """
    host = host_of(url)
    if allow_private or not (":" in host or host.rpartition(".")[2][:1].isdigit()):
        return
    if not is_public(host):
        raise NotFetched("private-address", f"{host} is no public address")


def is_public(address: str) -> bool:
    """Whether this is the number of an address on the public internet; IPv4 within IPv6 is judged as what it is."""
    try:
        ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not (ip.is_private or ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class Resolver(AbstractResolver):
    """Looks names up with another resolver and passes on public addresses only (all of them with `allow_private`)."""

    def __init__(self, inner: AbstractResolver, *, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to connect to. Raises PrivateAddressError where none of them is public, OSError for no name."""
        found = await self._inner.resolve(host, port, family)
        allowed = [result for result in found if self._allow_private or is_public(result["host"])]
        if found and not allowed:
            raise PrivateAddressError(f"{host} resolves to {found[0]['host']}, which is no public address")
        return allowed

    async def close(self) -> None:
        """Closes the other resolver."""
        await self._inner.close()
