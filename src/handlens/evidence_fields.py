"""The fields that evidence is typed into, the same at the command line and over HTTP → Evidence."""

from __future__ import annotations

from collections.abc import Sequence

from handlens.evidence import BadEvidenceError, Evidence

__all__ = ["evidence_of_fields"]


def evidence_of_fields(
    *,
    hardness: str | None = None,
    streak: str | None = None,
    gravity: str | None = None,
    tests: Sequence[str] = (),
) -> Evidence | None:
    """Evidence as `Evidence.of` takes it, with `tests` as NAME=VALUE; None where nothing is given.

    Raises BadEvidenceError, also for what is blank or given twice.
    """
    named = {"hardness": hardness, "streak": streak, "gravity": gravity}
    given = {name: text for name, text in named.items() if text is not None}
    for test in tests:
        name, equals, text = test.partition("=")
        name = name.strip().casefold()
        if not equals or not name:
            raise BadEvidenceError(f"test {test[:40]!r}: write it as NAME=VALUE, for example acid=none")
        if name in given:
            raise BadEvidenceError(f"{name[:40]} is given twice")
        given[name] = text
    if blank := [name for name, text in given.items() if not text.strip()]:
        raise BadEvidenceError(f"{blank[0][:40]} has no value")
    return Evidence.of(given) if given else None
