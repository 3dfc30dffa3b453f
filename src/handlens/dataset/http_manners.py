"""What whoever asks a web server has to do, whatever is asked for: say how to be reached, wait as long as asked to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["check_contact", "retry_after_seconds"]

_CONTACT: Final = re.compile(r"[^\s@()<>]+@[^\s@()<>]+\.[^\s@()<>]+|https?://[^\s()<>]+")


def check_contact(contact: str) -> str:
    """The contact for a User-Agent, without spaces around it. Raises ValueError unless people can be reached by it."""
    contact = contact.strip()
    if not (contact.isascii() and _CONTACT.fullmatch(contact)):
        raise ValueError("give an e-mail address or the address of a web page (https://...)")
    return contact


def retry_after_seconds(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header (seconds or a date: RFC 9110, 10.2.3) asks for; None for nonsense."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:12])
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
