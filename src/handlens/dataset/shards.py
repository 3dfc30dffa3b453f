"""A part of a stage's work: `--shard 2/5` is the second of five machines."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from handlens.errors import UsageError

__all__ = ["WHOLE", "Shard"]

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` (1 to `count`) of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads "i/n", 1 <= i <= n. Raises UsageError."""
        match = _FORM.fullmatch(text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text}: give part and parts, for example 2/5")
        return cls(int(match[1]), int(match[2]))

    def owns(self, key: str) -> bool:
        """Whether the work named by `key` (a host, a content hash, a row's id) falls to this part.

        The same key falls to the same part on every machine: the first 8 bytes of its sha256, modulo `count`.
        """
        if self.count == 1:
            return True
        number = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big")
        return number % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard(1, 1)
"""All of the work."""
