"""From drawn pictures to a bundle by gradient descent: train, evaluate, export in 32 and 8 bits, identify."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.evaluation.evaluate import evaluate, read_report
from handlens.identifier import Identifier
from handlens.photo import read_photo
from handlens.selftest import run_self_test
from handlens.specimen import whole_frame
from handlens.training.export import export
from handlens.training.fitting.settings import FitSettings
from handlens.training.pictures_run import fit_run, fold_folder, read_picture_split, run_network
from handlens.training.run import Run, TrainSettings, load_run, train
from handlens.training.samples import BadSamplesError
from handlens.views import make_views
from training.drawn_set import LABELS, DrawnSet, draw_set

FLAGS = ("--network", "cnn-2", "--side", "48", "--epochs", "30", "--batch", "8", "--augment", "flip")


@dataclass(frozen=True)
class Made:
    """The drawn set and what the commands made of it."""

    drawn: DrawnSet
    folder: Path

    @property
    def run(self) -> Run:
        return load_run(self.folder / "run")

    @property
    def report(self) -> dict[str, Any]:
        return read_report(self.run)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("fit")
    drawn = draw_set(folder / "drawn")
    run = str(folder / "run")
    flags = (*FLAGS, "--patience", "30", "--rate", "0.002", "--precision", "float32")
    assert main(["train", str(drawn.manifest), "--out", run, *flags]) == 0
    assert main(["evaluate", run, "--field"]) == 0
    assert main(["export", run, "--out", str(folder / "fp32"), "--name", "drawn-fp32"]) == 0
    assert main(["export", run, "--out", str(folder / "int8"), "--name", "drawn-int8", "--int8"]) == 0
    return Made(drawn, folder)


def test_the_run_says_what_it_was_made_from(made: Made) -> None:
    record = made.run.record
    assert record["kind"] == "fit"
    assert record["photos"] == made.drawn.train
    assert record["labels"] == sorted(LABELS)
    assert [failure[0] for failure in record["failures"]] == [made.drawn.broken]
    assert record["fit"]["trained"] + record["fit"]["validated"] <= made.drawn.train
    assert isinstance(made.run.settings, FitSettings)
    assert made.run.settings.epochs == 30


def test_every_photo_is_judged_by_a_network_that_saw_neither_it_nor_its_photographer(made: Made) -> None:
    report = made.report
    assert list(report["protocols"]) == ["all labels, leave-one-fold-out"]
    assert report["protocols"]["all labels, leave-one-fold-out"]["flat"]["photos"] == 30
    for fold in ("ann", "ben", "cleo"):
        folder = fold_folder(made.run.folder, "all labels, leave-one-fold-out", fold)
        fitted = json.loads((folder / "fitted.json").read_text())
        assert 0 < fitted["trained"] + fitted["validated"] <= made.drawn.train - 10
    assert report["field"]["photos"] == made.drawn.field


def test_the_report_has_a_page_and_plots(made: Made) -> None:
    folder = made.run.folder / "evaluation"
    assert "<svg" in (folder / "report.html").read_text()
    names = {path.name for path in (folder / "plots").iterdir()}
    for plot in ("confusion-matrix", "confused-pairs", "label-by-label", "reliability", "learning-curves"):
        assert {f"{plot}.svg", f"{plot}.png"} <= names


def test_an_evaluation_is_not_trained_twice(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made.report
    monkeypatch.setattr(keras.Model, "fit", None)
    assert evaluate(made.run, field=True, quiet=True)["protocols"] == before["protocols"]


def test_the_bundles_answer_as_keras_does(made: Made) -> None:
    """Through the whole way: file, views, ONNX. The same picture and the same labels in their order."""
    net = run_network(made.run)
    full, small = (Identifier.load(made.folder / name) for name in ("fp32", "int8"))
    agreed = 0
    photos = sorted(made.drawn.manifest.parent.glob("train/*/0*.png"))
    for photo in photos:
        rgb = read_photo(photo, needed_side=full.bundle.preprocessing.needed_side).rgb
        views = make_views(rgb, whole_frame(rgb), full.bundle.preprocessing)
        expected = np.asarray(net(views, training=False))[0]
        _, seen = full.views(photo)
        np.testing.assert_array_equal(seen, views)
        logits = full.score(seen).logits[0].astype(float)
        ours = np.exp(logits - logits.max())
        np.testing.assert_allclose(ours / ours.sum(), expected, atol=1e-5)
        best = full.identify(photo).candidates[0].name
        assert best == made.run.labels[int(expected.argmax())]
        agreed += small.identify(photo).candidates[0].name == best
    assert agreed >= 0.95 * len(photos)
    for identifier in (full, small):
        assert run_self_test(identifier).passed
    sizes = {name: (made.folder / name / "model.onnx").stat().st_size for name in ("fp32", "int8")}
    assert sizes["int8"] < 0.3 * sizes["fp32"]


def test_the_card_tells_how_it_was_trained(made: Made) -> None:
    card = (made.folder / "fp32" / "MODEL_CARD.md").read_text()
    fitted = made.run.record["fit"]
    assert f"epoch {fitted['best_epoch']} of {fitted['epochs']}" in card
    assert "`cnn-2`" in card
    assert "ImageNet" not in card
    assert "8 bits" not in card
    assert "8 bits" in (made.folder / "int8" / "MODEL_CARD.md").read_text()
    assert "backbone" not in open_bundle(made.folder / "fp32").manifest["licences"]


def test_the_same_command_again_changes_nothing(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    written = (made.folder / "run" / "model.keras").read_bytes()
    flags = (*FLAGS, "--patience", "30", "--rate", "0.002", "--precision", "float32")
    command = ["train", str(made.drawn.manifest), "--out", str(made.folder / "run")]
    assert main([*command, *flags]) == 0
    assert (made.folder / "run" / "model.keras").read_bytes() == written
    assert "30 epochs" in capsys.readouterr().out
    assert main([*command, *flags, "--seed", "4"]) == 1
    assert "other settings or photos" in capsys.readouterr().err


def test_wrong_usage_is_told(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(made.drawn.manifest)
    for flags, told in (
        (["--network", "lite0", "--epochs", "3"], "--epochs says nothing with --method head"),
        (["--network", "cnn-2", "--strength", "3"], "--strength says nothing with --method fit"),
        (["--network", "cnn-2", "--epochs", "0"], "epochs is 0"),
        (["--network", "cnn-2", "--augment", "origin,paint"], "'paint' is no augmentation"),
        (["--network", "cnn-8"], "there is no network 'cnn-8'"),
        (["--network", "cnn-2", "--among", "quartz,topaz"], "no readable photo of 'topaz'"),
        (["--network", "cnn-2", "--among", "quartz"], "two labels or more"),
    ):
        assert main(["train", source, "--out", str(tmp_path / "run"), *flags]) in (1, 2)
        assert told in capsys.readouterr().err
        assert not (tmp_path / "run" / "run.json").exists()


def test_class_folders_and_an_empty_class(tmp_path: Path) -> None:
    drawn = draw_set(tmp_path / "drawn")
    folders = drawn.manifest.parent / "train"
    settings = FitSettings(network="cnn-2", side=32, epochs=1, batch=8, labels=("calcite", "quartz"))
    run = fit_run(folders, tmp_path / "run", settings, quiet=True)
    assert run.labels == ("calcite", "quartz")
    (folders / "jadeite").mkdir()
    with pytest.raises(BadSamplesError, match=r"jadeite.*no photo"):
        fit_run(folders, tmp_path / "other", settings, quiet=True)


def test_a_validation_split_of_the_data_steers(tmp_path: Path) -> None:
    drawn = draw_set(tmp_path / "drawn")
    lines = drawn.manifest.read_text().splitlines()
    moved = [line.replace(",train,cleo,", ",validation,cleo,") for line in lines]
    drawn.manifest.write_text("\n".join(moved) + "\n")
    run = fit_run(
        drawn.manifest, tmp_path / "run", FitSettings(network="cnn-2", side=32, epochs=1, batch=8), quiet=True
    )
    assert run.record["fit"]["validated"] == 10
    assert run.record["photos"] == drawn.train - 10


def masked_set(drawn: DrawnSet, folder: Path) -> Path:
    """The readable drawn photos as `handlens dataset prepare --prepare origin-mask` makes them."""
    from handlens.dataset.prepare.origin_mask import origin_picture

    lines = drawn.manifest.read_text().splitlines()
    made = [lines[0] + ",prepared"]
    for line in lines[1:]:
        file = line.split(",")[0]
        if file != drawn.broken:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            picture = origin_picture(read_photo(drawn.manifest.parent / file, needed_side=2048).rgb)
            Image.fromarray(picture).save(folder / file)
            made.append(line + ",origin-mask")
    (folder / "manifest.csv").write_text("\n".join(made) + "\n")
    return folder / "manifest.csv"


def test_what_is_masked_for_training_is_masked_once_and_in_serving_too(tmp_path: Path) -> None:
    """The origin trained on masked pictures and served unmasked ones."""
    pytest.importorskip("cv2", reason="OpenCV is not installed: it comes with the extra 'dataset'")
    drawn = draw_set(tmp_path / "drawn")
    masked = masked_set(drawn, tmp_path / "masked")
    settings = FitSettings(network="cnn-2", picture="origin-mask", epochs=1, batch=8)
    ours = read_picture_split(masked, ("train",), settings, tmp_path / "a", quiet=True)
    theirs = read_picture_split(drawn.manifest, ("train",), settings, tmp_path / "b", quiet=True)
    everything = np.arange(drawn.train)
    np.testing.assert_array_equal(ours.pictures.at(everything), theirs.pictures.at(everything))
    with pytest.raises(BadSamplesError, match="--picture origin-mask"):
        fit_run(masked, tmp_path / "run", settings.but(picture="view"), quiet=True)
    with pytest.raises(BadSamplesError, match="--method fit"):
        train(masked, tmp_path / "head", TrainSettings(network="lite0"), quiet=True)
    run = fit_run(masked, tmp_path / "run", settings, quiet=True)
    evaluate(run, protocol="leave-one-fold-out", quiet=True)
    identifier = Identifier.load(export(run, tmp_path / "bundle", name="masked"))
    assert identifier.bundle.preprocessing.mask == "origin"
    for place in (0, 7, 20):
        _, views = identifier.views(drawn.manifest.parent / ours.samples[place].file)
        np.testing.assert_array_equal(views[0], ours.pictures.at(np.array([place]))[0])


@pytest.mark.parametrize("method", ["head", "fit"])
def test_transfer_goes_the_whole_way(tmp_path: Path, method: str) -> None:
    drawn = draw_set(tmp_path / "drawn")
    run = tmp_path / "run"
    flags = ["--side", "64", "--epochs", "1", "--unfrozen", "1", "--batch", "8"] if method == "fit" else []
    command = ["train", str(drawn.manifest), "--out", str(run), "--network", "lite0", "--method", method, *flags]
    assert main(command) == 0
    loaded = load_run(run)
    assert loaded.record["kind"] == method
    if method == "fit":
        assert run_network(loaded).input_shape == (None, 64, 64, 3)
