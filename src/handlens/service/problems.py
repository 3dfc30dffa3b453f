"""Every failure as an RFC 9457 problem document, whose `code` is the word that all doors use for it.

`type` is `/problems/<code>`, relative to the service; `photo` is there where the failure is about one photo, `near`
where names like the unknown one are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from handlens.errors import HandlensError
from handlens.photo import PhotoError
from handlens.service.headers import SECURITY_HEADERS

__all__ = [
    "MEDIA_TYPE",
    "BadBase64Error",
    "BodyTooLargeError",
    "NotAvailableError",
    "NotReadyError",
    "UnsupportedMediaTypeError",
    "error_problem",
    "install_problem_handlers",
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


_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "bad-base64": HTTPStatus.BAD_REQUEST,
    "bad-evidence": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad-request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "body-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "image-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not-an-image": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not-available": HTTPStatus.NOT_IMPLEMENTED,
    "not-ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "unknown-label": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown-mineral": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unsupported-format": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
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
        return problem(status, _INTERNAL, _INTERNAL_DETAIL)  # its detail may name files of the server
    photo = error.photo if isinstance(error, PhotoError) else None
    return problem(status, error.code, error.detail, photo=photo)


def install_problem_handlers(app: FastAPI) -> None:
    """Makes every error response of `app` a problem document."""

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

    async def unexpected(_request: Request, _error: Exception) -> Response:
        # This one is sent outside of the middleware that adds the headers.
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL, _INTERNAL_DETAIL, headers=SECURITY_HEADERS)

    app.add_exception_handler(HandlensError, expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)
