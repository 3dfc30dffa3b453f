"""Which addresses may be asked."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from dataset.download.conftest import ends, quick, write_list
from dataset.loopback import PHOTOS, Loopback, photo
from handlens.dataset.download.addresses import (
    PrivateAddressError,
    Resolver,
    check_address,
    host_of,
    is_public,
    parse_url,
)
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.stage import download
from handlens.dataset.workspace import Workspace

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
]


class Names(AbstractResolver):
    """Resolves every name to the next of these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        assert family in (socket.AF_UNSPEC, socket.AF_INET)
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in address.split("+")
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "193.0.6.139", "2001:67c:2e8:22::c100:68b", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_host_written_as_a_number_is_judged_at_once(address: str) -> None:
    url = URL.build(scheme="http", host=address.partition("%")[0], path="/a.jpg")
    with pytest.raises(NotFetched, match="private-address"):
        check_address(url, allow_private=False)
    check_address(url, allow_private=True)


def test_names_are_left_to_the_resolver() -> None:
    check_address(URL("http://localhost/"), allow_private=False)
    check_address(URL("http://3d.example.org/"), allow_private=False)


def test_the_resolver_passes_on_public_addresses_only() -> None:
    async def resolved(*addresses: str, allow_private: bool = False) -> list[str]:
        found = await Resolver(Names(*addresses), allow_private=allow_private).resolve("example.org", 80)
        return [result["host"] for result in found]

    assert asyncio.run(resolved("8.8.8.8+10.0.0.1")) == ["8.8.8.8"]
    assert asyncio.run(resolved("10.0.0.1", allow_private=True)) == ["10.0.0.1"]
    with pytest.raises(PrivateAddressError):
        asyncio.run(resolved("10.0.0.1+::1"))


def test_a_name_that_is_rebound_to_this_machine_is_refused(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/b.jpg": photo(PHOTOS[1])}
    write_list(workspace, [server.url("/a.jpg", "photos.test"), server.url("/b.jpg", "photos.test")])
    settings = quick(acknowledged=["photos.test"], allow_private=False)
    download(workspace, settings, resolver=Names("127.0.0.1"))
    assert ends(workspace) == [("refused", "private-address")] * 2
    assert not server.log


def test_the_address_that_is_connected_to_is_the_one_that_was_judged(server: Loopback, workspace: Workspace) -> None:
    # Were the name looked up a second time to connect, it would lead to 127.0.0.2.
    server.pages["127.0.0.1/a.jpg"] = photo(PHOTOS[0])
    write_list(workspace, [server.url("/a.jpg", "photos.test")])
    download(workspace, quick(acknowledged=["photos.test"]), resolver=Names("127.0.0.1", "127.0.0.2"))
    assert ends(workspace) == [("fetched", None)]
    assert {asked.host for asked in server.log} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("text", "host", "sent"),
    [
        (
            "https://Upload.Wikimedia.ORG/a%2Cb.jpg#top",
            "upload.wikimedia.org",
            "https://upload.wikimedia.org/a%2Cb.jpg",
        ),
        (" http://example.org./ä b.jpg ", "example.org", "http://example.org./%C3%A4%20b.jpg"),
        (
            "http://bücher.example:8080/?a=1&b=%20",
            "xn--bcher-kva.example",
            "http://xn--bcher-kva.example:8080/?a=1&b=%20",
        ),
        ("http://EXAMPLE.org/a%2fb?sign=%2B+%20'", "example.org", "http://example.org/a%2fb?sign=%2B+%20'"),
        ("http://[2001:DB8::1]/", "2001:db8::1", "http://[2001:db8::1]/"),
    ],
)
def test_an_address_as_it_is_sent_and_its_host(text: str, host: str, sent: str) -> None:
    url = parse_url(text)
    assert host_of(url) == host
    assert str(url) == sent


def test_where_a_redirect_leads_to() -> None:
    base = parse_url("http://example.org/photos/a.jpg?size=1")
    assert str(parse_url("../b%2Cc.jpg?d=%2F", base)) == "http://example.org/b%2Cc.jpg?d=%2F"
    assert str(parse_url("//Other.example/ä", base)) == "http://other.example/%C3%A4"
    with pytest.raises(NotFetched, match="bad-url"):
        parse_url("file:///etc/passwd", base)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//example.org/a.jpg",
        "http://",
        "http:///a.jpg",
        "data:image/png;base64,AA",
        "http://example.org:0/",
        "http://u@example.org/",
        "http://ex ample.org/",
        "http://b%C3%BCcher.example/",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NotFetched, match="bad-url"):
        parse_url(text)
