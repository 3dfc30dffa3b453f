"""Several processes for hosts without a limit of rate, and one for all others."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from commands import environment
from dataset.download.conftest import ends, quick, write_list
from dataset.loopback import Loopback, drawn_photo, first, photo, redirect, status
from handlens.dataset.download import HostSettings, download, processes, state_file
from handlens.dataset.errors import DatasetError
from handlens.dataset.workspace import Workspace

RUN = """
import sys
from pathlib import Path
from handlens.dataset.download import DownloadSettings, download
from handlens.dataset.workspace import Workspace
download(Workspace(Path(sys.argv[1])), DownloadSettings.model_validate_json(sys.argv[2]))
"""


def test_two_processes_fetch_everything_once(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(drawn_photo(number), 0.02) for number in range(120)}
    server.pages |= {
        "127.0.0.1/moved.jpg": redirect(server.url("/3.jpg", "127.0.0.2")),
        "/once.jpg": first(1, status(500), photo(drawn_photo(500))),
    }
    hosts = {
        "127.0.0.1": HostSettings(terms_acknowledged=True, rate=0, concurrency=8),
        "127.0.0.2": HostSettings(terms_acknowledged=True, rate=20, concurrency=1),
    }
    paths = [*(f"/{number}.jpg" for number in range(120)), "/once.jpg", "/gone.jpg", "/moved.jpg"]
    write_list(
        workspace, [*map(server.url, paths), server.url("/1.jpg", "127.0.0.2"), server.url("/2.jpg", "127.0.0.2")]
    )
    summary = download(workspace, quick(hosts=hosts, processes=2))
    fetched = ("fetched", None)
    assert ends(workspace) == [fetched] * 121 + [("failed", "http-404"), fetched, fetched, fetched]
    assert summary.photos == 124
    asked = Counter(f"{entry.host}{entry.path}" for entry in server.asked())
    # The redirect leads to a host for one process: it is asked for again when the helper is done.
    assert {path: times for path, times in asked.items() if times > 1} == {
        "127.0.0.1/once.jpg": 2,
        "127.0.0.1/moved.jpg": 2,
    }
    slow = [entry.at for entry in server.asked("127.0.0.2", robots=True)]
    assert slow[-1] - slow[0] >= (len(slow) - 1) / 20 - 0.1
    server.forget()
    download(workspace, quick(hosts=hosts, processes=2))
    assert not server.log


def test_a_helper_ends_with_the_run_that_is_killed(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(drawn_photo(number), 0.03) for number in range(200)}
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(200)])
    settings = quick(processes=2, concurrency=4)
    command = [sys.executable, "-c", RUN, str(workspace.root), settings.model_dump_json()]
    process = subprocess.Popen(command, env=environment())
    while len(server.log) < 60 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = os.open(state_file(workspace).with_suffix(".lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # comes about when the helper is gone
    os.close(lock)
    asked = len(server.log)
    time.sleep(0.3)
    assert len(server.log) <= asked + 4  # what the server had begun ends
    assert download(workspace, settings).by_status == {"fetched": 200}
    again = Counter(entry.path for entry in server.asked())
    assert sum(times - 1 for times in again.values()) <= 4 + 4  # those under way in the process that was killed


def test_an_interrupted_run_stops_its_helper(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(drawn_photo(number), 0.03) for number in range(200)}
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(200)])
    settings = quick(processes=2, concurrency=4)
    command = [sys.executable, "-c", RUN, str(workspace.root), settings.model_dump_json()]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    while len(server.log) < 40 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (0, b"")
    assert not workspace.table("download").exists()
    asked = len(server.log)
    assert asked < 190
    time.sleep(0.2)
    assert len(server.log) == asked
    assert download(workspace, settings).by_status == {"fetched": 200}


def test_two_runs_with_helpers_are_one_too_many(
    server: Loopback, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_WAIT", 0.1)
    write_list(workspace, [server.url("/a.jpg")])
    lock = os.open(state_file(workspace).with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(DatasetError, match="at work"):
        download(workspace, quick(processes=2))
    os.close(lock)
