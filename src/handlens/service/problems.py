"""Every failure as an RFC 9457 problem document, whose `code` is the word that all doors use for it.

`type` is `/problems/<code>`, relative to the service; `photo` is there where the failure is about one photo, `near`
where names like the unknown one are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from handlens.errors import HandlensError
from handlens.photo import PhotoError
from handlens.service.record import current_record

__all__ = [
    "MEDIA_TYPE",
    "BadBase64Error",
    "BodyTooLargeError",
    "ForbiddenError",
    "HeadTooLargeError",
    "NotAvailableError",
    "NotReadyError",
    "OverloadedError",
    "RefusedError",
    "RequestTimeoutError",
    "SlowBodyError",
    "TooManyRequestsError",
    "UnauthorisedError",
    "UnsupportedMediaTypeError",
    "UrlTooLongError",
    "error_problem",
    "install_problem_handlers",
    "internal_problem",
    "problem",
    "status_of",
]

MEDIA_TYPE: Final = "application/problem+json"


class BodyTooLargeError(HandlensError):
    """The request's body passes the limit of the service (`body-too-large`)."""

    code = "body-too-large"


class UnsupportedMediaTypeError(HandlensError):
    """The request's body is of a content type that the route does not take (`unsupported-media-type`)."""

    code = "unsupported-media-type"


class BadBase64Error(HandlensError):
    """`image_base64` is no base64 (`bad-base64`)."""

    code = "bad-base64"


class NotAvailableError(HandlensError):
    """The loaded bundle cannot do what the route is for (`not-available`)."""

    code = "not-available"


class NotReadyError(HandlensError):
    """The service runs, but its network does not answer (`not-ready`)."""

    code = "not-ready"


class RefusedError(HandlensError):
    """The service does not do this for this client, or not now; `headers` say how or when it would."""

    code = "refused"

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers: Mapping[str, str] = headers or {}


class UnauthorisedError(RefusedError):
    """The request needs an API key and has none that is admitted (`unauthorised`)."""

    code = "unauthorised"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"www-authenticate": 'Bearer realm="handlens"'})


class ForbiddenError(RefusedError):
    """The request is not for a client at this address (`forbidden`)."""

    code = "forbidden"


class UrlTooLongError(RefusedError):
    """The path and query pass the limit of the service (`url-too-long`)."""

    code = "url-too-long"


class HeadTooLargeError(RefusedError):
    """The headers pass the limit of the service (`head-too-large`)."""

    code = "head-too-large"


class SlowBodyError(RefusedError):
    """The body did not arrive in time (`slow-body`)."""

    code = "slow-body"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"connection": "close"})


class TooManyRequestsError(RefusedError):
    """The client has sent its share (`too-many-requests`); there is more after `wait` seconds."""

    code = "too-many-requests"

    def __init__(self, detail: str, wait: float) -> None:
        super().__init__(detail, {"retry-after": str(max(1, math.ceil(wait)))})


class OverloadedError(RefusedError):
    """More waits to be done than the service takes on (`overloaded`)."""

    code = "overloaded"

    def __init__(self, detail: str = "The service has as much to do as it takes on. Try again soon.") -> None:
        super().__init__(detail, {"retry-after": "2"})


class RequestTimeoutError(RefusedError):
    """A photo was not done in the time that one may take (`request-timeout`)."""

    code = "request-timeout"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"retry-after": "10"})


_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "bad-base64": HTTPStatus.BAD_REQUEST,
    "bad-evidence": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad-request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "body-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "forbidden": HTTPStatus.FORBIDDEN,
    "head-too-large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "image-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not-an-image": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not-available": HTTPStatus.NOT_IMPLEMENTED,
    "not-ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "overloaded": HTTPStatus.SERVICE_UNAVAILABLE,
    "request-timeout": HTTPStatus.SERVICE_UNAVAILABLE,
    "slow-body": HTTPStatus.REQUEST_TIMEOUT,
    "too-many-requests": HTTPStatus.TOO_MANY_REQUESTS,
    "unauthorised": HTTPStatus.UNAUTHORIZED,
    "unknown-label": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown-mineral": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unsupported-format": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "url-too-long": HTTPStatus.REQUEST_URI_TOO_LONG,
}
# The phrases of these change with the version of Python.
_HTTP_CODES: Final = {400: "bad-request", 413: "body-too-large", 422: "bad-request"}
_INTERNAL: Final = "internal-error"
_INTERNAL_DETAIL: Final = "Something failed inside the service. It is not the fault of the request."


def status_of(error: HandlensError) -> HTTPStatus:
    """The HTTP status of an error: by its code, else 400 for what is wrong with a photo and 500 for the rest."""
    default = HTTPStatus.BAD_REQUEST if isinstance(error, PhotoError) else HTTPStatus.INTERNAL_SERVER_ERROR
    return _STATUS.get(error.code, default)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    photo: str | None = None,
    near: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as a response; its `title` is the code in plain words, `near` what may have been meant."""
    if record := current_record():
        record.code = code
    document: dict[str, object] = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if photo:
        document["photo"] = photo
    if near:
        document["near"] = list(near)
    return JSONResponse(document, int(status), {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def error_problem(error: HandlensError, status: int | None = None) -> Response:
    """The problem document of an error that was raised on purpose; `status` overrides the usual one."""
    status = status_of(error) if status is None else status
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_problem()  # its detail may name files of the server
    photo = error.photo if isinstance(error, PhotoError) else None
    headers = error.headers if isinstance(error, RefusedError) else None
    return problem(status, error.code, error.detail, photo=photo, headers=headers)


def internal_problem() -> Response:
    """The problem document of a failure that nobody expected; it tells nothing."""
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL, _INTERNAL_DETAIL)


def install_problem_handlers(app: FastAPI) -> None:
    """Makes every error that a route raises on purpose a problem document; for the others see `context`."""

    async def expected(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HandlensError)
        return error_problem(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # The place and the rule, never the value: it could be half a photo.
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-request", "; ".join(faults))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        code = _HTTP_CODES.get(error.status_code) or phrase.lower().replace(" ", "-")
        return problem(error.status_code, code, f"{phrase}.", headers=error.headers)

    app.add_exception_handler(HandlensError, expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
