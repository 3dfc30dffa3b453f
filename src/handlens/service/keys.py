"""API keys: made here, kept as hashes, asked for before a body is read.

A key has 256 random bits, so its plain SHA-256 cannot be searched for; a slow hash would help nobody but an attacker
who sends many wrong keys.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from handlens.errors import UsageError
from handlens.service.problems import UnauthorisedError, error_problem
from handlens.service.record import current_record
from handlens.service.routes import is_inference
from handlens.service.settings import Settings, key_hash

__all__ = ["KeyMiddleware", "Keys", "new_key"]

_LABEL: Final = "hlk_"


def new_key() -> tuple[str, str]:
    """A new key and the line of a keys file that admits it."""
    key = _LABEL + secrets.token_urlsafe(32)
    return key, f"sha256:{_digest(key)}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The hashes of the keys that are admitted; none: everybody is."""

    def __init__(self, hashes: Iterable[str]) -> None:
        self._hashes = tuple(dict.fromkeys(hashes))

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """Those of the settings and of their file. Raises UsageError for a file that cannot be read or is empty."""
        if settings.keys_file is None:
            return cls(settings.keys)
        return cls((*settings.keys, *_read(settings.keys_file)))

    def __len__(self) -> int:
        return len(self._hashes)

    def holder(self, authorization: str | None) -> str | None:
        """A short name for the key in `Bearer KEY`, None where it is not admitted.

        Compares with every hash, in constant time each.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        asked = _digest(key.strip())
        found = [known for known in self._hashes if hmac.compare_digest(known, asked)]
        return f"key {found[0][:12]}" if found else None


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"the keys file {path} cannot be read: {error}") from None
    hashes = []
    for number, line in enumerate(lines, 1):
        if word := line.partition("#")[0].split()[:1]:
            try:
                hashes.append(key_hash(word[0]))
            except ValueError as error:
                raise UsageError(f"the keys file {path}, line {number}: {error}") from None
    if not hashes:  # it would open the service to everybody
        raise UsageError(f"the keys file {path} holds no key")
    return hashes


class KeyMiddleware:
    """Answers 401 `unauthorised` to a request for inference without a key that is admitted."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets through what needs no key, and notes whose key it is."""
        if scope["type"] == "http" and self.keys and is_inference(scope):
            holder = self.keys.holder(Headers(scope=scope).get("authorization"))
            if holder is None:
                error = UnauthorisedError("This needs a key: send it in the header Authorization, as Bearer KEY.")
                await error_problem(error)(scope, receive, send)
                return
            if record := current_record():
                record.client = holder
        await self.app(scope, receive, send)
