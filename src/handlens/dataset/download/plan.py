"""What a run would do: whom it would ask, for how much, and how long that takes at the set pace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import NO_HOST, HostCount

__all__ = ["HostPlan", "Plan", "plan_of"]


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host: URLs in the list, those fetched already and those to ask for, and its pace.

    `seconds`: the least that it takes, redirects, retries and a Crawl-delay not counted; None where the pace has no
    limit, or where nothing is asked because the terms are not `acknowledged`.
    """

    host: str
    listed: int
    fetched: int
    to_ask: int
    acknowledged: bool
    rate: float
    concurrency: int

    @property
    def seconds(self) -> float | None:
        """See above."""
        if not self.acknowledged or not self.rate:
            return None
        return (self.to_ask + 1) / self.rate if self.to_ask else 0.0  # one more for robots.txt


@dataclass(frozen=True, slots=True)
class Plan:
    """All hosts, those with most to ask for first, and the photos of own folders to bring in."""

    hosts: tuple[HostPlan, ...]
    local: int
    user_agent: str | None

    @property
    def seconds(self) -> float:
        """The least that the run takes: hosts are asked at the same time, so that of the slowest one."""
        return max((host.seconds or 0.0 for host in self.hosts), default=0.0)

    @property
    def unacknowledged(self) -> tuple[str, ...]:
        """Hosts with something to ask for whose terms are not acknowledged."""
        return tuple(host.host for host in self.hosts if host.to_ask and not host.acknowledged)

    def lines(self, most: int = 30) -> Iterator[str]:
        """The plan in words, with that many hosts."""
        asked = [host for host in self.hosts if host.acknowledged]
        urls = sum(host.to_ask for host in asked)
        if self.hosts:
            yield f"{urls:,} URLs of {len(asked):,} hosts to ask for, as {self.user_agent or '(no contact given)'}"
            yield f"at least {_duration(self.seconds)} at the set pace"
        if self.local or not self.hosts:
            yield f"{self.local:,} photos of own folders to bring in"
        width = max((len(host.host) for host in self.hosts[:most]), default=0)
        for host in self.hosts[:most]:
            if host.acknowledged:
                pace = f"{host.rate:g} a second" if host.rate else "no limit"
                told = f"{pace}, {host.concurrency} at a time" + (
                    f", {_duration(host.seconds)}" if host.seconds else ""
                )
            else:
                told = "NOT ASKED: terms not acknowledged"
            yield f"  {host.host:<{width}}  {host.to_ask:>9,} to ask  {host.fetched:>9,} fetched  {told}"
        if len(self.hosts) > most:
            yield f"  and {len(self.hosts) - most:,} hosts more"


def plan_of(counts: list[HostCount], settings: DownloadSettings) -> Plan:
    """The plan for what the state holds."""
    hosts = tuple(
        HostPlan(
            count.host,
            count.listed,
            count.fetched,
            count.to_ask,
            settings.acknowledges(count.host),
            settings.rate_of(count.host),
            settings.concurrency_of(count.host),
        )
        for count in counts
        if count.host != NO_HOST
    )
    local = sum(count.to_ask for count in counts if count.host == NO_HOST)
    return Plan(hosts, local, settings.user_agent if settings.contact else None)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
