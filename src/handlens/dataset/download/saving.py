"""Files and rows: what makes a kill harmless.

On disk, below the workspace:

    images/ab/ab12....jpg     a photo, named by the sha256 of its content; it only ever appears by being renamed
    images/.part-123          the photo of URL number 123 while it is received and until its row is committed
    stages/download.sqlite    the rows, see `state`; with -wal beside it while a run is at work or after a kill

A photo is written to its part file; then its row, which holds the sha256, is committed; then the part file is renamed.
So a photo in images/ always has its row, and at a SIGKILL there are three cases. No row: the part file, whole or not,
is deleted and the URL asked again; that is a photo of which the last bytes came within the last milliseconds. A row and
a part file: the part file is renamed when the next run starts. A row and a photo: nothing is to do.

A power cut can also take what the system had not yet put on the disk. Everything is put there (`sync`) twice a minute
and noted; `recover` checks size and sha256 of the files written after the last note, and only of those. One call for
many files costs a thousandth of an fsync for each, and a row that is lost costs one more request.

Part files are written by a few threads. Rows are committed, and part files renamed, between two turns of the event
loop, in its own thread: what one turn has brought is one commit, so that a busy run commits many rows at once and a
slow one does not wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from handlens.dataset.download.content import EXTENSIONS, Answer, Body, ends_before_its_picture, kind_of
from handlens.dataset.download.reasons import NotFetched
from handlens.dataset.download.settings import DownloadSettings
from handlens.dataset.download.state import BAD, LOCAL, Job, State
from handlens.dataset.errors import DatasetError
from handlens.dataset.files import TEMPORARY_PREFIX, file_digest, link_or_copy
from handlens.dataset.workspace import Workspace
from handlens.photo_errors import ImageTooLargeError, PhotoError
from handlens.photo_source import path_bytes

__all__ = ["Saver", "recover"]

_Result = TypeVar("_Result")
_WRITERS: Final = 8
"""Threads: to make a file takes a busy disk a millisecond or two, of which the system does several at once."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A photo's file below the workspace, its sha256 and size, and whether its part file is to be renamed."""

    file: str
    sha256: str
    size: int
    is_new: bool


def recover(workspace: Workspace, state: State) -> None:
    """Puts in order what a killed run, or a power cut, left; nothing else may be at work. Raises OSError."""
    batch = state.next_batch() - 1
    for number, file, sha256, size in state.unsettled():
        photo, part = workspace.root / file, workspace.images / f"{TEMPORARY_PREFIX}{number}"
        if _is(photo, sha256, size):
            continue
        if _is(part, sha256, size):
            photo.parent.mkdir(parents=True, exist_ok=True)
            part.replace(photo)
        else:
            photo.unlink(missing_ok=True)
            state.lost(number)
    for left in workspace.images.glob(f"{TEMPORARY_PREFIX}*"):
        left.unlink()
    os.sync()
    state.settle(batch)


def _is(path: Path, sha256: str, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size and file_digest(path) == sha256


class Saver:
    """Writes files and rows, many to a commit; for one event loop.

    Raises OSError and DatasetError where the disk or the state fails: then everything of that commit is undone.
    """

    def __init__(self, workspace: Workspace, state: State, settings: DownloadSettings, later: int = 0) -> None:
        """`later`: what to add to the number of the batch, so that another process does not take it for settled."""
        workspace.images.mkdir(parents=True, exist_ok=True)
        self._state = state
        self._settings = settings
        self._writers = ThreadPoolExecutor(_WRITERS, "writer")
        self._queue: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._is_called = False
        self._batch = state.next_batch() + later
        self._root = str(workspace.root)
        self._images = workspace.images.relative_to(workspace.root).as_posix()
        self._moves: list[tuple[str, str]] = []
        self._folders: set[str] = set()
        self._cut: dict[int, str] = {}
        self.bytes = 0

    def part_file(self, job: Job) -> str:
        """Where the photo of a URL is until its row is committed."""
        return f"{self._root}/{self._images}/{TEMPORARY_PREFIX}{job.number}"

    async def call(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """The result of `work(*arguments)`, done after everything called before, and committed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()
        self._queue.append((lambda: work(*arguments), future))
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._work_off)
        return await future

    async def keep(self, job: Job, answer: Answer) -> None:
        """Keeps a photo: file and row are whole when this returns. Closes its body.

        Raises NotFetched where the content is none that is wanted. `cut-short` is raised for a picture that ends before
        its structure says, but once only: where the same bytes come again, that is the file, and a matter of `check`.
        """
        if answer.body is None:
            await self.call(self._state.unchanged, job)
            return
        loop = asyncio.get_running_loop()
        written = await loop.run_in_executor(self._writers, self._write, job, answer.body, answer.status)
        await self.call(self._keep, job, answer, written)

    async def bring_in(self, job: Job) -> None:
        """Keeps a photo of an own folder. Raises NotFetched where it cannot be read or is no photo, or is no path."""
        await self.call(self._bring_in, job)

    def close(self) -> None:
        """Waits until the files that are being written are."""
        self._writers.shutdown()

    async def settle(self) -> None:
        """Puts everything kept so far on the disk, beside the work, and notes that."""
        batch = await self.call(lambda: self._batch)
        self._batch += 1
        await asyncio.to_thread(os.sync)
        await self.call(self._state.settle, batch)

    def _work_off(self) -> None:
        self._is_called = False
        works, self._queue = self._queue, []
        ended: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            with self._state.together():
                for work, future in works:
                    try:
                        ended.append((future, work(), None))
                    except NotFetched as error:
                        ended.append((future, None, error))
            for part, photo in self._moves:
                os.replace(part, photo)  # noqa: PTH105
        except OSError as error:
            ended = [(future, None, error) for _, future in works]
        except sqlite3.Error as error:
            failure = DatasetError(f"the state of the download cannot be written: {error}")
            ended = [(future, None, failure) for _, future in works]
        self._moves.clear()
        _tell(ended)

    def _write(self, job: Job, body: Body, status: int) -> _Written:
        """What a writing thread does with a body: looks at it, and leaves it in its part file where it is new."""
        try:
            data = body.data()
            kind = kind_of(data, self._settings)
            sha256 = hashlib.sha256(data).hexdigest()
            if ends_before_its_picture(data, kind) and self._cut.pop(job.number, None) != sha256:
                self._cut[job.number] = sha256
                raise NotFetched("cut-short", "the picture ends early", http_status=status)
            file = self._place(sha256, kind)
            is_new = not os.path.isfile(f"{self._root}/{file}")  # noqa: PTH113
            if is_new:
                body.leave()
            return _Written(file, sha256, len(data), is_new)
        finally:
            body.close()

    def _keep(self, job: Job, answer: Answer, written: _Written) -> None:
        if written.is_new:
            self._moves.append((self.part_file(job), f"{self._root}/{written.file}"))
        self._note(job, written.file, written.sha256, written.size, answer)

    def _bring_in(self, job: Job) -> None:
        if not job.url.startswith(LOCAL):
            raise NotFetched("bad-url", f"{job.url.removeprefix(BAD)[:200]!r} is no http or https address")
        path = Path(job.url.removeprefix(LOCAL))
        try:
            data = path_bytes(path, path.name, self._settings.max_bytes)
        except PhotoError as error:
            word = "too-large" if isinstance(error, ImageTooLargeError) else error.code
            raise NotFetched(word, error.detail) from error
        sha256 = hashlib.sha256(data).hexdigest()
        file = self._place(sha256, kind_of(data, self._settings))
        photo = Path(self._root, file)
        if not photo.is_file():
            link_or_copy(path.resolve(), photo)
        self._note(job, file, sha256, len(data), None)

    def _place(self, sha256: str, kind: str) -> str:
        """Where a photo belongs, below the workspace; its folder is made."""
        folder = f"{self._images}/{sha256[:2]}"
        if folder not in self._folders:
            Path(self._root, folder).mkdir(exist_ok=True)
            self._folders.add(folder)
        return f"{folder}/{sha256}.{EXTENSIONS[kind]}"

    def _note(self, job: Job, file: str, sha256: str, size: int, answer: Answer | None) -> None:
        self.bytes += size
        self._state.fetched(
            job,
            status=answer.status if answer else None,
            file=file,
            sha256=sha256,
            size=size,
            etag=answer.etag if answer else None,
            last_modified=answer.last_modified if answer else None,
            final_url=answer.url if answer else None,
            fetched_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            batch=self._batch,
        )


def _tell(ended: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in ended:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
