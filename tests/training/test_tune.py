"""The random search: what is searched, what is judged, and that a kill at any moment loses and repeats no trial."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import commands
from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.training import tuner as tuner_module
from handlens.training.fitting import settings as settings_module
from handlens.training.fitting.loop import OtherTrainingError, fit, logits_of
from handlens.training.fitting.parts import split_places
from handlens.training.fitting.settings import FitSettings
from handlens.training.fitting.state import DiskFullError
from handlens.training.networks import UnknownNetworkError
from handlens.training.samples import BadSamplesError
from handlens.training.series import series_pictures
from handlens.training.trials import Search, Trial, trials_csv, trials_markdown
from handlens.training.tune import tune
from training.drawn_set import DrawnSet, draw_set
from training.killed import run_killed

SETTINGS = FitSettings.of("cnn-2", side=32, epochs=2, batch=8, precision="float32")
FLAGS = ("--network", "cnn-2", "--side", "32", "--epochs", "2", "--batch", "8")


@dataclass(frozen=True)
class Searched:
    """A search of two trials, killed within the second and gone on with: its folder and what it answered."""

    drawn: DrawnSet
    folder: Path
    left: frozenset[str]
    found: Search


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("tune")
    drawn = draw_set(folder / "set")
    out, inside = folder / "search", folder / "search" / "trial-02"
    left = run_killed(inside, "tune", drawn.manifest, "--out", out, "--trials", "2", *FLAGS)
    assert not (out / "trials.json").exists()
    return Searched(drawn, out, left, tune(drawn.manifest, out, SETTINGS, trials=2, quiet=True))


def copy_of(searched: Searched, folder: Path) -> Path:
    shutil.copytree(searched.folder, folder / "search")
    return folder / "search"


def written(folder: Path) -> dict[str, int]:
    """When the networks of the trials were written: another time is another training."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("trial-*/model.keras")}


def test_a_killed_search_goes_on_inside_its_trial(searched: Searched, tmp_path: Path) -> None:
    assert "state.npz" in searched.left
    assert "model.keras" not in searched.left
    assert sorted(trial.number for trial in searched.found.trials) == [1, 2]
    data = series_pictures(searched.drawn.manifest, ("train",), SETTINGS, tmp_path, quiet=True)
    train, valid = split_places(data.samples, SETTINGS)
    trial = next(trial for trial in searched.found.trials if trial.number == 2)
    done = fit(
        tmp_path / "fit",
        data.pictures,
        train,
        valid,
        SETTINGS.but(l2=trial.l2, dropout=trial.dropout),
        quiet=True,
    )
    model = keras.models.load_model(searched.folder / "trial-02" / "model.keras")
    for one, other in zip(done.net.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert (trial.epochs, trial.best_epoch) == (2, done.record["best_epoch"])
    assert (searched.found.trained, searched.found.validated) == (len(train), len(valid))


def test_the_objective_leaves_out_the_penalty(searched: Searched, tmp_path: Path) -> None:
    data = series_pictures(searched.drawn.manifest, ("train",), SETTINGS, tmp_path, quiet=True)
    _, valid = split_places(data.samples, SETTINGS)
    for trial in searched.found.trials:
        folder = searched.folder / f"trial-{trial.number:02d}"
        logits = logits_of(keras.models.load_model(folder / "model.keras"), data.pictures, valid).astype(float)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        names = [searched.found.labels.index(sample.label) for sample in data.at(valid)]
        picked = shares[np.arange(len(valid)), names]
        assert trial.cross_entropy == pytest.approx(-np.log(picked).mean(), rel=1e-5)
        assert trial.accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == names))
        kept = json.loads((folder / "fitted.json").read_text())
        assert trial.cross_entropy is not None
        assert kept["val_loss"] > trial.cross_entropy + 10 * trial.l2


def test_the_tables_hold_every_trial_the_best_first(searched: Searched) -> None:
    found = searched.found
    assert found.best is found.trials[0]
    assert math.isfinite(found.trials[0].cross_entropy or math.nan)
    assert (found.trials[0].cross_entropy or 0) <= (found.trials[1].cross_entropy or 0)
    stored = json.loads((searched.folder / "trials.json").read_text())
    assert [row["number"] for row in stored["trials"]] == [trial.number for trial in found.trials]
    assert (stored["settings"]["network"], stored["unreadable"]) == ("cnn-2", 1)
    with (searched.folder / "trials.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["l2"]) for row in rows] == [trial.l2 for trial in found.trials]
    text = (searched.folder / "trials.md").read_text()
    assert text == trials_markdown(found)
    assert all(f"| {trial.number} | {trial.l2:.5f} | {trial.dropout:g} |" in text for trial in found.trials)


def test_the_same_command_answers_at_once(
    searched: Searched, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "fast_precision", lambda: "float32")
    before = written(searched.folder)
    assert main(["tune", str(searched.drawn.manifest), "--out", str(searched.folder), "--trials", "2", *FLAGS]) == 0
    assert capsys.readouterr().out == trials_markdown(searched.found)
    assert written(searched.folder) == before


@pytest.mark.parametrize("damaged", ["oracle.json", "trial_0/trial.json", "tuner0.json"])
def test_damaged_files_of_kerastuner_cost_no_trial(searched: Searched, tmp_path: Path, damaged: str) -> None:
    folder = copy_of(searched, tmp_path)
    path = folder / "keras-tuner" / damaged
    path.write_bytes(path.read_bytes()[: 1 if damaged == "tuner0.json" else 100])
    before = written(folder)
    assert tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True) == searched.found
    assert written(folder) == before


@pytest.mark.parametrize("calls", range(16))
def test_a_kill_between_two_files_of_kerastuner_costs_no_trial(
    searched: Searched, tmp_path: Path, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is trained already, so all that can be lost is what KerasTuner keeps."""
    folder = copy_of(searched, tmp_path)
    shutil.rmtree(folder / "keras-tuner")
    left = [calls]

    def save(self: Any, fname: str) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(self, fname)

    from keras_tuner.src.engine.stateful import Stateful

    original = Stateful.save
    with monkeypatch.context() as killing:
        killing.setattr(Stateful, "save", save)
        with pytest.raises(KeyboardInterrupt):
            tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True)
    assert tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True) == searched.found


def test_more_trials_go_on_from_those_there_are(searched: Searched, tmp_path: Path) -> None:
    folder = copy_of(searched, tmp_path)
    before = written(folder)
    found = tune(searched.drawn.manifest, folder, SETTINGS, trials=3, quiet=True)
    assert {trial for trial in found.trials if trial.number < 3} == set(searched.found.trials)
    assert len({(trial.l2, trial.dropout) for trial in found.trials}) == 3
    assert written(folder).items() > before.items()
    assert tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True) == searched.found


def test_what_stops_the_search_is_told_and_loses_no_trial(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(searched, tmp_path)
    shutil.rmtree(folder / "keras-tuner")

    def full(*_: Any, **__: Any) -> Any:
        raise DiskFullError("no space left")

    with monkeypatch.context() as failing:
        failing.setattr(tuner_module, "fit", full)
        with pytest.raises(DiskFullError, match="no space left"):
            tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True)
    assert tune(searched.drawn.manifest, folder, SETTINGS, trials=2, quiet=True) == searched.found


def test_a_trial_that_diverges_is_listed(searched: Searched, tmp_path: Path) -> None:
    settings = SETTINGS.but(rate=1e30)
    found = tune(searched.drawn.manifest, tmp_path, settings, trials=1, quiet=True)
    assert [trial.diverged for trial in found.trials] == [True]
    assert found.best is None
    assert "Every trial diverged" in trials_markdown(found)
    assert trials_csv(found).splitlines()[1].endswith(",True,,,,,")
    assert tune(searched.drawn.manifest, tmp_path, settings, trials=1, quiet=True) == found


def test_a_trial_that_diverged_comes_last(searched: Searched) -> None:
    found = replace(searched.found, trials=(*searched.found.trials, Trial(3, 0.002, 0.4, 0.001, diverged=True)))
    assert found.best is found.trials[0]
    assert "| 3 | 0.00200 | 0.4 | 0.001 | diverged |" in trials_markdown(found)


def test_what_is_searched() -> None:
    space = {part.name: part for part in tuner_module._space(search_rate=True).space}
    drawn = {name: [part.random_sample(seed) for seed in range(2000)] for name, part in space.items()}
    assert drawn.keys() == {"l2", "dropout", "rate"}
    assert set(drawn["dropout"]) == {0.3, 0.4, 0.5}
    for name, low, high in (("l2", 1e-3, 1e-2), ("rate", 1e-4, 3e-3)):
        assert low <= min(drawn[name]) < 1.02 * low
        assert 0.98 * high < max(drawn[name]) <= high
        assert np.median(drawn[name]) == pytest.approx(math.sqrt(low * high), rel=0.1)  # uniform in the logarithm
    assert {part.name for part in tuner_module._space(search_rate=False).space} == {"l2", "dropout"}


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"epochs": 3}, {"picture": "origin-mask"}, {"labels": ("quartz", "calcite")}]
)
def test_another_search_in_the_same_folder_is_refused(searched: Searched, changed: dict[str, Any]) -> None:
    before = sorted(searched.folder.glob("keras-tuner/*"))
    with pytest.raises(OtherTrainingError, match="other settings"):
        tune(searched.drawn.manifest, searched.folder, SETTINGS.but(**changed), trials=2, quiet=True)
    with pytest.raises(OtherTrainingError):
        tune(searched.drawn.manifest, searched.folder, SETTINGS, trials=2, search_rate=True, quiet=True)
    assert sorted(searched.folder.glob("keras-tuner/*")) == before


def test_wrong_values(searched: Searched, tmp_path: Path) -> None:
    manifest = searched.drawn.manifest
    with pytest.raises(UsageError, match="trials is 0"):
        tune(manifest, tmp_path / "a", SETTINGS, trials=0)
    with pytest.raises(UsageError, match="lite0 has no penalty"):
        tune(manifest, tmp_path / "a", FitSettings.of("lite0"))
    with pytest.raises(UsageError, match="dropout is searched"):
        tune(manifest, tmp_path / "a", SETTINGS.but(dropout=0.2))
    with pytest.raises(UsageError, match="rate is searched"):
        tune(manifest, tmp_path / "a", SETTINGS.but(rate=0.01), search_rate=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(BadSamplesError, match="pyrite"):
        tune(manifest, tmp_path / "a", SETTINGS.but(labels=("quartz", "pyrite")), quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        tune(manifest, tmp_path / "file" / "a", SETTINGS, quiet=True)
    with pytest.raises(UnknownNetworkError):
        FitSettings.of("cnn-9")


@pytest.mark.parametrize("flags", [("--trials", "0"), ("--trials", "x"), ("--network", "cnn-9"), ("--epochs", "0")])
def test_wrong_usage_exits_with_2(searched: Searched, tmp_path: Path, flags: tuple[str, str]) -> None:
    assert commands.run("tune", searched.drawn.manifest, "--out", tmp_path, *flags) == 2
