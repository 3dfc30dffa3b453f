"""The state of a training: whole or not there; a full disk is told and loses nothing."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlens.training.fitting.state import FILE, DiskFullError, State, read_state, write_state


def state(epochs: int = 2) -> State:
    rng = np.random.default_rng(epochs)
    return State(
        fingerprint="abc",
        weights=[rng.normal(size=(3, 4)).astype(np.float32), np.ones(2, np.float32)],
        optimizer=[np.array(7, np.int64), rng.normal(size=4)],
        best=[np.zeros((3, 4), np.float32)],
        history=tuple({"epoch": number + 1, "loss": 1.5, "val_loss": float("inf")} for number in range(epochs)),
        callbacks={"EarlyStopping": {"best": 0.25, "wait": 3}},
        stopped=False,
    )


def same(ours: State | None, theirs: State) -> bool:
    return (
        ours is not None
        and all(
            len(one) == len(two)
            and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, two, strict=True))
            for one, two in (
                (ours.weights, theirs.weights),
                (ours.optimizer, theirs.optimizer),
                (ours.best, theirs.best),
            )
        )
        and (ours.history, ours.callbacks, ours.fingerprint) == (theirs.history, theirs.callbacks, theirs.fingerprint)
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write_state(tmp_path, state())
    assert same(read_state(tmp_path), state())
    write_state(tmp_path, state(5))
    assert same(read_state(tmp_path), state(5))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("cut", [0, 10, 400, -1])
def test_a_damaged_state_is_none(tmp_path: Path, cut: int) -> None:
    write_state(tmp_path, state())
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:cut])
    assert read_state(tmp_path) is None


def test_a_full_disk_is_told_and_the_state_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, state(2))

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("handlens.training.fitting.state.np.savez", full)
    with pytest.raises(DiskFullError, match="goes on after epoch 2"):
        write_state(tmp_path, state(3))
    monkeypatch.undo()
    assert same(read_state(tmp_path), state(2))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
