"""Requests and their failures: the key, the wait before another try, problem documents as errors."""

from __future__ import annotations

import io
import json
import math
import re
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypedDict, Unpack

import httpx

from handlens._version import __version__
from handlens.client.errors import (
    BadAnswerError,
    ServiceTimeoutError,
    UnreachableError,
    error_of_problem,
    error_of_status,
)
from handlens.client.uploads import Upload
from handlens.errors import HandlensError, UsageError

__all__ = ["Body", "Transport"]

_KEY: Final = re.compile(r"[\x21-\x7e]+")
_PROBLEM: Final = "application/problem+json"
_TRY_AGAIN: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Body(TypedDict, total=False):
    """What a request holds: the query, a form with photos, or JSON."""

    params: dict[str, str]
    data: dict[str, str | list[str]]
    photos: list[Upload]
    json: Any


class Transport:
    """Connections to one service."""

    def __init__(self, address: str, key: str | None, timeout: float, retries: int, max_wait: float) -> None:
        """See `Client`."""
        self.address = _checked(address)
        if key is not None and not _KEY.fullmatch(key):
            raise UsageError("the key must be visible ASCII characters, without spaces")
        self._retries, self._max_wait = retries, max_wait
        headers = {"user-agent": f"handlens/{__version__}"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        # A redirect could lead to another host, which must not get the key or the photos.
        self._http = httpx.Client(base_url=self.address, headers=headers, timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def json(self, method: str, path: str, *, retry: bool = True, **body: Unpack[Body]) -> Any:
        """The JSON of the answer. Raises HandlensError."""
        with self._answer(method, path, retry, body) as response:
            try:
                response.read()
                return response.json()
            except ValueError as error:
                raise BadAnswerError(f"{self.address} answered with something else than JSON.") from error

    def lines(self, method: str, path: str, **body: Unpack[Body]) -> Generator[Any]:
        """The JSON of each line, when it comes. Raises HandlensError."""
        with self._answer(method, path, True, body) as response:
            for line in response.iter_lines():
                try:
                    document = json.loads(line)
                except ValueError as error:
                    raise BadAnswerError(f"{self.address} answered with a line that is no JSON.") from error
                yield document

    @contextmanager
    def _answer(self, method: str, path: str, retry: bool, body: Body) -> Iterator[httpx.Response]:
        """The answer with status 200, not read yet; its failures, also while it is read, are HandlensErrors."""
        try:
            response = self._sent(method, path, self._retries if retry else 0, body)
            try:
                yield response
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise ServiceTimeoutError(f"{self.address} did not answer in time.") from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{self.address} cannot be reached: {str(error) or type(error).__name__}."
            ) from error

    def _sent(self, method: str, path: str, retries: int, body: Body) -> httpx.Response:
        waited = 0.0
        while True:
            with ExitStack() as files:
                # Closed files let go of the photos; bytes would stay with the response, which refers to itself.
                photos = [
                    ("photos", (photo.name, files.enter_context(io.BytesIO(photo.data))))
                    for photo in body.get("photos", ())
                ]
                request = self._http.build_request(
                    method,
                    path,
                    params=body.get("params"),
                    data=body.get("data"),
                    files=photos or None,
                    json=body.get("json"),
                )
                response = self._http.send(request, stream=True)
            if response.status_code == HTTPStatus.OK:
                return response
            try:
                wait = _retry_after(response.headers.get("retry-after"))
                response.read()
            finally:
                response.close()
            may = retries > 0 and response.status_code in _TRY_AGAIN
            if not may or wait is None or waited + wait > self._max_wait:
                raise self._error(response, wait)
            time.sleep(wait)
            waited += wait
            retries -= 1

    def _error(self, response: httpx.Response, retry_after: float | None) -> HandlensError:
        status = response.status_code
        if response.is_redirect:
            return BadAnswerError(
                f"{self.address} redirects to another address, which is not followed: give the client that one.",
                status=status,
            )
        if response.headers.get("content-type", "").partition(";")[0].strip() == _PROBLEM:
            try:
                return error_of_problem(response.json(), status=status, retry_after=retry_after)
            except (LookupError, TypeError, ValueError, AttributeError):
                pass  # it only says that it is a problem document
        return error_of_status(self.address, status, retry_after)


def _checked(address: str) -> str:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("the address of the service is no URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("the address of the service must begin with http:// or https:// and name a host")
    if url.userinfo or url.query or url.fragment:  # without showing it: it may be a password
        raise UsageError("the address of the service must have no user, query or fragment; a key is given as key")
    return str(url).rstrip("/")


def _retry_after(text: str | None) -> float | None:
    """Seconds; a header holds them or a date. None for none or one that is not understood."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return max(0.0, seconds) if math.isfinite(seconds) else None
