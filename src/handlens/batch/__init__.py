"""Many photos: a run that survives what happens to it (extra `batch`).

`run_batch` is the function; `handlens batch` is thin above it. `journal` describes the files on disk.
"""

from __future__ import annotations

from handlens.batch.answering import Asked
from handlens.batch.run import BatchSettings, run_batch

__all__ = ["Asked", "BatchSettings", "run_batch"]
