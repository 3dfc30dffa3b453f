"""Training: it learns, it stops, it goes on after a kill exactly where it was."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from commands import KILL_AFTER
from handlens.training.fitting import loop
from handlens.training.fitting.loop import DivergedError, Fitted, OtherTrainingError, fit, logits_of
from handlens.training.fitting.parts import split_places
from handlens.training.fitting.pictures import Pictures
from handlens.training.fitting.settings import FitSettings
from handlens.training.fitting.state import read_state, write_state
from training.fitting.drawn import SMALL, small_pictures

CHILD = """
import os, signal, sys
from pathlib import Path
from handlens.training.fitting.batches import TrainingBatches
from training.fitting.test_loop import SMALL, train
from training.fitting.drawn import small_pictures
epoch, step = map(int, sys.argv[2:4])
batch = TrainingBatches.batch
def deadly(self, at_epoch, at_step):
    if (at_epoch, at_step) == (epoch, step):
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(self, at_epoch, at_step)
TrainingBatches.batch = deadly
train(Path(sys.argv[1]) / "run", small_pictures(Path(sys.argv[1])), SMALL)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return small_pictures(tmp_path_factory.mktemp("loop"))


def train(folder: Path, pictures: Pictures, settings: FitSettings) -> Fitted:
    learnt, valid = split_places(pictures.samples, settings)
    return fit(folder, pictures, learnt, valid, settings, quiet=True)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def same_but_for_seconds(one: list[dict[str, str]], two: list[dict[str, str]]) -> bool:
    return [row | {"seconds": ""} for row in one] == [row | {"seconds": ""} for row in two]


def test_a_killed_training_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    """SIGKILL in the middle of the second and of the fourth epoch; weights, history and answers are compared."""
    folder = tmp_path / "killed"
    folder.mkdir()
    for epoch, step in ((1, 2), (3, 1)):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(folder), str(epoch), str(step)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            timeout=KILL_AFTER,
        )
        assert done.returncode == -9, done.stderr.decode()
        kept = read_state(folder / "run")
        assert kept is not None
        assert len(kept.history) == epoch
        assert len(rows(folder / "run")) == epoch
    pictures = small_pictures(folder)
    resumed = train(folder / "run", pictures, SMALL)
    undisturbed = train(tmp_path / "undisturbed", pictures, SMALL)
    for ours, theirs in zip(resumed.net.get_weights(), undisturbed.net.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert same_but_for_seconds(rows(folder / "run"), rows(tmp_path / "undisturbed"))
    assert len(rows(folder / "run")) == SMALL.epochs


def test_a_training_with_its_callbacks_half_way_goes_on(pictures: Pictures, tmp_path: Path) -> None:
    """Rate and patience are remembered too: an interrupted training of many epochs stops in the same one."""
    settings = SMALL.but(epochs=12, patience=2, rate=0.05)
    whole = train(tmp_path / "whole", pictures, settings)
    assert len({row["learning_rate"] for row in rows(tmp_path / "whole")}) >= 1
    for stop in (1, 3):

        def interrupt(state_folder: Path, state: Any, stop: int = stop) -> None:
            write_state(state_folder, state)
            if len(state.history) == stop:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "write_state", interrupt)
            with pytest.raises(KeyboardInterrupt):
                train(tmp_path / "cut", pictures, settings)
    cut = train(tmp_path / "cut", pictures, settings)
    assert same_but_for_seconds(rows(tmp_path / "cut"), rows(tmp_path / "whole"))
    assert cut.record["best_epoch"] == whole.record["best_epoch"]
    for ours, theirs in zip(cut.net.get_weights(), whole.net.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_kill_after_the_last_epoch_loses_no_line_of_the_history(pictures: Pictures, tmp_path: Path) -> None:
    settings = SMALL.but(epochs=2)
    with pytest.MonkeyPatch.context() as patch:

        def killed(path: Path, lines: Any) -> None:
            if len(lines) == 2:
                raise KeyboardInterrupt
            whole(path, lines)

        whole = loop._write_history
        patch.setattr(loop, "_write_history", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, pictures, settings)
    assert len(rows(tmp_path)) == 1
    train(tmp_path, pictures, settings)
    assert len(rows(tmp_path)) == 2


def test_it_learns_and_keeps_the_best_epoch(pictures: Pictures, tmp_path: Path) -> None:
    settings = SMALL.but(epochs=25, augment=("flip",), optimizer="adamw", schedule="cosine", rate=3e-3)
    done = train(tmp_path, pictures, settings)
    history = rows(tmp_path)
    assert len(history) == 25
    assert float(history[-1]["loss"]) < float(history[0]["loss"]) / 2
    rates = [float(row["learning_rate"]) for row in history]
    assert max(rates) == pytest.approx(3e-3, rel=0.1)
    assert rates[-1] < 1e-3
    best = min(history, key=lambda row: float(row["val_loss"]))
    assert done.record["best_epoch"] == int(best["epoch"])
    _, valid = split_places(pictures.samples, settings)
    truth = [done.labels.index(pictures.samples[place].label) for place in valid]
    right = logits_of(done.net, pictures, valid).argmax(axis=1) == truth
    assert right.mean() == pytest.approx(float(best["val_accuracy"]), abs=1e-3)
    assert right.mean() > 0.5
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "history.csv", "fitted.json", "tensorboard"}
    assert list((tmp_path / "tensorboard").rglob("events.*"))


def test_a_finished_training_is_opened_and_another_refused(pictures: Pictures, tmp_path: Path) -> None:
    settings = SMALL.but(epochs=1)
    first = train(tmp_path, pictures, settings)
    written = (tmp_path / "model.keras").stat().st_mtime_ns
    again = train(tmp_path, pictures, settings)
    assert (tmp_path / "model.keras").stat().st_mtime_ns == written
    assert again.record == json.loads((tmp_path / "fitted.json").read_text())
    np.testing.assert_array_equal(first.net.get_weights()[0], again.net.get_weights()[0])
    for changed in (settings.but(seed=9), settings.but(augment=())):
        with pytest.raises(OtherTrainingError, match="other settings or photos"):
            train(tmp_path, pictures, changed)
    with pytest.raises(OtherTrainingError):
        train(tmp_path, pictures.subset(np.arange(20)), settings)


def test_the_saved_network_has_no_optimiser_and_computes_in_float32(pictures: Pictures, tmp_path: Path) -> None:
    done = train(tmp_path, pictures, SMALL.but(epochs=1, precision="mixed_bfloat16"))
    net = keras.models.load_model(tmp_path / "model.keras")
    assert getattr(net, "optimizer", None) is None
    assert {layer.compute_dtype for layer in net.layers if layer.weights} == {"float32"}
    assert "Fused" not in json.dumps(net.get_config(), default=str)
    assert keras.config.dtype_policy().name == "float32"
    assert done.record["parameters"] == net.count_params()


def test_a_loss_that_is_no_number_is_told(pictures: Pictures, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="lower rate"):
        train(tmp_path, pictures, SMALL.but(rate=1e30, epochs=6))
