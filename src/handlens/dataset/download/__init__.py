"""Download: asks for the photos of the list, politely, and remembers of each what became of it.

`download` is the stage, `plan` says what it would do. Every request passes through `asking`; what is allowed is the
matter of `addresses`, `robots`, `robots_tag` and the settings, how often of `politeness`; what makes it resume is told
in `saving` and `state`; the words for what is not fetched are in `reasons`.
"""

from handlens.dataset.download.plan import HostPlan, Plan
from handlens.dataset.download.reasons import REASONS, Reason, reason_of
from handlens.dataset.download.report import DownloadSummary, failure_table
from handlens.dataset.download.settings import DownloadSettings, HostSettings
from handlens.dataset.download.stage import download, plan
from handlens.dataset.download.state import state_file

__all__ = [
    "REASONS",
    "DownloadSettings",
    "DownloadSummary",
    "HostPlan",
    "HostSettings",
    "Plan",
    "Reason",
    "download",
    "failure_table",
    "plan",
    "reason_of",
    "state_file",
]
