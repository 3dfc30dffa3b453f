"""A small MediaWiki on loopback that answers as the action API documents, with the troubles it may have.

Shapes as in mediawiki.org's API:Query, API:Categorymembers, API:Imageinfo, API:Continue, API:Errors and warnings and
Manual:Maxlag parameter, for formatversion 2.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

__all__ = ["Answer", "Request", "Wiki", "imageinfo", "serving"]

Answer = web.Response
ARTIST = '<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann &amp; Bob</a>'


def imageinfo(name: str, **changed: Any) -> dict[str, Any]:
    """What the API says of one file; `changed` are other fields, those of `extmetadata` by its own names."""
    quoted = name.replace(" ", "_")
    meta = {
        "LicenseShortName": "CC BY-SA 4.0",
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
        "Artist": ARTIST,
        "Credit": '<span class="int-own-work">Own work</span>',
        "Categories": "Self-published work|CC-BY-SA-4.0",
    }
    given = {key: value for key, value in changed.items() if key[0].isupper()}
    meta = {key: value for key, value in (meta | given).items() if value is not None}
    info: dict[str, Any] = {
        "size": 123_456,
        "width": 3000,
        "height": 2000,
        "mime": "image/jpeg",
        "sha1": "ab" * 20,
        "thumburl": f"https://upload.wikimedia.org/wikipedia/commons/thumb/0/05/{quoted}/1280px-{quoted}?utm_source=x",
        "thumbwidth": 1280,
        "url": f"https://upload.wikimedia.org/wikipedia/commons/0/05/{quoted}?utm_source=commons&utm_content=original",
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{quoted}",
        "extmetadata": {key: {"value": value, "source": "commons-desc-page"} for key, value in meta.items()},
    }
    return info | {key: value for key, value in changed.items() if not key[0].isupper()}


@dataclass(frozen=True)
class Request:
    """What was asked: its parameters, User-Agent, and when it came and was answered."""

    parameters: dict[str, str]
    agent: str
    came: float
    answered: float


@dataclass
class Wiki:
    """Categories by name with the titles of their files and subcategories, and what is known of the files.

    `redirects`: hard ones, by full title; `soft`: pages with the template of a category redirect and what they link to.
    `troubles` are answers given in place of the next ones; whoever asks for the category
    `breaks_at` gets an error. With `split_properties`, `imageinfo` comes in a second answer
    for the second half of a batch, as when an answer grows too large.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=dict)
    info: dict[str, dict[str, Any]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    soft: dict[str, list[str]] = field(default_factory=dict)
    troubles: list[Callable[[], Answer]] = field(default_factory=list)
    breaks_at: str = ""
    page_size: int = 50
    split_properties: bool = False
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def asked(self, **parameters: str) -> list[Request]:
        """The requests with these parameters."""
        return [one for one in self.requests if parameters.items() <= one.parameters.items()]

    async def answer(self, request: web.Request) -> web.Response:
        came = time.monotonic()
        asked = dict(request.query)
        made = self.troubles.pop(0)() if self.troubles else web.json_response(self._query(asked))
        self.requests.append(Request(asked, request.headers["User-Agent"], came, time.monotonic()))
        return made

    def _query(self, asked: dict[str, str]) -> dict[str, Any]:
        if asked.get("action") != "query" or asked.get("format") != "json" or asked.get("formatversion") != "2":
            return {"error": {"code": "badvalue", "info": "Unrecognized value", "docref": "See /w/api.php"}}
        if self.breaks_at and self.breaks_at in asked.get("titles", "").split("|"):
            return {"error": {"code": "invalidtitle", "info": "Bad title.", "docref": "See /w/api.php"}}
        if "titles" in asked:
            return {"batchcomplete": True, "query": self._titles(asked)}
        name = asked["gcmtitle"].removeprefix("Category:")
        return self._files(asked, name) if asked["gcmtype"] == "file" else self._subcategories(asked, name)

    def _titles(self, asked: dict[str, str]) -> dict[str, Any]:
        titles = asked["titles"].split("|")
        assert len(titles) <= 50, "toomanyvalues"
        query: dict[str, Any] = {}
        if asked.get("redirects") and (found := [title for title in titles if title in self.redirects]):
            query["redirects"] = [{"from": title, "to": self.redirects[title]} for title in found]
            titles = list(dict.fromkeys(self.redirects.get(title, title) for title in titles))
        query["pages"] = [self._category(title, asked["prop"]) for title in titles]
        return query

    def _category(self, title: str, prop: str) -> dict[str, Any]:
        name = title.removeprefix("Category:")
        page: dict[str, Any] = {"ns": 14, "title": title}
        files, below = self.files.get(name, []), self.below.get(name, [])
        if name in self.files or name in self.below or name in self.soft:
            page["pageid"] = 1 + abs(hash(name)) % 10**6
        else:
            page["missing"] = True
        if "categoryinfo" in prop and (files or below):
            size = len(files) + len(below)
            page["categoryinfo"] = {
                "size": size, "pages": 0, "files": len(files), "subcats": len(below), "hidden": False,
            }  # fmt: skip
        if name in self.soft and "categories" in prop:
            page["categories"] = [{"ns": 14, "title": "Category:Category redirects"}]
        if name in self.soft and prop == "links":
            page["links"] = [{"ns": 14, "title": target} for target in self.soft[name]]
        return page

    def _subcategories(self, asked: dict[str, str], name: str) -> dict[str, Any]:
        pages = [self._category(f"Category:{below}", asked["prop"]) for below in self.below.get(name, [])]
        return {"batchcomplete": True} | ({"query": {"pages": pages}} if pages else {})

    def _files(self, asked: dict[str, str], name: str) -> dict[str, Any]:
        assert asked["prop"] == "imageinfo"
        assert "extmetadata" in asked["iiprop"]
        files = self.files.get(name, [])
        start = int(asked.get("gcmcontinue", "file|0").split("|")[1])
        size = min(self.page_size, int(asked["gcmlimit"]))
        shown = files[start : start + size]
        half = len(shown) // 2 if self.split_properties and len(shown) > 1 else len(shown)
        second = "iicontinue" in asked
        pages = []
        for place, title in enumerate(shown):
            page: dict[str, Any] = {"pageid": start + place + 1, "ns": 6, "title": f"File:{title}"}
            if (place >= half) == second and self.info.get(title) is not None:
                page |= {"imagerepository": "local", "imageinfo": [self.info[title]]}
            pages.append(page)
        answer: dict[str, Any] = {"query": {"pages": pages}} if pages else {}
        if half < len(shown) and not second:
            further = {"gcmcontinue": f"file|{start}"} if start else {}
            return answer | {"continue": {"iicontinue": shown[half], "continue": "gcmcontinue||"} | further}
        answer["batchcomplete"] = True
        if start + size < len(files):
            answer["continue"] = {"gcmcontinue": f"file|{start + size}", "continue": "gcmcontinue||"}
        return answer


@contextmanager
def serving(wiki: Wiki) -> Iterator[Wiki]:
    """Runs the wiki on a port of its own and writes its address into `url`."""
    loop = asyncio.new_event_loop()
    runner: list[web.AppRunner] = []

    async def start() -> None:
        app = web.Application()
        app.router.add_get("/w/api.php", wiki.answer)
        runner.append(web.AppRunner(app, access_log=None))
        await runner[0].setup()
        site = web.TCPSite(runner[0], "127.0.0.1", 0)
        await site.start()
        wiki.url = f"http://127.0.0.1:{runner[0].addresses[0][1]}/w/api.php"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield wiki
    finally:
        asyncio.run_coroutine_threadsafe(runner[0].cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
