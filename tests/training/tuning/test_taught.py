"""A small network that learns from a larger one, on drawn pictures: lite0 from vits14."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.selftest import run_self_test
from handlens.training.frozen import weights_of
from handlens.training.head import LinearHead
from handlens.training.run import FrozenData, Run, TrainSettings, load_run, read_split
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.targets import Lesson, of_labels, of_teacher
from training import drawn_set
from training.drawn_set import draw_set

TEACHER = ("--network", "vits14", "--no-mirror", "--look", "box", "--side", "56", "--patches", "9")
PUPIL = ("--network", "lite0", "--method", "tune", "--look", "whole", "--side", "64", "--epochs", "2", "--batch", "8")
ORIGINS = {"ann": "museum", "ben": "web", "cleo": "web"}


def with_others(manifest: Path) -> Path:
    """The drawn set with collections, and with photos of an unknown mineral of both, and of a group of the set."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row | {"origin": ORIGINS[row["fold"]], "half": ""} for row in csv.DictReader(file)]
    for seed, (half, origin, group) in enumerate(
        [("A", "museum", "u0"), ("A", "web", "u1"), ("A", "", "quartz-ben-0"), ("B", "web", "u3"), ("A", "web", "u4")]
    ):
        name = f"others/{seed}.png"
        (manifest.parent / "others").mkdir(exist_ok=True)
        drawn_set.draw("almandine", "ben", 900 + seed).save(manifest.parent / name)
        rows.append({"file": name, "label": "benitoite", "group": group, "split": "others", "usable": "yes"})
        rows[-1] |= {"origin": origin, "half": half, "fold": "", "remark": ""}
    (manifest.parent / "others/4.png").write_bytes(b"no picture")
    listed = manifest.with_name("with-others.csv")
    with listed.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return listed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    listed = with_others(draw_set(folder / "data").manifest)
    with threadpool_limits(1):
        assert main(["train", str(listed), "--out", str(folder / "teacher"), *TEACHER]) == 0
        taught = ("--teacher", str(folder / "teacher"), "--teacher-share", "0.6")
        assert main(["train", str(listed), "--out", str(folder / "run"), *PUPIL, *taught]) == 0
        assert main(["evaluate", str(folder / "run"), "--protocol", "leave-one-fold-out", "--field"]) == 0
        made = str(folder / "bundle")
        assert main(["export", str(folder / "run"), "--out", made, "--name", "drawn-small", "--int8"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder / "run")


@pytest.fixture(scope="module")
def data(run: Run) -> FrozenData:
    return read_split(run.source, "train", settings_of(run), run.folder, mirror=False, quiet=True)


def settings_of(run: Run) -> TrainSettings:
    assert isinstance(run.settings, TrainSettings)
    return run.settings


def test_the_run_remembers_its_teacher(run: Run, folder: Path) -> None:
    settings = settings_of(run)
    assert settings.teacher == str(folder / "teacher")
    assert settings.teacher_share == 0.6
    assert settings.tune == TuneSettings(unfrozen=6, rate=4e-4, batch=8, epochs=2)


def test_only_the_last_blocks_are_trained_and_no_statistics(run: Run, data: FrozenData) -> None:
    source = data.seen_by(data.places(settings_of(run)), settings_of(run)).source
    before, after = weights_of(data.source.network()), weights_of(source.network())
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name.partition("_")[0] for name in moved if name.startswith("block")} == {
        f"block{number}" for number in range(10, 16)
    }
    assert not any("moving" in name for name in moved)
    assert {name for name in moved if not name.startswith("block")} == {"head/kernel", "head_bn/gamma", "head_bn/beta"}


def test_the_bundle_answers_with_the_trained_head(run: Run, data: FrozenData, folder: Path) -> None:
    identifier = Identifier.load(folder / "bundle")
    assert run_self_test(identifier).passed
    assert identifier.bundle.localiser is None
    settings = settings_of(run)
    seen = data.seen_by(data.places(settings), settings)
    head = seen.head(data.places(settings), settings.head)
    assert isinstance(head, LinearHead)
    assert head is seen.source.head  # type: ignore[attr-defined]
    for place in (0, len(data.samples) - 1):
        _, views = identifier.views(data.samples[place].path)
        logits = identifier.score(views).logits[0]
        wanted = head.logits(seen.plain[place : place + 1])[0]
        assert np.corrcoef(logits, wanted)[0, 1] > 0.9  # drawn pictures are further from their 8 bits than photos


def test_the_card_names_the_teacher(folder: Path) -> None:
    card = open_bundle(folder / "bundle").card
    assert "Its last 6 blocks were trained" in card
    assert "60 % of what it learnt of a photo is what a larger network (vits14) said of it" in card
    assert "in 8 bits" in card


def test_what_a_teacher_says_of_photos_that_it_may_not_have_seen(data: FrozenData) -> None:
    assert data.teacher is not None
    everything = np.arange(len(data.samples))
    lesson = data.teacher.lesson(everything)
    assert lesson.rows.tolist() == [0, 1, 2]  # neither half B nor what is no picture
    assert lesson.labels == tuple(sorted({sample.label for sample in data.samples}))
    np.testing.assert_allclose(lesson.learnt.probabilities.sum(axis=1), 1, atol=1e-5)
    # A collection that only held-out photos are of, and a group of which one is held out.
    no_museum = [place for place in everything if data.samples[place].fold != "ann"]
    assert data.teacher.lesson(np.array(no_museum)).rows.tolist() == [1, 2]
    no_ben = [place for place in everything if data.samples[place].fold != "ben"]
    assert data.teacher.lesson(np.array(no_ben)).rows.tolist() == [0, 1]
    part = data.subset(["quartz", "calcite"])
    assert part.teacher is not None
    assert part.teacher.lesson(np.arange(len(part.samples))).labels == ("calcite", "quartz")


def test_a_teacher_speaks_of_labels_as_frequent_as_its_pupil_sees_them(data: FrozenData) -> None:
    assert data.teacher is not None
    everything = np.arange(len(data.samples))
    counts = np.unique([sample.label for sample in data.samples], return_counts=True)[1]
    shares = np.log(counts / counts.sum())
    settings = data.teacher.settings
    natural = replace(settings, head=replace(settings.head, balance=0.0, adjust=1.5))
    each = [
        np.log(replace(data.teacher, settings=natural, balance=balance).lesson(everything).learnt.probabilities)
        for balance in (0.0, 1.0)
    ]
    less = each[0] - each[1]
    np.testing.assert_allclose(
        less - less.mean(axis=1, keepdims=True), np.tile(shares - shares.mean(), (len(less), 1)), atol=1e-3
    )
    # One that saw every label alike has nothing more to take out.
    plain, asked = (replace(data.teacher, balance=balance).lesson(everything).learnt for balance in (0.0, 1.0))
    np.testing.assert_array_equal(plain.probabilities, asked.probabilities)


def test_the_trained_head_loses_what_is_frequent(run: Run, data: FrozenData) -> None:
    settings = settings_of(run)
    chosen = data.places(settings)
    plain = data.seen_by(chosen, settings).head(chosen, settings.head)
    less = replace(settings, head=replace(settings.head, adjust=1.0))
    counts = np.unique([data.samples[place].label for place in chosen], return_counts=True)[1]
    found = data.seen_by(chosen, less).head(chosen, less.head)  # the network that is kept, no other
    np.testing.assert_allclose(plain.bias - found.bias, np.log(counts / counts.sum()), atol=1e-5)
    np.testing.assert_array_equal(plain.weights, found.weights)


def test_targets() -> None:
    names = ("a", "b")
    alone = of_labels(np.array(["a", "a", "a", "b"]), names, 0.2)
    np.testing.assert_allclose(alone.probabilities[[0, 3]], [[0.9, 0.1], [0.1, 0.9]])
    np.testing.assert_allclose(alone.weights, [2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(of_labels(np.array(["a", "a", "a", "b"]), names, 0.2, 0.5).weights ** 2, alone.weights)
    np.testing.assert_array_equal(of_labels(np.array(["a", "a", "a", "b"]), names, 0.2, 0.0).weights, [1, 1, 1, 1])
    told = of_teacher(np.log([[0.25, 0.75]] * 4))
    more = of_teacher(np.array([[0.0, 0.0]]))
    mixed = Lesson(names, told, 0.5, np.array([7]), more).targets(alone)
    np.testing.assert_allclose(mixed.probabilities[[0, 3, 4]], [[0.575, 0.425], [0.175, 0.825], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(mixed.weights, [2 / 3, 2 / 3, 2 / 3, 2, 1])


def test_who_cannot_teach(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["train", str(run.source), "--out", str(tmp_path / "run"), *PUPIL]
    assert main([*flags, "--teacher", str(tmp_path)]) != 0
    assert "there is no finished training run here" in capsys.readouterr().err
    with pytest.raises(UsageError, match="teacher is for"):
        TrainSettings(network="lite0", teacher="x")
    with pytest.raises(UsageError, match="share"):
        TrainSettings(network="lite0", mirror=False, look="whole", tune=TuneSettings(), teacher="x", teacher_share=1.5)
    assert main(["train", str(run.source), "--out", str(tmp_path / "a"), "--teacher", "x"]) == 2
