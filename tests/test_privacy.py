"""Nothing is kept or told of the use of Handlens: no file in the user's folder, no connection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment

EXAMPLE = Path(__file__).parents[1] / "examples" / "drawn-amethyst.png"
WATCHED = """
import socket, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"asks for {arguments}")

sys.addaudithook(refuse)
from handlens.cli.main import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("arguments", [("identify", str(EXAMPLE)), ("doctor",), ("bundle", "verify")])
def test_nothing_is_written_to_the_users_folder(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = environment(HOME=str(home), XDG_CACHE_HOME="", XDG_DATA_HOME="", XDG_CONFIG_HOME="", TMPDIR=str(tmp_path))
    own.pop("ORT_DISABLE_TELEMETRY", None)
    before = set(tmp_path.rglob("*"))
    found = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], env=own, capture_output=True, text=True, timeout=120, check=False
    )
    assert "asks for" not in found.stderr
    assert found.returncode == 0, found.stderr
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_runtime_opens_no_connection(tmp_path: Path) -> None:
    """The runtime's own threads are not seen by Python: its open files are looked at."""
    code = (
        "import os, time\n"
        "from handlens import identify\n"
        f"identify({str(EXAMPLE)!r})\n"
        "time.sleep(1)\n"
        "print(*(os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') "
        "if os.path.islink(f'/proc/self/fd/{fd}')), sep='\\n')\n"
    )
    own = environment(HOME=str(tmp_path))
    own.pop("ORT_DISABLE_TELEMETRY", None)
    found = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True, timeout=120, check=True
    )
    opened = found.stdout.splitlines()
    assert opened
    assert [name for name in opened if "socket" in name or ".onnxruntime" in name] == []
    assert list(tmp_path.iterdir()) == []


def test_who_wants_the_runtimes_reports_can_have_them() -> None:
    code = "import os, handlens; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, wanted in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        own = {name: text for name, text in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | given
        found = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == wanted
