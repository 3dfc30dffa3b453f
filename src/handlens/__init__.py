"""Handlens names the mineral in a photograph of a hand specimen, and says how sure it is."""

from handlens._version import __version__
from handlens.bundle import BadBundleError, Bundle, open_bundle
from handlens.decision import Candidate, Decision
from handlens.errors import HandlensError, UsageError
from handlens.identifier import Identification, Identifier, UnknownLabelError, identify
from handlens.photo import Crop, PhotoError

__all__ = [
    "BadBundleError",
    "Bundle",
    "Candidate",
    "Crop",
    "Decision",
    "HandlensError",
    "Identification",
    "Identifier",
    "PhotoError",
    "UnknownLabelError",
    "UsageError",
    "__version__",
    "identify",
    "open_bundle",
]
