"""Pieces in the midst of a body of stated length, past the HTTP parser: they hold nothing that it could find.

h11 copies every piece four times: half of what the event loop does for a photo in base64 goes there.
"""

from __future__ import annotations

from typing import Any

import h11

__all__ = ["pass_by"]


def pass_by(connection: h11.Connection, size: int) -> bool:
    """Has the parser count `size` bytes as received; whether it did, so that the caller may hand them on itself.

    Only where they lie between the first piece of a body, which the parser has seen, and its last byte, which it has to
    see. h11 has no call for that: its count is an inner one, and where another version keeps it elsewhere, the answer
    is False and everything goes through the parser as it should.
    """
    reader: Any = getattr(connection, "_reader", None)
    left, length = getattr(reader, "_remaining", None), getattr(reader, "_length", None)
    if not isinstance(left, int) or not isinstance(length, int) or not size < left < length:
        return False
    if connection.their_state is not h11.SEND_BODY or connection.trailing_data[0]:
        return False
    reader._remaining = left - size
    return True
