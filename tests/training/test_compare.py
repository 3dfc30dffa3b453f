"""Several networks on the same folds: the table is that of the held-out photos, and a kill costs nothing but its epoch.

The one comparison of this file was killed within a training and gone on with; the training that was killed is held
against one that was not.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import commands
from handlens.cli import compare as command_module
from handlens.cli.main import main
from handlens.cli.train import fit_settings
from handlens.errors import UsageError
from handlens.evaluation.metrics import balanced_accuracy, macro_f1
from handlens.evaluation.paired import Difference
from handlens.evaluation.protocol import photographer_folds
from handlens.training.compare import compare
from handlens.training.comparison import Comparison, comparison_markdown
from handlens.training.fitting import settings as settings_module
from handlens.training.fitting.loop import fit, logits_of
from handlens.training.fitting.parts import split_places
from handlens.training.fitting.settings import FitSettings
from handlens.training.networks import UnknownNetworkError
from handlens.training.pictures_run import safe_name
from handlens.training.samples import BadSamplesError
from handlens.training.series import series_pictures
from training.drawn_set import NO_MINERAL, draw_set
from training.killed import run_killed

CNN_2, CNN_3 = (FitSettings.of(name, side=32, epochs=2, batch=8, precision="float32") for name in ("cnn-2", "cnn-3"))
FLAGS = (
    "--networks",
    "cnn-2,cnn-3",
    "--protocol",
    "leave-one-fold-out",
    "--side",
    "32",
    "--epochs",
    "2",
    "--batch",
    "8",
)


@dataclass(frozen=True)
class Compared:
    """`manifest`: two photographers, one of whom never had the label NO_MINERAL. `left`: what the kill left."""

    manifest: Path
    folder: Path
    left: frozenset[str]
    found: Comparison


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compare")
    drawn = draw_set(folder / "set")
    with drawn.manifest.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    kept = [
        row
        for row in rows
        if row["fold"] in ("ben", "cleo")
        and row["split"] == "train"
        and (row["fold"], row["label"]) != ("ben", NO_MINERAL)
    ]
    manifest = drawn.manifest.with_name("two.csv")
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    out, inside = folder / "comparison", folder / "comparison" / "cnn-2" / "cleo"
    left = run_killed(inside, "compare", manifest, "--out", out, *FLAGS)
    assert (out / "cnn-2" / "ben" / "fitted.json").is_file()
    assert not (out / "comparison.json").exists()
    found = compare(manifest, out, [CNN_2, CNN_3], protocol="leave-one-fold-out", quiet=True)
    return Compared(manifest, out, left, found)


def test_a_killed_comparison_goes_on_inside_its_training(compared: Compared, tmp_path: Path) -> None:
    assert "state.npz" in compared.left
    assert "model.keras" not in compared.left
    data = series_pictures(compared.manifest, ("train",), CNN_2, tmp_path, quiet=True)
    places = np.flatnonzero(photographer_folds(data.samples) == "ben")
    train, valid = split_places(data.at(places), CNN_2)
    done = fit(tmp_path / "fit", data.pictures, places[train], places[valid], CNN_2, quiet=True)
    model = keras.models.load_model(compared.folder / "cnn-2" / "cleo" / "model.keras")
    for one, other in zip(done.net.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    columns = ("epoch", "loss", "val_loss", "learning_rate")
    histories = []
    for folder in (tmp_path / "fit", compared.folder / "cnn-2" / "cleo"):
        with (folder / "history.csv").open(newline="") as lines:
            histories.append([[float(row[name]) for name in columns] for row in csv.DictReader(lines)])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)


def test_the_table_is_of_the_photos_held_out(compared: Compared, tmp_path: Path) -> None:
    data = series_pictures(compared.manifest, ("train",), CNN_2, tmp_path, quiet=True)
    folds, labels = photographer_folds(data.samples), np.array([sample.label for sample in data.samples])
    usable = np.array([sample.usable for sample in data.samples])
    assert compared.found.photos == usable.sum()
    assert compared.found.folds == ("ben", "cleo")
    assert compared.found.unreadable == 1
    for row in compared.found.networks:
        right, truth, named = [], [], []
        for fold in ("ben", "cleo"):
            folder = compared.folder / row.network / fold
            places = np.flatnonzero((folds == fold) & usable)
            known = json.loads((folder / "fitted.json").read_text())["labels"]
            model = keras.models.load_model(folder / "model.keras")
            answers = np.array(known)[logits_of(model, data.pictures, places).argmax(axis=1)]
            right += list(answers == labels[places])
            truth += list(np.searchsorted(compared.found.labels, labels[places]))
            named += list(np.searchsorted(compared.found.labels, answers))
        assert row.top1 == pytest.approx(np.mean(right))
        assert row.balanced == pytest.approx(balanced_accuracy(np.array(named), np.array(truth)))
        assert row.macro_f1 == pytest.approx(macro_f1(np.array(named), np.array(truth)))


def test_a_label_that_a_fold_never_saw_is_judged_all_the_same(compared: Compared) -> None:
    known = json.loads((compared.folder / "cnn-2" / "cleo" / "fitted.json").read_text())["labels"]
    assert NO_MINERAL not in known
    assert NO_MINERAL in compared.found.labels
    with np.load(compared.folder / "held_out.npz") as arrays:
        column = list(arrays["labels"]).index(NO_MINERAL)
        for network in ("cnn-2", "cnn-3"):
            never = np.isneginf(arrays[f"{network}/logits"][:, column])
            assert (never == (arrays["folds"] == "cleo")).all()


def test_costs(compared: Compared) -> None:
    first, second = compared.found.networks
    assert (first.network, second.network) == ("cnn-2", "cnn-3")
    assert (first.parameters, second.parameters) == (526_533, 1_822_597)
    for row in (first, second):
        assert row.megabytes == pytest.approx(4 * row.parameters / 1e6, rel=0.05)
        assert row.milliseconds > 0
        assert row.epochs == 2
        seconds = [
            json.loads((compared.folder / row.network / fold / "fitted.json").read_text())["seconds"]
            for fold in ("ben", "cleo")
        ]
        assert row.seconds == pytest.approx(np.mean(seconds))


def test_the_others_are_measured_against_the_best(compared: Compared) -> None:
    found = compared.found
    (other,) = [row for row in found.networks if row is not found.best]
    assert other.behind is not None
    assert other.behind.share == pytest.approx(found.best.top1 - other.top1)
    assert found.best.top1 == max(row.top1 for row in found.networks)


def test_the_table_says_when_networks_are_not_told_apart(compared: Compared) -> None:
    first, second = compared.found.networks
    better, worse = replace(first, top1=0.7, behind=None), replace(second, top1=0.6)
    for interval, told in (
        (Difference(0.1, -0.02, 0.22), "cnn-2 cannot be told apart from cnn-3"),
        (Difference(0.1, 0.04, 0.16), "cnn-2 is better than every other by more than chance"),
    ):
        found = replace(compared.found, networks=(better, replace(worse, behind=interval)))
        assert told in comparison_markdown(found)
        assert f"| 60.0 | 10.0 ({100 * interval.low:.1f} to {100 * interval.high:.1f}) |" in comparison_markdown(found)


def test_files(compared: Compared) -> None:
    assert (compared.folder / "comparison.md").read_text() == comparison_markdown(compared.found)
    for name in ("comparison", "learning-curves"):
        assert "cnn-2" in (compared.folder / "plots" / f"{name}.svg").read_text()
        assert (compared.folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((compared.folder / "comparison.json").read_text())
    assert Comparison.from_dict(stored) == compared.found


def test_the_same_command_answers_at_once(
    compared: Compared, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "fast_precision", lambda: "float32")
    before = {path: path.stat().st_mtime_ns for path in compared.folder.rglob("*") if path.is_file()}
    assert main(["compare", str(compared.manifest), "--out", str(compared.folder), *FLAGS]) == 0
    assert capsys.readouterr().out == comparison_markdown(compared.found)
    assert {path: path.stat().st_mtime_ns for path in compared.folder.rglob("*") if path.is_file()} == before


def test_without_its_report_it_is_made_of_the_trainings_there_are(compared: Compared, tmp_path: Path) -> None:
    shutil.copytree(compared.folder, tmp_path / "copy")
    report = tmp_path / "copy" / "comparison.json"
    report.write_bytes(report.read_bytes()[:200])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.keras")}
    found = compare(compared.manifest, tmp_path / "copy", [CNN_2, CNN_3], protocol="leave-one-fold-out", quiet=True)
    again = [row.milliseconds for row in found.networks]
    rows = [replace(row, milliseconds=time) for row, time in zip(compared.found.networks, again, strict=True)]
    assert found == replace(compared.found, networks=tuple(rows))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.keras")} == before


def test_the_command_without_options_is_the_comparison_of_the_origin() -> None:
    parser = argparse.ArgumentParser()
    command_module.add_arguments(parser)
    options = parser.parse_args(["data.csv", "--out", "there", "--among", "origin-ten"])
    assert (options.networks, options.protocol, options.epochs) == ("cnn-1,cnn-2,cnn-3", "grouped", 150)
    settings = fit_settings(argparse.Namespace(**vars(options), network="cnn-3"))
    assert len(settings.labels) == 10
    assert settings == FitSettings.of("cnn-3", labels=settings.labels)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"epochs": 3}, "epochs differs"),
        ({"patience": 4}, "patience differs"),
        ({"seed": 1}, "seed differs"),
        ({"labels": ("quartz", "calcite")}, "labels differs"),
        ({"network": "cnn-2"}, "cnn-2 is there twice"),
    ],
)
def test_networks_that_cannot_be_compared(
    compared: Compared, tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        compare(compared.manifest, tmp_path / "new", [CNN_2, CNN_3.but(**changed)], quiet=True)
    assert not (tmp_path / "new").exists()


def test_wrong_values(compared: Compared, tmp_path: Path) -> None:
    manifest = compared.manifest
    with pytest.raises(UsageError, match="two networks or more"):
        compare(manifest, tmp_path, [CNN_2])
    with pytest.raises(UsageError, match="protocol is 'random'"):
        compare(manifest, tmp_path, [CNN_2, CNN_3], protocol="random")  # type: ignore[arg-type]
    labelled = [settings.but(labels=("quartz", "pyrite")) for settings in (CNN_2, CNN_3)]
    with pytest.raises(BadSamplesError, match="pyrite"):
        compare(manifest, tmp_path, labelled, quiet=True)
    with pytest.raises(BadSamplesError, match="two labels"):
        compare(manifest, tmp_path, [settings.but(labels=("quartz",)) for settings in (CNN_2, CNN_3)], quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        compare(manifest, tmp_path / "file" / "new", [CNN_2, CNN_3], quiet=True)
    with pytest.raises(UnknownNetworkError):
        FitSettings.of("cnn-9")


@pytest.mark.parametrize("flags", [("--networks", "cnn-2,cnn-9"), ("--networks", ","), ("--protocol", "none")])
def test_wrong_usage_exits_with_2(compared: Compared, tmp_path: Path, flags: tuple[str, str]) -> None:
    assert commands.run("compare", compared.manifest, "--out", tmp_path, *flags) == 2


def test_names_of_folders_are_apart() -> None:
    assert safe_name("cnn-1") == "cnn-1"
    assert safe_name("part 1") == "part-1"
    names = ["hub:a/b", "hub-a-b", "Ann", "ann", "王", "李", "..", "../x", "x" * 300, "x" * 301]
    found = [safe_name(name) for name in names]
    assert len(set(found)) == len(found)
    assert all(len(name) < 60 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-") for name in found)
    assert not any(name.startswith(".") for name in found)
