"""A response body that stays the same as long as the service runs, served with an ETag."""

from __future__ import annotations

import hashlib

from fastapi import Request
from fastapi.responses import Response

__all__ = ["Cached"]


class Cached:
    """Bytes with a media type; the browser asks each time, and is told 304 while they are the same."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self._body = body
        self._media_type = media_type
        self._etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def response(self, request: Request) -> Response:
        """200 with the body, or 304 where `If-None-Match` names it (also as weak, as RFC 9110 has it)."""
        headers = {"etag": self._etag, "cache-control": "no-cache"}
        asked = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self._etag in asked or "*" in asked:
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers=headers, media_type=self._media_type)
