"""One request: whether it may be made, its turn, and what went wrong with it in one word."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from handlens.dataset.download.addresses import PrivateAddressError, Resolver, check_address, host_of, parse_url
from handlens.dataset.download.politeness import Gate, Gates
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.http_manners import retry_after_seconds

__all__ = ["Asker", "ElsewhereError", "asking", "failed_status", "redirect_of"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


Only = Callable[[str], bool]


class ElsewhereError(Exception):
    """An address is for another process to ask."""


class Asker:
    """Makes every request of the stage, so that none passes by the rules."""

    def __init__(self, session: aiohttp.ClientSession, settings: DownloadSettings, only: Only | None) -> None:
        self._session = session
        self._settings = settings
        self._gates = Gates(settings)
        self._only = only

    def gate(self, url: URL) -> Gate:
        """The gate of the host."""
        return self._gates.of(host_of(url))

    def check(self, url: URL) -> None:
        """Raises NotFetched (`private-address`, `terms`) for an address that may not be asked; redirects, too."""
        check_address(url, allow_private=self._settings.allow_private)
        host = host_of(url)
        if not self._settings.acknowledges(host):
            raise NotFetched("terms", f"the terms of {host} are not acknowledged")
        if self._only is not None and not self._only(host):
            raise ElsewhereError(host)

    @contextlib.asynccontextmanager
    async def ask(self, url: URL, headers: Mapping[str, str] | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one GET when the host's turn has come; redirects are not followed.

        The turn lasts as long as the block, in which the answer is to be read. Whatever goes wrong in it with the
        connection is raised as NotFetched.
        """
        async with self.gate(url).turn():
            with _one_word():
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    yield response


@contextlib.asynccontextmanager
async def asking(
    settings: DownloadSettings, resolver: AbstractResolver | None = None, only: Only | None = None
) -> AsyncIterator[Asker]:
    """Opens the connections of a run. `resolver`: looks names up; what it answers is held to the address rules.

    `only`: says of a host whether it may be asked by this process; for the others, `check` raises ElsewhereError.
    """
    guarded = Resolver(resolver or ThreadedResolver(), allow_private=settings.allow_private)
    timeout = aiohttp.ClientTimeout(
        total=settings.total_timeout, sock_connect=settings.timeout, sock_read=settings.timeout
    )
    headers = {"User-Agent": settings.user_agent, "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=guarded),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers=headers,
        auto_decompress=False,
    ) as session:
        yield Asker(session, settings, only)


def redirect_of(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    """Where an answer sends to, or None. Raises NotFetched (`redirects`) where that is no address."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or location is None:
        return None
    try:
        return parse_url(location, url)
    except NotFetched as error:
        raise NotFetched("redirects", f"to {location[:200]!r}", http_status=response.status) from error


def failed_status(response: aiohttp.ClientResponse) -> NotFetched:
    """An answer whose status means that there is no photo."""
    return NotFetched(
        f"http-{response.status}",
        (response.reason or "")[:200],
        http_status=response.status,
        retry_after=retry_after_seconds(response.headers.get("Retry-After")),
    )


@contextlib.contextmanager
def _one_word() -> Iterator[None]:
    """Turns the errors of the HTTP client into NotFetched."""
    try:
        yield
    except TimeoutError as error:
        raise NotFetched("timeout", "no answer in time") from error
    except aiohttp.ClientConnectorDNSError as error:
        word = "private-address" if isinstance(error.os_error, PrivateAddressError) else "dns"
        raise NotFetched(word, str(error.os_error)) from error
    except aiohttp.ClientSSLError as error:
        raise NotFetched("tls", str(error)) from error
    except aiohttp.ClientPayloadError as error:
        raise NotFetched("cut-short", str(error)) from error
    except aiohttp.InvalidURL as error:
        raise NotFetched("bad-url", str(error)) from error
    except aiohttp.ClientResponseError as error:
        raise NotFetched("bad-response", error.message) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise NotFetched("connection", str(error) or type(error).__name__) from error
