"""What a worker process does: photo files in, prepared files out."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handlens.dataset.files import write_atomically
from handlens.dataset.prepare.localiser import Finder, load_localiser
from handlens.dataset.prepare.picture import make_picture
from handlens.dataset.prepare.settings import PrepareSettings
from handlens.photo import PhotoError

__all__ = ["Job", "Outcome", "Worker", "start_worker", "work"]


@dataclass(frozen=True, slots=True)
class Job:
    """One photo: `file` as downloaded and `target`, both below the workspace. `made`: what an earlier run noted."""

    file: str
    target: str
    made: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a photo: the sha256 of the prepared file, or the `reason` why there is none; box and area as in
    the manifest. `fresh` says that it was made now.
    """

    digest: str = ""
    box: tuple[int, ...] = ()
    area: float | None = None
    reason: str | None = None
    fresh: bool = True


class Worker:
    """Prepares photos of one workspace by one set of settings; the localiser is loaded once."""

    def __init__(self, root: Path, settings: PrepareSettings) -> None:
        self._root, self._settings = root, settings
        self._localiser: Finder | None = load_localiser() if settings.mode == "specimen" else None

    def do(self, job: Job) -> Outcome:
        """Makes the file unless a whole one is there. Raises OSError where it cannot be written."""
        target = self._root / job.target
        if job.made is not None and _digest(target) == job.made.digest:
            return job.made
        try:
            made = make_picture(self._root / job.file, job.file, self._settings, self._localiser)
        except PhotoError as error:
            return Outcome(reason=error.code)
        content = _encoded(made.picture, self._settings)
        write_atomically(target, content)
        return Outcome(hashlib.sha256(content).hexdigest(), made.box, made.area)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _encoded(picture: NDArray[np.uint8], settings: PrepareSettings) -> bytes:
    buffer = io.BytesIO()
    if settings.suffix == "png":
        Image.fromarray(picture).save(buffer, "PNG")
    else:
        # Training looks at colour, so it is not halved (4:4:4).
        Image.fromarray(picture).save(buffer, "JPEG", quality=settings.quality, subsampling=0)
    return buffer.getvalue()


_worker: Worker


def start_worker(root: Path, settings: PrepareSettings) -> None:
    """Makes this process ready for `work`: one thread, and an end with the process that started it."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sees to it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes share the cores already
    _worker = Worker(root, settings)


def work(jobs: Sequence[Job]) -> list[Outcome]:
    """Does some jobs in this worker process."""
    return [_worker.do(job) for job in jobs]


def _end_with_parent() -> None:
    """A worker whose parent was killed waits for work for ever: it holds both ends of the queue it waits at."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
