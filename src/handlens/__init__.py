"""Handlens names the mineral in a photograph of a hand specimen, and says how sure it is."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final

from handlens._version import __version__

if TYPE_CHECKING:
    from handlens.bundle import BadBundleError, Bundle, open_bundle
    from handlens.decision import Candidate, Decision
    from handlens.errors import HandlensError, MissingExtraError, UsageError
    from handlens.evidence import BadEvidenceError, Evidence, Gravity, Hardness
    from handlens.identification import Identification
    from handlens.identifier import Identifier, UnknownLabelError, identify
    from handlens.photo import Crop, PhotoError

__all__ = [
    "BadBundleError",
    "BadEvidenceError",
    "Bundle",
    "Candidate",
    "Crop",
    "Decision",
    "Evidence",
    "Gravity",
    "HandlensError",
    "Hardness",
    "Identification",
    "Identifier",
    "MissingExtraError",
    "PhotoError",
    "UnknownLabelError",
    "UsageError",
    "__version__",
    "identify",
    "open_bundle",
]

# ONNX Runtime (seen with 1.32 on Linux) otherwise keeps an id of the machine and a database of events in the user's
# folder; its library has an address to report them to. It reads this when it is imported, so it is said here, before
# any part of Handlens does that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES: Final = {
    "bundle": ("BadBundleError", "Bundle", "open_bundle"),
    "decision": ("Candidate", "Decision"),
    "errors": ("HandlensError", "MissingExtraError", "UsageError"),
    "evidence": ("BadEvidenceError", "Evidence", "Gravity", "Hardness"),
    "identification": ("Identification",),
    "identifier": ("Identifier", "UnknownLabelError", "identify"),
    "photo": ("Crop", "PhotoError"),
}


def __getattr__(name: str) -> Any:
    # Names are fetched when first used (PEP 562), so that a part such as handlens.minerals does not load the runtime.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"handlens.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
