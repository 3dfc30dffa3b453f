"""Logs: warnings and errors as text by default, or everything as JSON with a line for every request.

A line never holds the name of a photo, a value of a form, a query, or an address: the client is a digest with a salt
that is new in each process, so that its requests can be told from others but not traced to it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from typing import Any, Final

from handlens.service.context import FinishedRequest
from handlens.service.settings import LogFormat

__all__ = ["JsonFormatter", "RequestLog", "log_config"]

_REQUESTS: Final = "handlens.requests"
_LEVELS: Final[dict[LogFormat, str]] = {"text": "WARNING", "json": "WARNING", "none": "ERROR"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; the fields of a request are those in its attribute `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {"time": f"{stamp}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        line |= fields if fields is not None else {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class RequestLog:
    """An observer that logs a line for every request."""

    def __init__(self) -> None:
        self._log = logging.getLogger(_REQUESTS)
        self._salt = secrets.token_bytes(16)

    def __call__(self, finished: FinishedRequest) -> None:
        """Logs it."""
        record = finished.record
        client = hashlib.blake2b(record.client.encode(), key=self._salt, digest_size=6).hexdigest()
        fields: dict[str, object] = {
            "request_id": record.request_id,
            "method": record.method,
            "route": finished.route,
            "status": finished.status,
            "ms": _milliseconds(finished.seconds),
            "queue_ms": None if record.queue is None else _milliseconds(record.queue),
            "client": client,
        }
        if record.code:
            fields["code"] = record.code
        self._log.info("request", extra={"fields": fields})


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def log_config(log_format: LogFormat) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes; all goes to standard error."""
    level = _LEVELS[log_format]
    plain = {"handlers": ["stderr"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "%(levelname)s: %(message)s"},
            "json": {"()": "handlens.service.logs.JsonFormatter"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json" if log_format == "json" else "text",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {
            # Its warnings are of what clients send that is no HTTP: anybody could fill the log with them.
            "uvicorn": plain | {"level": "ERROR"},
            "uvicorn.error": plain | {"level": "ERROR"},
            "asyncio": plain | {"level": "ERROR"},
            "handlens.service": plain,
            _REQUESTS: plain | {"level": "INFO" if log_format == "json" else "CRITICAL"},
            # The form parser warns of each byte that it did not expect, and quotes it.
            "python_multipart": {"level": "CRITICAL"},
        },
    }
