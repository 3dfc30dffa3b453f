"""Problem documents → errors: those of the library by their code, and ServiceError for what only a service has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from handlens.answerer import UnknownLabelError
from handlens.errors import HandlensError, UsageError
from handlens.evidence import BadEvidenceError
from handlens.minerals import UnknownMineralError
from handlens.photo_errors import PhotoError

__all__ = [
    "BadAnswerError",
    "BodyTooLargeError",
    "InternalError",
    "NotAvailableError",
    "NotReadyError",
    "OverloadedError",
    "RequestTimeoutError",
    "ServiceError",
    "ServiceTimeoutError",
    "TooManyRequestsError",
    "UnauthorisedError",
    "UnreachableError",
    "error_of_problem",
    "error_of_status",
]


class ServiceError(HandlensError):
    """The service did not do what it was asked for.

    `status`: that of the answer, None where there was none. `retry_after`: seconds after which the service would be
    asked again, None where it does not say. `told`: the service's own word for the problem, which is `code` where that
    word has a class here; "" where there was no problem document.
    """

    code = "service-error"

    def __init__(
        self, detail: str, *, status: int | None = None, retry_after: float | None = None, told: str = ""
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self.told = told


class UnreachableError(ServiceError):
    """There is no connection to the service, or it broke (`unreachable`)."""

    code = "unreachable"


class ServiceTimeoutError(ServiceError):
    """The service did not answer within the client's timeout (`timeout`)."""

    code = "timeout"


class BadAnswerError(ServiceError):
    """What answered is not the service, or one that this client does not understand (`bad-answer`)."""

    code = "bad-answer"


class UnauthorisedError(ServiceError):
    """The service asks for a key, and for another one than it got (`unauthorised`)."""

    code = "unauthorised"


class TooManyRequestsError(ServiceError):
    """The client has sent its share (`too-many-requests`)."""

    code = "too-many-requests"


class OverloadedError(ServiceError):
    """The service has as much to do as it takes on (`overloaded`)."""

    code = "overloaded"


class RequestTimeoutError(ServiceError):
    """The service did not get the photo done in the time that one may take (`request-timeout`)."""

    code = "request-timeout"


class NotReadyError(ServiceError):
    """The service runs, but its network does not answer (`not-ready`)."""

    code = "not-ready"


class NotAvailableError(ServiceError):
    """The model of the service cannot do this (`not-available`)."""

    code = "not-available"


class BodyTooLargeError(ServiceError):
    """The photos together are more than the service takes in a request (`body-too-large`)."""

    code = "body-too-large"


class InternalError(ServiceError):
    """Something failed inside the service (`internal-error`)."""

    code = "internal-error"


def _with_subclasses(base: type[PhotoError]) -> Iterator[type[PhotoError]]:
    yield base
    for one in base.__subclasses__():
        yield from _with_subclasses(one)


_OF_PHOTOS: Final[Mapping[str, type[PhotoError]]] = {one.code: one for one in _with_subclasses(PhotoError)}
_OF_PARAMETERS: Final[Mapping[str, type[HandlensError]]] = {
    one.code: one for one in (UsageError, BadEvidenceError, UnknownLabelError)
}
_OF_SERVICES: Final[Mapping[str, type[ServiceError]]] = {
    one.code: one
    for one in (
        BodyTooLargeError,
        InternalError,
        NotAvailableError,
        NotReadyError,
        OverloadedError,
        RequestTimeoutError,
        TooManyRequestsError,
        UnauthorisedError,
    )
}
_OF_STATUS: Final[Mapping[int, type[ServiceError]]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorisedError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: BodyTooLargeError,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequestsError,
    HTTPStatus.SERVICE_UNAVAILABLE: OverloadedError,
}


def error_of_problem(
    problem: Mapping[str, Any], *, status: int | None = None, retry_after: float | None = None
) -> HandlensError:
    """The error of a problem document, or of the error of a batch's line as one.

    A code is a photo's only where the problem names one: `not-found` is also a route that is not there.
    """
    code, detail = str(problem["code"]), str(problem["detail"])
    if (photo := problem.get("photo")) and code in _OF_PHOTOS:
        return _OF_PHOTOS[code](str(photo), detail)
    if code == UnknownMineralError.code:
        return UnknownMineralError(detail, tuple(map(str, problem.get("near") or ())))
    if code in _OF_PARAMETERS:
        return _OF_PARAMETERS[code](detail)
    return _OF_SERVICES.get(code, ServiceError)(detail, status=status, retry_after=retry_after, told=code)


def error_of_status(address: str, status: int, retry_after: float | None) -> ServiceError:
    """The error of an answer that is no problem document, such as that of a proxy before the service."""
    detail = f"{address} answered with status {status} and no problem document."
    return _OF_STATUS.get(status, ServiceError)(detail, status=status, retry_after=retry_after)
