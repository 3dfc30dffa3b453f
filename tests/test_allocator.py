"""One heap for all threads, and blocks that are kept. What that saves benchmarks/memory.py and service.py measure."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from handlens.allocator import keep_bodies, keep_one_arena

HEAPS = """
import ctypes, sys, threading
from handlens.allocator import keep_one_arena
if sys.argv[1] == "one":
    assert keep_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
together = threading.Barrier(6)
def hold():
    together.wait()
    for _ in range(100):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=hold) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


FAULTS = """
import resource, sys
from handlens.allocator import keep_bodies
if sys.argv[1] == "kept":
    assert keep_bodies()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def body():
    held = [b"x" * (20 << 20) for _ in range(2)]
    held.clear()
body()
begun = faults()
for _ in range(10):
    body()
print(faults() - begun)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc: there is no mallopt")


def heaps(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", HEAPS, how], check=True, capture_output=True, text=True)
    return done.stdout.count("<heap nr=")


def page_faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)


@glibc
def test_threads_share_one_heap() -> None:
    assert heaps("one") == 1
    assert heaps("many") > 1


@glibc
def test_freed_blocks_are_used_again() -> None:
    assert 10 * page_faults("kept") < page_faults("returned")


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_one_arena()
    assert not keep_bodies()
