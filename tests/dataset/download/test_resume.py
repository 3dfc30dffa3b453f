"""Killed at any moment, resumed, and the same in the end; nothing is fetched twice."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tqdm import tqdm

from dataset.download.conftest import ends, quick, told, write_list
from dataset.loopback import (
    PHOTOS,
    Loopback,
    drawn_photo,
    first,
    photo,
    redirect,
    reset,
    some_photos,
    status,
    text,
    without_length,
    wrong_length,
)
from handlens.dataset.download import DownloadSettings, download, state_file
from handlens.dataset.download.saving import recover
from handlens.dataset.download.state import State
from handlens.dataset.errors import DatasetError
from handlens.dataset.workspace import Workspace

KILLS = 20
PACE = 0.04
"""Seconds that the server takes for a photo."""


def run(workspace: Workspace, settings: DownloadSettings) -> None:
    """What the processes do that are killed."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, of which a kill leaves a warning behind
    download(workspace, settings)


@pytest.fixture(scope="module")
def start() -> Callable[[Workspace, DownloadSettings], BaseProcess]:
    """Starts a download as a process of its own; a server process that has the imports behind it forks it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["handlens.dataset.download.stage", "dataset.download.test_resume"])

    def started(workspace: Workspace, settings: DownloadSettings) -> BaseProcess:
        process = context.Process(target=run, args=(workspace, settings), daemon=True)
        process.start()
        return process

    return started


def committed(workspace: Workspace, copy: Path) -> set[str]:
    """The URLs that are fetched according to a copy of the state, as a killed process leaves it."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in workspace.stages.glob("download.sqlite*"):
        shutil.copy(path, copy)
    with sqlite3.connect(copy / "download.sqlite") as database:
        return {url for (url,) in database.execute("SELECT url FROM urls WHERE state = 'fetched'")}


def test_killed_twenty_times_it_ends_as_if_it_had_not_been(
    server: Loopback, tmp_path: Path, start: Callable[[Workspace, DownloadSettings], BaseProcess]
) -> None:
    real, hosts = some_photos(200), ("127.0.0.2", "127.0.0.3")
    contents = {f"/{number}.jpg": real[number] for number in range(len(real))}
    contents |= {f"/{number}.jpg": drawn_photo(number) for number in range(len(real), 450)}
    server.pages |= {path: photo(content, PACE) for path, content in contents.items()}
    server.pages |= {
        "/moved.jpg": redirect("/7.jpg"),
        "/500-once.jpg": first(1, status(500), photo(PHOTOS[0])),
        "/429-once.jpg": first(1, status(429, Retry_After="1"), photo(PHOTOS[1])),
        "/500.jpg": status(500),
        "/404.jpg": status(404),
        "/reset.jpg": reset(),
        "/cut.jpg": reset(PHOTOS[2]),
        "/length.jpg": wrong_length(PHOTOS[3], 7),
        "/once-cut.jpg": first(1, without_length(PHOTOS[4][:-9]), without_length(PHOTOS[4])),
        "/page.jpg": text("<html>no photo</html>"),
        "/noai.jpg": photo(PHOTOS[5], X_Robots_Tag="noai"),
        "/private.jpg": photo(PHOTOS[6]),
        "/robots.txt": text("User-agent: *\nDisallow: /private\n"),
    }
    odd = [path for path in server.pages if path not in contents and path != "/robots.txt"]
    urls = [server.url(path, hosts[place % 2]) for place, path in enumerate(contents)]
    urls[100:100] = [server.url(path, "127.0.0.4") for path in odd] + [server.url("/1.jpg", "127.0.0.9")]
    settings = quick(
        acknowledged=[*hosts, "127.0.0.4"], concurrency=3, max_attempts=3, timeout=2, total_timeout=4, backoff=0.05
    )

    undisturbed, killed = Workspace(tmp_path / "undisturbed"), Workspace(tmp_path / "killed")
    write_list(undisturbed, urls)
    write_list(killed, urls)
    download(undisturbed, settings)
    assert len(set(ends(undisturbed))) == 9
    server.forget()

    chance = random.Random(4)
    fetched_by: list[tuple[float, set[str]]] = []
    for _ in range(KILLS):
        before = len(server.log)
        process = start(killed, settings)
        while len(server.log) == before and process.is_alive():  # until it is at work
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.12))
        assert process.is_alive(), "it was done before it could be killed: the list is too short for this machine"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not killed.table("download").exists()
        time.sleep(2 * PACE)  # what the server had begun ends
        fetched_by.append((time.monotonic(), committed(killed, tmp_path / "copy")))
        whole = {path.stem for path in killed.images.rglob("*.jpg") if not path.name.startswith(".")}
        known = {hashlib.sha256(contents[path]).hexdigest() for path in contents} | {
            hashlib.sha256(content).hexdigest() for content in PHOTOS
        }
        assert whole <= known, "a file in images/ is not whole"
    download(killed, settings)

    assert told(killed) == told(undisturbed)
    assert 100 < len(fetched_by[-1][1]) < len(contents)
    log = server.asked()
    for at, fetched in fetched_by:
        again = {server.url(asked.path, asked.host) for asked in log if asked.at > at} & fetched
        assert not again - {server.url("/7.jpg", "127.0.0.4")}  # where a redirect leads to
    for host in (*hosts, "127.0.0.4"):
        robots = [asked for asked in server.asked(host, robots=True) if asked.path == "/robots.txt" and asked.whole]
        assert len(robots) <= 2  # once, and once more where it was killed between answer and commit
    assert not server.asked("127.0.0.9", robots=True)
    assert {path.name: path.read_bytes() for path in killed.images.rglob("*.jpg")} == {
        path.name: path.read_bytes() for path in undisturbed.images.rglob("*.jpg")
    }
    assert not list(killed.images.glob(".*"))


def test_an_interrupted_run_says_so_and_goes_on(
    server: Loopback, workspace: Workspace, start: Callable[[Workspace, DownloadSettings], BaseProcess]
) -> None:
    server.pages |= {f"/{number}.jpg": photo(drawn_photo(number), 0.02) for number in range(200)}
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(200)])
    process = start(workspace, quick(concurrency=2))
    while len(server.log) < 20:
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode == 0
    assert not workspace.table("download").exists()
    done = {asked.path for asked in server.log if asked.path != "/robots.txt"}
    assert len(done) < 150
    server.forget()
    summary = download(workspace, quick(concurrency=8))
    assert summary.by_status == {"fetched": 200}
    assert len({asked.path for asked in server.asked()} & done) <= 2  # those that were under way
    assert not list(workspace.images.glob(".*"))


def test_two_runs_in_one_workspace_are_one_too_many(server: Loopback, workspace: Workspace) -> None:
    write_list(workspace, [server.url("/a.jpg")])
    with State(state_file(workspace)), pytest.raises(DatasetError, match="at work"):
        download(workspace, quick())


def test_a_state_that_is_no_database_is_an_error_with_a_name(server: Loopback, workspace: Workspace) -> None:
    write_list(workspace, [server.url("/a.jpg")])
    state_file(workspace).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(DatasetError, match=r"download\.sqlite"):
        download(workspace, quick())


def test_what_a_power_cut_took_is_fetched_again_and_nothing_else(server: Loopback, workspace: Workspace) -> None:
    paths = [f"/{number}.jpg" for number in range(6)]
    server.pages |= {path: photo(PHOTOS[number]) for number, path in enumerate(paths)}
    write_list(workspace, [server.url(path) for path in paths])
    download(workspace, quick())
    rows = list(workspace.rows("download"))
    files = [workspace.root / str(row.file) for row in rows]
    with State(state_file(workspace)) as state:
        state.settle(0)  # as if nothing had been put on the disk yet
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(bytes(len(PHOTOS[2])))
    files[3].rename(workspace.images / ".part-4")  # committed, and killed before it was renamed
    (workspace.images / ".part-77").write_bytes(b"half a pho")
    workspace.table("download").unlink()
    server.forget()
    download(workspace, quick())
    assert sorted(asked.path for asked in server.asked()) == paths[:3]
    assert [file.read_bytes() for file in files] == PHOTOS[:6]
    assert not list(workspace.images.glob(".*"))


def test_files_that_are_settled_are_not_read_again(server: Loopback, workspace: Workspace) -> None:
    server.pages["/a.jpg"] = photo(PHOTOS[0])
    write_list(workspace, [server.url("/a.jpg")])
    download(workspace, quick())
    (row,) = workspace.rows("download")
    (workspace.root / str(row.file)).write_bytes(b"")
    with State(state_file(workspace)) as state:
        recover(workspace, state)
        assert state.owed() == 0
