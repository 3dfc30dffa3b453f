"""What can go wrong with a batch run as a whole; what is wrong with one photo is a row of its table."""

from __future__ import annotations

from handlens.errors import HandlensError, UsageError

__all__ = [
    "BadSourceError",
    "BatchError",
    "JournalError",
    "MixedRunError",
    "NoIndexError",
    "RunBusyError",
    "WorkersError",
]


class BatchError(HandlensError):
    """A batch run cannot begin or go on (`bad-batch`)."""

    code = "bad-batch"


class BadSourceError(BatchError, UsageError):
    """There is no photo in the source, or it cannot be listed (`bad-source`)."""

    code = "bad-source"


class MixedRunError(BatchError, UsageError):
    """The folder holds a run with other parameters (`mixed-run`); the detail names them."""

    code = "mixed-run"


class JournalError(BatchError):
    """The run's own files cannot be read or written, as on a full disk (`journal-failed`); the run can be resumed."""

    code = "journal-failed"


class RunBusyError(BatchError):
    """Another process works on this run (`run-busy`)."""

    code = "run-busy"


class WorkersError(BatchError):
    """No worker process can be started (`no-workers`)."""

    code = "no-workers"


class NoIndexError(BatchError, UsageError):
    """The run keeps no embeddings (`no-index`)."""

    code = "no-index"


class NoRunError(BatchError, UsageError):
    """There is no run in the folder (`no-run`)."""

    code = "no-run"
