"""One URL: followed, asked for, and received within bounds."""

from __future__ import annotations

from typing import Final

import aiohttp

from handlens.dataset.download.addresses import parse_url
from handlens.dataset.download.asking import Asker, failed_status, redirect_of
from handlens.dataset.download.content import Answer, Body, unpacker
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.robots import Robots
from handlens.dataset.download.robots_tag import check_tags
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import Job

__all__ = ["fetch"]

_GOOD: Final = frozenset({200, 203})


async def fetch(job: Job, part: str, asker: Asker, robots: Robots, settings: DownloadSettings) -> Answer:
    """Asks for the photo of a URL; `part` is where a large one is written meanwhile.

    The rules hold for every address on the way. With `job.etag` or `job.last_modified` the request is conditional.
    Raises NotFetched with the reason, OSError for the disk.
    """
    url = parse_url(job.url)
    condition = {
        name: value
        for name, value in (("If-None-Match", job.etag), ("If-Modified-Since", job.last_modified))
        if value is not None
    }
    for _ in range(settings.max_redirects + 1):
        asker.check(url)
        await robots.check(url)
        async with asker.ask(url, condition) as response:
            target = redirect_of(response, url)
            if target is None:
                return await _received(response, part, settings, conditional=bool(condition))
            check_tags(response.headers.getall("X-Robots-Tag", ()))
            url = target
    raise NotFetched("redirects", f"more than {settings.max_redirects}")


async def _received(
    response: aiohttp.ClientResponse, part: str, settings: DownloadSettings, *, conditional: bool
) -> Answer:
    headers = response.headers
    if response.status not in _GOOD and not (response.status == 304 and conditional):
        raise failed_status(response)
    check_tags(headers.getall("X-Robots-Tag", ()))
    body = None
    if response.status != 304:
        if (response.content_length or 0) > settings.max_bytes:
            raise NotFetched("too-large", f"{response.content_length} bytes")
        body = Body(part, settings)
        try:
            unpack = unpacker(headers.get("Content-Encoding"))
            async for chunk in response.content.iter_any():
                for piece in unpack(chunk):
                    body.add(piece)
        except BaseException:
            body.close()
            raise
    return Answer(
        response.status, body, _plain(headers.get("ETag")), _plain(headers.get("Last-Modified")), str(response.url)
    )


def _plain(value: str | None) -> str | None:
    """A header that can be sent back, or None."""
    return value if value is not None and value.isascii() else None
