"""What the service may be given; where it listens is the matter of `serve`."""

from __future__ import annotations

from dataclasses import dataclass

from handlens.errors import UsageError
from handlens.photo import DEFAULT_LIMITS

__all__ = ["Settings"]

_ENVELOPE = 2**20


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits of the service.

    `max_body_bytes`: of one request's body, counted while it arrives; by default a photo of the largest size allowed
    in base64 (4 characters for 3 bytes) and its envelope. `max_fields`: text fields of one form. `max_field_bytes`:
    of one text field. `max_concurrent`: photos that are decoded and scored at the same time; the others wait.
    Raises UsageError for a limit below 1.
    """

    max_body_bytes: int = DEFAULT_LIMITS.max_bytes * 4 // 3 + _ENVELOPE
    max_fields: int = 24
    max_field_bytes: int = 16 * 2**10
    max_concurrent: int = 2

    def __post_init__(self) -> None:
        if min(self.max_body_bytes, self.max_fields, self.max_field_bytes, self.max_concurrent) < 1:
            raise UsageError("every limit of the service must be 1 or more")
