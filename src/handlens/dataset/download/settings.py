"""What the download stage may be told."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from handlens._version import __version__
from handlens.dataset.http_manners import check_contact
from handlens.photo import DEFAULT_LIMITS

__all__ = ["AGENT", "DownloadSettings", "HostSettings"]

AGENT: Final = "handlens"
"""The name that robots.txt and X-Robots-Tag can call this program by."""

_HOST = re.compile(r"[^\s/@?#]+")


class HostSettings(BaseModel):
    """What holds for one host.

    `terms_acknowledged`: you have read the terms of this site and they, or its owner, let you download these photos.
    `rate`: requests a second, 0 for no limit; `concurrency`: requests at a time; None: as for every host.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms_acknowledged: bool = False
    rate: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    concurrency: int | None = Field(default=None, ge=1)


class DownloadSettings(BaseModel):
    """How to ask, whom, and what to take.

    `contact`: an e-mail address or the address of a page, sent in the User-Agent; needed as soon as a row has a URL.
    `hosts`: by name, without scheme or port; a host that is not named, or whose terms are not acknowledged, is asked
    nothing. `rate` and `concurrency`: requests a second (0: no limit) and at a time, a host. `connections`: at a time,
    in all. `timeout`: seconds to connect, and between two parts of an answer; `total_timeout`: for a whole answer.
    `max_bytes`, `max_pixels`, `max_side`: of one photo. `max_redirects`: followed for one photo.
    `max_attempts`: requests for one URL in a run; `backoff`: seconds before the second, doubled each time up to
    `max_backoff`, and drawn between half of that and all of it. `max_wait`: seconds of `Retry-After` above which a host
    is left alone until the next run. `breaker_after`: failures (403, 429, 5xx, no answer) of one host in a row after
    which it rests for `breaker_pause` seconds, doubled each time; after `breaker_trips` rests it is left alone until
    the next run.
    `processes`: for the hosts whose `rate` is 0 and whose `concurrency` is that much or more, which are divided between
    them; all other hosts are asked by one. `allow_private`: ask addresses of private networks and of this machine, too
    (for tests).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contact: str | None = None
    hosts: dict[str, HostSettings] = {}
    rate: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    concurrency: int = Field(default=1, ge=1)
    connections: int = Field(default=64, ge=1)
    timeout: float = Field(default=30.0, gt=0)
    total_timeout: float = Field(default=300.0, gt=0)
    max_bytes: int = Field(default=DEFAULT_LIMITS.max_bytes, ge=1)
    max_pixels: int = Field(default=DEFAULT_LIMITS.max_pixels, ge=1)
    max_side: int = Field(default=DEFAULT_LIMITS.max_side, ge=1)
    max_redirects: int = Field(default=5, ge=0)
    max_attempts: int = Field(default=4, ge=1)
    backoff: float = Field(default=2.0, ge=0)
    max_backoff: float = Field(default=300.0, ge=0)
    max_wait: float = Field(default=3600.0, ge=0)
    breaker_after: int = Field(default=10, ge=1)
    breaker_pause: float = Field(default=60.0, ge=0)
    breaker_trips: int = Field(default=3, ge=0)
    processes: int = Field(default=1, ge=1, le=64)
    allow_private: bool = False

    @field_validator("contact")
    @classmethod
    def _is_contact(cls, contact: str | None) -> str | None:
        return None if contact is None else check_contact(contact)

    @field_validator("hosts")
    @classmethod
    def _names_hosts(cls, hosts: dict[str, HostSettings]) -> dict[str, HostSettings]:
        for name in hosts:
            if not _HOST.fullmatch(name):
                raise ValueError(f"{name!r}: give the name of a host, for example upload.wikimedia.org")
        return {name.lower().rstrip("."): host for name, host in hosts.items()}

    @property
    def user_agent(self) -> str:
        """The User-Agent of every request."""
        return f"{AGENT}/{__version__} (+{self.contact})"

    def acknowledges(self, host: str) -> bool:
        """Whether the terms of this host are acknowledged."""
        return host in self.hosts and self.hosts[host].terms_acknowledged

    def rate_of(self, host: str) -> float:
        """Requests a second of this host, 0 for no limit."""
        own = self.hosts[host].rate if host in self.hosts else None
        return self.rate if own is None else own

    def concurrency_of(self, host: str) -> int:
        """Requests at a time of this host."""
        own = self.hosts[host].concurrency if host in self.hosts else None
        return self.concurrency if own is None else own

    def is_divided(self, host: str) -> bool:
        """Whether several processes ask this host."""
        return self.processes > 1 and not self.rate_of(host) and self.concurrency_of(host) >= self.processes

    def share(self) -> DownloadSettings:
        """The settings of one of several processes: its part of the places of everything that is divided."""
        hosts = {
            name: host.model_copy(update={"concurrency": self.concurrency_of(name) // self.processes})
            for name, host in self.hosts.items()
            if self.is_divided(name)
        }
        connections = max(1, self.connections // self.processes)
        return self.model_copy(update={"hosts": self.hosts | hosts, "connections": connections})

    def rules(self) -> dict[str, Any]:
        """What decides which rows are fetched. How fast, by whom and how often is asked is left out: it may change
        without making the stage's table another.
        """
        told = self.model_dump(include={"max_bytes", "max_pixels", "max_side", "max_redirects", "allow_private"})
        return told | {"acknowledged": sorted(host for host in self.hosts if self.acknowledges(host))}
