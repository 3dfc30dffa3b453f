"""The page of the service: a few files beside this module, held in memory; and the documentation page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from handlens.service.cached import Cached
from handlens.service.docs import docs_html

__all__ = ["pages_router"]

_FOLDER: Final = Path(__file__).with_name("page")
_HTML: Final = "text/html; charset=utf-8"
_MEDIA_TYPES: Final = {
    ".html": _HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def pages_router(openapi: Callable[[], dict[str, Any]]) -> APIRouter:
    """`/`, the files below `/page/`, and `/docs`, which shows what `openapi` returns."""
    router = APIRouter(include_in_schema=False)
    # Only what is in this dictionary can be asked for, so no path can lead out of the folder.
    files = {
        path.name: Cached(path.read_bytes(), _MEDIA_TYPES[path.suffix])
        for path in _FOLDER.iterdir()
        if path.suffix in _MEDIA_TYPES
    }

    @cache
    def docs() -> Cached:
        return Cached(docs_html(openapi()).encode(), _HTML)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return files["index.html"].response(request)

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files[name].response(request)

    @router.get("/docs")
    async def documentation(request: Request) -> Response:
        return docs().response(request)

    return router
