"""`handlens serve` as a process: what it says, how it stops, several workers, bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from handlens.service.keys import new_key
from handlens.service.serve import network_threads
from handlens.service.settings import Settings
from service.running import JPEG, check_problem, connected, drawn, encoded, metric, read_answer

PHOTO = {"photos": ("a.jpg", JPEG)}
LARGE = {"photos": ("large.png", encoded(drawn(size=(2000, 1500)), "PNG"))}
"""Takes long enough to be decoded, as a PNG is read at its full size, that others wait meanwhile."""


@dataclass
class Served:
    """A running `handlens serve`."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> tuple[int, str, str]:
        """Tells it to stop; its status and what it wrote since it began to listen."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=100)
        return self.process.returncode, out, err


# A job in the background of a shell is born with interrupts ignored: the tests may be one.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from handlens.cli.main import main; raise SystemExit(main())"
)
COMMAND = [sys.executable, "-c", MAIN, "serve", "--port", "0"]


def environment(settings: dict[str, str]) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HANDLENS_")}
    return others | {f"HANDLENS_{name.upper()}": value for name, value in settings.items()}


@contextlib.contextmanager
def served(*arguments: str, **settings: str) -> Iterator[Served]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*COMMAND, *arguments], env=environment(settings), stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stdout
        found = re.fullmatch(r"Handlens listens on http://\S+:(\d+)/\n", process.stdout.readline())
        assert found, process.communicate(timeout=20)
        yield Served(process, f"http://127.0.0.1:{found[1]}")
    finally:
        process.kill()
        process.communicate()


@dataclass
class Load:
    """Clients that send photos one after another until the service takes no more of them."""

    address: str
    answered: dict[str, int] = field(default_factory=dict)
    first: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def send(self, name: str) -> None:
        for number in range(10_000):
            request_id = f"{name}-{number}"
            try:
                answer = httpx.post(
                    f"{self.address}/v1/identify", files=LARGE, headers={"x-request-id": request_id}, timeout=100
                )
            except httpx.TransportError:
                return
            assert answer.headers["x-request-id"] == request_id
            assert answer.status_code != 200 or answer.json()["decision"]
            self.answered[request_id] = answer.status_code
            self.first.release()


def test_told_to_stop_under_load_it_answers_what_it_took_and_exits_well(tiny_bundle: Path) -> None:
    settings = {"max_concurrent": "1", "metrics": "1"}
    with served("--bundle", str(tiny_bundle), "--log-format", "json", **settings) as service:
        load = Load(service.address)
        clients = [threading.Thread(target=load.send, args=(f"client{place}",)) for place in range(6)]
        for client in clients:
            client.start()
        for _ in range(8):
            assert load.first.acquire(timeout=150)
        before = set(load.answered)
        # All clients may be between two photos where they share a processor with others.
        with httpx.Client(base_url=service.address) as watcher:
            deadline = time.monotonic() + 60
            while metric(watcher, "handlens_queue_length") < 1:
                assert time.monotonic() < deadline, "no photo ever waits"
        status, out, err = service.stop()
        for client in clients:
            client.join(60)
    assert (status, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert all("request_id" in line for line in lines), [line for line in lines if "request_id" not in line]
    taken = {line["request_id"]: line["status"] for line in lines if line["route"] != "/metrics"}
    # Whatever it took it answered whole, with 200, and the client has that answer.
    assert taken == load.answered
    assert set(taken.values()) == {200}
    assert set(taken) > before
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service.address}/livez")


def test_told_to_stop_it_ends_idle_connections_and_half_heads(tiny_bundle: Path) -> None:
    with (
        served("--bundle", str(tiny_bundle)) as service,
        connected(service.address) as idle,
        connected(service.address) as half,
    ):
        idle.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(idle).status_code == 200
        half.sendall(b"GET /livez HTT")
        assert service.stop() == (0, "", "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_stops_as_well(tiny_bundle: Path, workers: str) -> None:
    with served("--bundle", str(tiny_bundle), "--workers", workers) as service:
        assert httpx.get(f"{service.address}/livez").status_code == 200
        service.process.send_signal(signal.SIGINT)
        assert service.process.communicate(timeout=60) == ("", "")
        assert service.process.returncode == 130


def test_several_workers_share_settings_and_keys(tiny_bundle: Path) -> None:
    key, line = new_key()
    headers = {"authorization": f"Bearer {key}"}
    with served("--bundle", str(tiny_bundle), "--workers", "2", keys=line, log_format="json") as service:
        url = f"{service.address}/v1/identify"
        errors = service.process.stderr
        assert errors

        def status(headers: dict[str, str]) -> int:
            # Each on a connection of its own, which any worker may take.
            return httpx.post(url, files=PHOTO, headers=headers, timeout=100).status_code

        workers: set[str] = set()
        deadline = time.monotonic() + 120
        with ThreadPoolExecutor(4) as pool:
            while len(workers) < 2:  # the digest of a client is another one in each process
                assert time.monotonic() < deadline, "one worker takes all requests"
                answers = [pool.submit(status, headers) for _ in range(4)]
                assert [answer.result() for answer in answers] == [200] * 4
                workers |= {json.loads(errors.readline())["client"] for _ in range(4)}
            answers = [pool.submit(status, {}) for _ in range(8)]
            assert [answer.result() for answer in answers] == [401] * 8
        assert {json.loads(errors.readline())["status"] for _ in range(8)} == {401}
        assert service.stop() == (0, "", "")


@pytest.mark.parametrize(
    ("host", "keys", "warns"), [("127.0.0.1", False, False), ("0.0.0.0", False, True), ("0.0.0.0", True, False)]
)
def test_open_to_other_machines_without_keys_it_warns_once(
    tiny_bundle: Path, host: str, keys: bool, warns: bool
) -> None:
    settings = {"keys": new_key()[1]} if keys else {}
    with served("--bundle", str(tiny_bundle), "--host", host, **settings) as service:
        assert httpx.get(f"{service.address}/livez").status_code == 200
        status, _, err = service.stop()
    assert status == 0
    assert len(err.splitlines()) == warns
    assert ("no keys are set" in err) == warns


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of another process is read from /proc")
def test_endless_bodies_do_not_take_memory(tiny_bundle: Path) -> None:
    head = (
        b"POST /v1/identify HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=edge\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    part = b'--edge\r\ncontent-disposition: form-data; name="photos"; filename="a"\r\n\r\n'
    piece = b"40000\r\n" + bytes(2**18) + b"\r\n"
    with served("--bundle", str(tiny_bundle), max_body_bytes=str(4 * 2**20), head_timeout="30") as service:
        assert httpx.post(f"{service.address}/v1/identify", files=PHOTO, timeout=60).status_code == 200
        before = most_memory(service.process.pid)
        for _ in range(3):
            with connected(service.address) as connection:
                connection.sendall(head + f"{len(part):x}\r\n".encode() + part + b"\r\n")
                for _ in range(400):  # 100 MiB
                    connection.sendall(piece)
                check_problem(read_answer(connection), 413, "body-too-large")
        assert most_memory(service.process.pid) - before < 32 * 2**20
        assert httpx.post(f"{service.address}/v1/identify", files=PHOTO, timeout=60).status_code == 200


def most_memory(process: int) -> int:
    """The most bytes that a process has held so far."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--workers", "0"), {}, "workers"),
        ((), {"keys_file": "/nowhere"}, "the keys file /nowhere cannot be read"),
        (("--workers", "2"), {"keys_file": "/nowhere"}, "the keys file /nowhere cannot be read"),
        (("--settings", "/nowhere.toml"), {}, "the settings file /nowhere.toml cannot be read"),
        ((), {"trusted_host": "a"}, "HANDLENS_TRUSTED_HOST is no setting"),
    ],
)
def test_what_is_set_wrongly_is_said_and_nothing_is_served(
    arguments: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment(settings), capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("processors", "settings", "threads"),
    [(2, {}, 1), (8, {}, 4), (8, {"workers": 2}, 2), (8, {"workers": 16}, 1), (3, {"max_concurrent": 1}, 3)],
)
def test_photos_side_by_side_share_the_processors(processors: int, settings: dict[str, int], threads: int) -> None:
    assert network_threads(Settings.model_validate(settings), processors) == threads
