"""A client of the HTTP service (`handlens serve`): the answers and errors of the Python door, from another machine.

Needs the extra `client`. No network is loaded here and no photo is decoded: the service does both.
"""

from __future__ import annotations

from handlens.client.answers import Answer, HeatMap
from handlens.client.client import Client
from handlens.client.errors import (
    BadAnswerError,
    BodyTooLargeError,
    InternalError,
    NotAvailableError,
    NotReadyError,
    OverloadedError,
    RequestTimeoutError,
    ServiceError,
    ServiceTimeoutError,
    TooManyRequestsError,
    UnauthorisedError,
    UnreachableError,
)

__all__ = [
    "Answer",
    "BadAnswerError",
    "BodyTooLargeError",
    "Client",
    "HeatMap",
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
]
