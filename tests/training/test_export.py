"""From drawn pictures to a bundle that names them: `handlens train`, `evaluate --field` and `export`, end to end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from threadpoolctl import threadpool_limits

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.evaluation.evaluate import evaluate, read_report
from handlens.evaluation.protocol import photographer_folds
from handlens.identifier import Identifier
from handlens.minerals import KnowledgeBase
from handlens.photo import read_photo
from handlens.selftest import run_self_test
from handlens.specimen import whole_frame
from handlens.training import features
from handlens.training.card import model_card
from handlens.training.export import export
from handlens.training.run import BadRunError, Run, TrainSettings, load_run, read_split, train
from handlens.training.samples import BadSamplesError, Sample, digest, read_samples, with_split
from handlens.views import make_views
from training.drawn_set import LABELS, NO_MINERAL, DrawnSet, draw_set


@dataclass(frozen=True)
class Made:
    """The drawn set and what the three commands made of it."""

    drawn: DrawnSet
    folder: Path
    bundle: Path

    @property
    def run(self) -> Run:
        return load_run(self.folder)

    @property
    def settings(self) -> TrainSettings:
        settings = self.run.settings
        assert isinstance(settings, TrainSettings)
        return settings

    @property
    def report(self) -> dict[str, Any]:
        return read_report(self.run)

    def samples(self, split: str = "train") -> list[Sample]:
        found = with_split(read_samples(self.drawn.manifest), split)
        return [sample for sample in found if sample.file != self.drawn.broken]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The problems here are so small that threads of the linear algebra would only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("drawn")
    drawn = draw_set(folder / "data")
    run, bundle = folder / "run", folder / "bundles" / "drawn"
    assert main(["train", str(drawn.manifest), "--out", str(run), "--strength", "0.01"]) == 0
    assert main(["evaluate", str(run), "--field"]) == 0
    notes = folder / "notes.md"
    notes.write_text("Drawn by hand, más o menos.\n", encoding="utf-8")
    command = ["export", str(run), "--out", str(bundle), "--name", "drawn-1", "--notes", str(notes)]
    assert main([*command, "--licence", "CC0-1.0"]) == 0
    return Made(drawn, run, bundle)


@pytest.fixture(scope="module")
def identifier(made: Made) -> Identifier:
    return Identifier.load(made.bundle)


@pytest.fixture(scope="module")
def net(made: Made) -> keras.Model:
    return keras.models.load_model(made.folder / "model.keras")


@pytest.fixture(scope="module")
def in_keras(made: Made, net: keras.Model) -> tuple[list[Sample], NDArray[np.uint8], dict[str, NDArray[Any]]]:
    """A sample of every label, their views by the rooms of the core, and what Keras makes of them."""
    samples = [next(sample for sample in made.samples() if sample.label == label) for label in LABELS]
    preprocessing = made.settings.preprocessing
    rgb = [read_photo(sample.path, needed_side=preprocessing.needed_side).rgb for sample in samples]
    views = np.stack([make_views(pixels, whole_frame(pixels), preprocessing) for pixels in rgb])
    return samples, views, {name: np.asarray(value) for name, value in net(views, training=False).items()}


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Made:
    """The run again, to be spoilt."""
    shutil.copytree(made.folder, tmp_path / "run")
    return replace(made, folder=tmp_path / "run")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that are read for their features."""
    read: list[str] = []

    def recorded(path: Path, *, name: str, needed_side: int) -> object:
        read.append(name)
        return read_photo(path, name=name, needed_side=needed_side)

    monkeypatch.setattr(features, "read_photo", recorded)
    return read


def test_the_bundle_names_the_pictures_it_was_trained_on(made: Made, identifier: Identifier) -> None:
    samples = [sample for sample in made.samples() if sample.usable]
    answers = [identifier.identify(sample.path) for sample in samples]
    right = [answer.candidates[0].name == sample.label for answer, sample in zip(answers, samples, strict=True)]
    assert np.mean(right) > 0.95
    assert {answer.candidates[0].name for answer in answers} == set(LABELS)
    assert {answer.model for answer in answers} == {"drawn-1"}


def test_labels_have_one_order_in_training_and_serving(
    made: Made, identifier: Identifier, in_keras: tuple[list[Sample], NDArray[np.uint8], dict[str, NDArray[Any]]]
) -> None:
    # The trap: alphabetical in training, another in serving.
    assert list(made.run.labels) == sorted(LABELS) != list(LABELS)
    assert identifier.bundle.labels == made.run.labels
    samples, _, found = in_keras
    for sample, logits in zip(samples, found["logits"], strict=True):
        assert made.run.labels[int(logits.argmax())] == sample.label
        assert identifier.identify(sample.path).candidates[0].name == sample.label


def test_views_are_the_same_in_training_and_serving(made: Made, identifier: Identifier) -> None:
    # The trap: 96 px masked RGB in training, 224 px unmasked BGR in serving. The kept features of training must give
    # the logits that serving gives.
    settings = made.settings
    assert identifier.bundle.preprocessing == settings.preprocessing
    data = read_split(made.drawn.manifest, "train", settings, made.folder, mirror=True, quiet=True)
    head = data.fit(data.places(settings), settings.head)
    for place in (0, 13, 29):
        _, views = identifier.views(data.samples[place].path)
        np.testing.assert_allclose(
            head.logits(data.plain[place : place + 1]), identifier.score(views).logits, atol=5e-3
        )


def test_keras_and_the_bundle_agree(
    identifier: Identifier, in_keras: tuple[list[Sample], NDArray[np.uint8], dict[str, NDArray[Any]]]
) -> None:
    samples, views, expected = in_keras
    found = identifier.model.run(views)
    np.testing.assert_allclose(found.logits, expected["logits"], atol=1e-3)
    np.testing.assert_allclose(found.embedding, expected["embedding"], atol=1e-4)
    assert np.ptp(found.logits, axis=1).min() > 0.1
    # The door that photos come through makes the same views.
    np.testing.assert_array_equal(identifier.views(samples[1].path)[1], views[1])


def test_the_self_test_of_the_bundle(identifier: Identifier) -> None:
    result = run_self_test(identifier)
    assert result.passed
    assert result.difference < 1e-3


def test_what_the_bundle_says_of_itself(made: Made) -> None:
    bundle = open_bundle(made.bundle)
    names = ["MODEL_CARD.md", "bundle.json", "model.onnx", "open_set_directions.npy", "open_set_scales.npy"]
    names.append("references.npz")
    assert sorted(path.name for path in made.bundle.iterdir()) == names
    answers = made.report["answers"]
    assert bundle.temperature == answers["temperature"]
    assert bundle.set_quantile == answers["set_quantile"]
    assert bundle.thresholds.species == answers["thresholds"]["species"]
    data = bundle.manifest["training_data"]
    assert data["digest"] == digest(made.samples())
    assert data["photos"] == made.drawn.train == sum(data["per_label"].values())
    for place in (made.folder, made.bundle):
        for path in place.rglob("*.json"):
            if path.name != "run.json":
                assert str(made.folder.parent) not in path.read_text(encoding="utf-8")


def test_the_broken_photo_is_left_out_and_listed(made: Made) -> None:
    record = made.run.record
    assert [row[:2] for row in record["failures"]] == [[made.drawn.broken, "truncated-image"]]
    assert record["photos"] == made.drawn.train
    assert record["unusable_among_them"] == made.drawn.unusable
    assert record["per_label"]["quartz"] == 7
    assert record["per_label"]["almandine"] == 6


def test_unusable_photos_and_the_field_are_not_judged(made: Made) -> None:
    judged = made.drawn.train - made.drawn.unusable
    for found in made.report["protocols"].values():
        assert found["flat"]["photos"] == judged
    assert set(made.report["protocols"]) == {"all labels, leave-one-fold-out", "all labels, grouped 5-fold"}
    assert set(made.report["protocols"]["all labels, leave-one-fold-out"]["folds"]) == {"ann", "ben", "cleo"}
    field = made.report["field"]
    assert field["photos"] == made.drawn.field == field["flat"]["photos"]
    assert field["ten labels"] is None  # the model knows three of them only
    assert field["unknown_photos"] == 0


def test_quoted_figures_are_held_out_never_training_accuracy(made: Made) -> None:
    # The trap: "73 %" was training accuracy. Labels that mean nothing can be learnt by heart, but not predicted.
    samples = made.samples()
    settings = replace(made.settings, head=replace(made.settings.head, strength=10.0))
    data = read_split(made.drawn.manifest, "train", settings, made.folder, mirror=True, quiet=True)
    # The label tells nothing of the picture: within each fold, every shape gets every label.
    shuffled = [
        replace(sample, label=f"label {(place + place // 6) % 3}", group=f"g{place}")
        for place, sample in enumerate(data.samples)
    ]
    data = replace(data, samples=tuple(shuffled))
    head = data.fit(np.arange(len(samples)), settings.head)
    named = np.array(head.labels)[head.logits(data.plain).argmax(axis=1)]
    assert np.mean(named == [sample.label for sample in shuffled]) > 0.95

    from handlens.evaluation.evaluate import _predict
    from handlens.evaluation.metrics import measure

    run = replace(made.run, settings=settings)
    found = _predict(run, data, "drawn", photographer_folds(data.samples), quiet=True)
    assert measure(found.probabilities, found.truth).top1 < 0.7


def test_held_out_photos_are_never_mirrored(made: Made) -> None:
    # The trap: validation images were augmented. Judged logits must be those of the plain features.
    from handlens.evaluation.evaluate import _predict

    settings = made.settings
    data = read_split(made.drawn.manifest, "train", settings, made.folder, mirror=True, quiet=True)
    assert data.mirrored is not None
    folds = photographer_folds(data.samples)
    found = _predict(made.run, data, "drawn", folds, quiet=True)
    here = found.folds == "ben"
    training = np.flatnonzero(folds != "ben")
    head = data.fit(training, settings.head)
    np.testing.assert_allclose(found.logits[here], head.logits(data.plain[found.places[here]]), atol=1e-4)
    assert np.abs(head.logits(data.mirrored[found.places[here]]) - found.logits[here]).max() > 1e-2


def test_mirrored_copies_are_trained_on_where_wanted(made: Made) -> None:
    settings = made.settings
    both = read_split(made.drawn.manifest, "train", settings, made.folder, mirror=True, quiet=True)
    alone = read_split(made.drawn.manifest, "train", settings, made.folder, mirror=False, quiet=True)
    assert alone.mirrored is None
    places = both.places(settings)
    assert np.abs(both.fit(places, settings.head).weights - alone.fit(places, settings.head).weights).max() > 1e-6


def test_field_figures_are_those_of_the_saved_network(made: Made, identifier: Identifier) -> None:
    hits = [identifier.identify(s.path).candidates[0].name == s.label for s in made.samples("field")]
    assert made.report["field"]["flat"]["top1"] == pytest.approx(np.mean(hits), abs=1e-4)
    low, high = made.report["field"]["flat"]["top1_interval"]
    assert 0 <= low < np.mean(hits) <= high <= 1


def test_a_label_without_a_mineral_is_answered_as_a_species(made: Made, identifier: Identifier) -> None:
    assert NO_MINERAL not in KnowledgeBase.load()
    place = identifier.taxonomy.names.index(NO_MINERAL)
    assert identifier.taxonomy.ranks[place] == "species"
    (photo,) = [sample.path for sample in made.samples("field") if sample.label == NO_MINERAL]
    assert NO_MINERAL in [candidate.name for candidate in identifier.identify(photo).candidates]


def test_report_as_tables_and_card(made: Made) -> None:
    report = (made.folder / "evaluation" / "report.md").read_text(encoding="utf-8")
    top1 = made.report["protocols"]["all labels, leave-one-fold-out"]["flat"]["top1"]
    assert f"| all labels, leave-one-fold-out | 30 | {100 * top1:.1f} |" in report
    assert "ten labels" not in report
    card = (made.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# drawn-1\n")
    assert f"| all labels, leave-one-fold-out | 30 | {100 * top1:.1f} |" in card
    assert f"{made.drawn.train} photographs" in card


def test_held_out_arrays_are_kept(made: Made) -> None:
    with np.load(made.folder / "evaluation" / "held_out.npz", allow_pickle=False) as arrays:
        name = "all labels, leave-one-fold-out"
        assert arrays[f"{name}/labels"].tolist() == sorted(LABELS)
        assert arrays[f"{name}/logits"].shape == (30, len(LABELS))
        top1 = np.mean(arrays[f"{name}/logits"].argmax(axis=1) == arrays[f"{name}/truth"])
    assert top1 == pytest.approx(made.report["protocols"][name]["flat"]["top1"], abs=1e-4)


def test_training_again_reads_no_photo_and_gives_the_same(
    copy: Made, net: keras.Model, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copy.folder / "run.json").read_bytes()

    def no_session(*args: object, **options: object) -> None:
        raise AssertionError("a network was started although all features are kept")

    monkeypatch.setattr(onnxruntime, "InferenceSession", no_session)
    again = train(copy.drawn.manifest, copy.folder, copy.settings, quiet=True)
    assert counted == []
    assert (copy.folder / "run.json").read_bytes() == before
    assert again.record["failures"]
    anew = keras.models.load_model(copy.folder / "model.keras")
    for name in ("logits", "lite2"):
        for one, other in zip(anew.get_layer(name).get_weights(), net.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert sorted(path.name for path in copy.folder.iterdir()) == ["evaluation", "features", "model.keras", "run.json"]


def test_run_json_is_written_last(copy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    import handlens.training.run as module

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "digest", killed)
    with pytest.raises(KeyboardInterrupt):
        train(copy.drawn.manifest, copy.folder, copy.settings, quiet=True)
    # The new network is in its place, so the old record must be gone.
    assert (copy.folder / "model.keras").is_file()
    with pytest.raises(BadRunError, match="no finished training run"):
        load_run(copy.folder)


@pytest.mark.parametrize("source", ["none.csv", "empty"])
def test_a_wrong_source_leaves_the_finished_run_alone(copy: Made, tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSamplesError):
        train(tmp_path / source, copy.folder, copy.settings, quiet=True)
    assert load_run(copy.folder).labels == copy.run.labels


def test_a_report_of_an_earlier_training_is_not_exported(copy: Made, tmp_path: Path) -> None:
    settings = replace(copy.settings, head=replace(copy.settings.head, strength=0.5))
    train(copy.drawn.manifest, copy.folder, settings, quiet=True)
    with pytest.raises(BadRunError, match="earlier training"):
        export(copy.run, tmp_path / "bundle", name="x")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"answers": {}}'])
def test_a_report_that_is_none(copy: Made, content: str) -> None:
    (copy.folder / "evaluation" / "report.json").write_text(content)
    with pytest.raises(BadRunError, match="report"):
        read_report(copy.run)


def test_changed_photos_are_not_evaluated_under_the_old_name(copy: Made, tmp_path: Path) -> None:
    text = copy.drawn.manifest.read_text(encoding="utf-8")
    changed = copy.drawn.manifest.with_name("changed.csv")
    changed.write_text(text.replace("train/quartz/000.png,quartz", "train/quartz/000.png,amethyst"), encoding="utf-8")
    assert changed.read_text(encoding="utf-8") != text
    before = (copy.folder / "evaluation" / "report.json").read_bytes()
    with pytest.raises(BadRunError, match="train again"):
        evaluate(replace(copy.run, source=changed), quiet=True)
    assert (copy.folder / "evaluation" / "report.json").read_bytes() == before
    changed.unlink()


def test_no_field_photos_is_said_before_the_work(copy: Made) -> None:
    rows = copy.drawn.manifest.read_text(encoding="utf-8").splitlines()
    without = copy.drawn.manifest.with_name("without.csv")
    without.write_text("\n".join(row for row in rows if ",field," not in row), encoding="utf-8")
    shutil.rmtree(copy.folder / "evaluation")
    with pytest.raises(BadRunError, match="'field'"):
        evaluate(replace(copy.run, source=without), field=True, quiet=True)
    without.unlink()


def test_folders_without_folds_have_the_grouped_protocol_only(made: Made, tmp_path: Path) -> None:
    # Class folders know no photographers: what is trained from them can still be evaluated and described.
    run, data = tmp_path / "run", tmp_path / "data"
    for label in ("almandine", "calcite"):
        shutil.copytree(made.drawn.manifest.parent / "train" / label, data / label)
    assert main(["train", str(data), "--out", str(run), "--no-mirror"]) == 0
    assert main(["evaluate", str(run)]) == 0
    report = read_report(load_run(run))
    assert set(report["protocols"]) == {"all labels, grouped 5-fold"}
    assert report["answers_from"] == "all labels, grouped 5-fold"
    assert "leave-one-fold-out" not in (run / "evaluation" / "report.md").read_text(encoding="utf-8")
    card = model_card("two", load_run(run), report, None)
    assert "says nothing of the photographs' sources" in card
    assert "13 photographs" in card  # folders know no unusable ones either
    assert "On other specimens" in card


def test_export_refuses_an_existing_target(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in made.bundle.iterdir()}
    with pytest.raises(UsageError, match="is there already"):
        export(made.run, made.bundle, name="other")
    assert {path.name: path.read_bytes() for path in made.bundle.iterdir()} == before
    assert main(["export", str(made.folder), "--out", str(made.bundle), "--name", "other"]) == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        export(made.run, tmp_path / "file" / "bundle", name="other")


def test_the_card_and_the_licence_are_the_makers(made: Made, tmp_path: Path) -> None:
    card = (made.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Drawn by hand, más o menos." in card
    assert "says nothing" not in card
    assert open_bundle(made.bundle).manifest["licences"]["weights"] == "CC0-1.0"
    missing = ["--notes", str(tmp_path / "none.md")]
    assert main(["export", str(made.folder), "--out", str(tmp_path / "x"), "--name", "x", *missing]) == 2
    assert not (tmp_path / "x").exists()


def test_export_refuses_an_unevaluated_run(copy: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copy.folder / "evaluation")
    with pytest.raises(BadRunError, match="not evaluated yet"):
        export(copy.run, tmp_path / "bundle", name="x")
    assert main(["export", str(copy.folder), "--out", str(tmp_path / "bundle"), "--name", "x"]) == 1
    assert "not evaluated yet" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"no network"])
def test_export_of_a_run_whose_network_is_gone(copy: Made, tmp_path: Path, content: bytes | None) -> None:
    (copy.folder / "model.keras").unlink()
    if content is not None:
        (copy.folder / "model.keras").write_bytes(content)
    with pytest.raises(BadRunError, match=r"model\.keras"):
        export(copy.run, tmp_path / "bundle", name="x")
    assert not list(tmp_path.glob("bundle*"))


def test_export_keeps_nothing_that_disagrees(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import handlens.training.export as module

    graph = onnx.load(made.bundle / "model.onnx")
    (bias,) = [tensor for tensor in graph.graph.initializer if list(tensor.dims) == [len(LABELS)]]
    moved = numpy_helper.to_array(bias) + np.float32(0.01)
    bias.CopyFrom(numpy_helper.from_array(moved, bias.name))

    def other_graph(net: keras.Model) -> bytes:
        return bytes(graph.SerializeToString())

    monkeypatch.setattr(module, "as_onnx", other_graph)
    with pytest.raises(BadRunError, match="differs from Keras"):
        export(made.run, tmp_path / "bundle", name="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"settings": 3}', '{"settings": {"head": {"strength": -1}}, "source": "x", "labels": []}'],
)
def test_a_run_json_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadRunError, match=r"run\.json cannot be read"):
        load_run(tmp_path)


def test_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(BadRunError, match="no finished training run"):
            load_run(place)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--network", "lite9"], 2),
        (["--strength", "0"], 2),
        (["--strength", "nan"], 2),
    ],
)
def test_wrong_usage_of_train_is_one_sentence(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    assert main(["train", str(made.drawn.manifest), "--out", str(tmp_path / "run"), *arguments]) == status
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert error[0].startswith("handlens train: ")


def test_a_network_whose_weights_are_not_kept_is_one_sentence(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(made.drawn.manifest), "--out", str(tmp_path / "run"), "--network", "lite1"]) == 1
    assert capsys.readouterr().err == "handlens train: no pretrained weights are kept for lite1\n"


def test_a_run_cannot_be_a_file(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be the folder of a run"):
        train(made.drawn.manifest, tmp_path / "file", TrainSettings(), quiet=True)


def test_a_source_of_one_label_or_of_broken_photos_only(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "quartz"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(BadSamplesError, match="two labels or more"):
        train(tmp_path / "data", tmp_path / "run", TrainSettings(mirror=False), quiet=True)
    with pytest.raises(BadRunError):
        load_run(tmp_path / "run")


def test_the_source_is_found_from_another_folder(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made.run.source.is_absolute()
    record = json.loads((made.folder / "run.json").read_text(encoding="utf-8"))
    assert Path(record["source"]) == made.drawn.manifest
