"""`handlens` itself: one list of names, each of which is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import handlens


def test_every_public_name_is_there() -> None:
    for name in handlens.__all__:
        assert getattr(handlens, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Mineraloid'"):
        _ = handlens.Mineraloid


def test_every_name_of_a_type_checker_is_fetched_too() -> None:
    fetched = {name for names in handlens._HOMES.values() for name in names}
    assert fetched | {"__version__"} == set(handlens.__all__)


def test_the_version_needs_no_runtime() -> None:
    code = (
        "import sys, handlens; assert handlens.__version__; print('onnxruntime' in sys.modules, 'PIL' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
