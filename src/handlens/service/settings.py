"""Every setting of the service: its type, its default, the values it may have, what it means.

Where values come from (command line, environment, file) is the matter of `settings_sources`.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from handlens.photo import DEFAULT_LIMITS

__all__ = ["SECRET", "LogFormat", "Settings", "is_loopback", "key_hash"]

LogFormat = Literal["text", "json", "none"]
SECRET: Final = frozenset({"keys"})
"""Settings whose values are never shown."""

_ENVELOPE: Final = 2**20
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]", "::1")
_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})
_RATE_BEYOND_LOOPBACK: Final = 120
_HASH: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)
_HOST: Final = re.compile(r"\*|(?:\*\.)?[a-z0-9_][a-z0-9_.-]*|\[?[0-9a-f:.]+\]?", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"\*|https?://[^/\s*,?#]+")


def key_hash(text: str) -> str:
    """The 64 digits of `sha256:HEX`; the prefix may be missing. Raises ValueError."""
    if not (match := _HASH.fullmatch(text.strip())):
        raise ValueError("a key is set by its hash, sha256: and 64 hexadecimal digits; see serve --new-key")
    return match[1].lower()


def _host_name(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("a host is a name without port, *.example.com, or *")
    return text.lower()


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("an origin is like https://example.com, without a path, or *")
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text)  # a ValueError of its own; strict, as uvicorn is
    return text


class Settings(BaseModel):
    """What the service may be given. Frozen; raises pydantic.ValidationError for a value that makes no sense.

    Sizes are bytes, times are seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes, each with its own network, queue and counts.")
    bundle: str | None = Field(
        default=None, description="Model bundle: `small`, a folder or .zip; not set: the default that ships."
    )
    page: bool = Field(default=True, description="Whether the page and /docs are served.")

    max_body_bytes: PositiveInt = Field(
        default=DEFAULT_LIMITS.max_bytes * 4 // 3 + _ENVELOPE,
        description="Largest body; the default holds the largest photo in base64.",
    )
    max_batch_bytes: PositiveInt = Field(default=64 * 2**20, description="Largest body of /v1/identify/batch.")
    max_batch_photos: PositiveInt = Field(default=64, description="Most photos in one batch.")
    max_uploads_bytes: PositiveInt = Field(
        default=512 * 2**20, description="Most bytes of all bodies that are held at the same time."
    )
    max_fields: PositiveInt = Field(default=24, description="Most text fields in a form.")
    max_field_bytes: PositiveInt = Field(default=16 * 2**10, description="Largest text field.")
    max_url_bytes: PositiveInt = Field(default=4096, description="Longest path with its query.")
    max_head_bytes: PositiveInt = Field(default=16 * 2**10, description="Longest request line with all headers.")
    max_connections: PositiveInt = Field(default=256, description="Connections beyond which photos are refused.")
    max_concurrent: PositiveInt = Field(default=2, description="Photos that are decoded and scored at the same time.")
    max_queue: NonNegativeInt = Field(default=16, description="Requests that may wait for their turn.")

    head_timeout: PositiveFloat = Field(default=10, description="Time in which all headers of a request must arrive.")
    body_timeout: PositiveFloat = Field(
        default=120, description="Time in which a body must arrive or an answer be taken."
    )
    min_body_rate: NonNegativeInt = Field(
        default=1024,
        description="Bytes a second of a body on average, after its first head_timeout seconds.",
    )
    request_timeout: PositiveFloat = Field(default=60, description="Time that a photo may wait and be worked on.")
    keep_alive_timeout: PositiveInt = Field(default=5, description="Time that a connection may be idle.")
    shutdown_timeout: PositiveInt = Field(default=90, description="Time to finish what was begun when told to stop.")

    requests_per_minute: NonNegativeInt | None = Field(
        default=None,
        description="Photos a minute of one client; 0: any number; not set: any on loopback, else 120.",
    )
    burst: PositiveInt = Field(default=60, description="Photos that a client may send at once after a pause.")

    keys: tuple[Annotated[str, AfterValidator(key_hash)], ...] = Field(
        default=(), description="Hashes of API keys, each sha256:HEX."
    )
    keys_file: Path | None = Field(default=None, description="File with such hashes, one a line.")
    trusted_hosts: tuple[Annotated[str, AfterValidator(_host_name)], ...] | None = Field(
        default=None,
        description="Names by which the service may be asked; not set: loopback names and host, or all where host is "
        "every address.",
    )
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(), description="Addresses or networks of proxies whose X-Forwarded-For is believed."
    )
    cors_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        default=(), description="Origins whose pages may use the API; * is all."
    )

    metrics: bool = Field(default=False, description="Whether /metrics is there, for loopback or with a key.")
    log_format: LogFormat = Field(
        default="text", description="json: a line for every request; text: warnings only; none: errors only."
    )

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """The names that a Host header may have: `trusted_hosts`, or what follows from `host`."""
        if self.trusted_hosts is not None:
            return self.trusted_hosts
        if self.host in _EVERY_ADDRESS:
            return ("*",)
        return (*_LOOPBACK_NAMES, self.host.lower(), f"[{self.host.lower()}]")

    @property
    def photos_per_minute(self) -> int:
        """What a client may send a minute, 0 for any number: `requests_per_minute`, or what follows from `host`."""
        if self.requests_per_minute is not None:
            return self.requests_per_minute
        return 0 if is_loopback(self.host) else _RATE_BEYOND_LOOPBACK


def is_loopback(host: str) -> bool:
    """Whether this name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
