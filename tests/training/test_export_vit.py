"""The transformer from drawn pictures to a bundle: what the figures are of is what ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.evaluation.evaluate import read_report
from handlens.identifier import Identifier
from handlens.selftest import run_self_test
from handlens.training.run import LOOKS, MORE_VIEWS, TrainSettings, load_run, read_split
from handlens.training.samples import read_samples, with_split
from handlens.training.thorough_fit import thorough_logits
from training.drawn_set import draw_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformer")
    drawn = draw_set(folder / "data")
    with threadpool_limits(1):
        flags = ["--network", "vits14", "--look", "box", "--nuisance", "2", "--no-mirror", "--thorough"]
        assert main(["train", str(drawn.manifest), "--out", str(folder / "run"), *flags]) == 0
        assert main(["evaluate", str(folder / "run"), "--protocol", "grouped"]) == 0
        assert main(["export", str(folder / "run"), "--out", str(folder / "bundle"), "--name", "drawn-vit"]) == 0
    return folder


def test_the_run_remembers_how_it_was_made(folder: Path) -> None:
    settings = load_run(folder / "run").settings
    assert isinstance(settings, TrainSettings)
    assert (settings.network, settings.look, settings.head.nuisance) == ("vits14", "box", 2)
    assert settings.preprocessing.views == LOOKS["box"]
    assert settings.preprocessing.side == 224


def test_the_bundle_answers_with_the_features_that_the_head_was_judged_on(folder: Path) -> None:
    """Its numbers in 8 bits have one scale for all that runs together, so features are taken a photo at a time."""
    run, identifier = load_run(folder / "run"), Identifier.load(folder / "bundle")
    assert run_self_test(identifier).passed
    settings = run.settings
    assert isinstance(settings, TrainSettings)
    data = read_split(run.source, "train", settings, folder / "run", mirror=False, quiet=True)
    with threadpool_limits(1):  # fitted with as many threads as before, it is the same to the last digits
        head = data.fit(data.places(settings), settings.head)
    for place in (0, len(data.samples) // 2, len(data.samples) - 1):
        _, views = identifier.views(data.samples[place].path)
        logits = identifier.score(views).logits[0]
        np.testing.assert_allclose(logits, head.logits(data.plain[place : place + 1])[0], atol=1e-4)


def test_a_thorough_look_is_what_was_judged(folder: Path) -> None:
    run, identifier = load_run(folder / "run"), Identifier.load(folder / "bundle")
    report, look = read_report(run), identifier.bundle.thorough
    assert look is not None
    assert look.preprocessing.views == MORE_VIEWS["box"]
    assert look.scale == report["thorough"]["scale"]
    settings = run.settings
    assert isinstance(settings, TrainSettings)
    data = read_split(run.source, "train", settings, folder / "run", mirror=False, quiet=True)
    places, shown = data.places(settings), np.array([0, len(data.samples) - 1])
    with threadpool_limits(1):
        labels, expected = thorough_logits(data, places, shown, settings)
    assert tuple(labels) == identifier.bundle.labels
    for place, logits in zip(shown, expected, strict=True):
        seen = identifier.look(data.samples[place].path, thorough=True)
        # Heads ship in half precision.
        np.testing.assert_allclose(identifier.score(seen.views, seen.more).logits[0], look.scale * logits, atol=0.02)
    judged = report["protocols"]["all labels, grouped 5-fold, thorough"]
    own = report["protocols"]["all labels, grouped 5-fold"]
    assert judged["flat"]["photos"] == own["flat"]["photos"]
    assert judged["ece_before_temperature"] != own["ece_before_temperature"]
    assert "A thorough look (`--thorough`) adds 0.7 of the centre square of its box" in identifier.bundle.card


def test_explanations_name_its_training_photos(folder: Path) -> None:
    identifier, run = Identifier.load(folder / "bundle"), load_run(folder / "run")
    references = identifier.bundle.references()
    assert references is not None
    samples = [sample for sample in with_split(read_samples(run.source), "train") if sample.usable]
    assert len(references.labels) == len(samples) - 1  # one file is broken
    sample = samples[0]
    _, views = identifier.views(sample.path)
    assert identifier.bundle.open_set is not None
    nearest = references.nearest(identifier.score(views).embedding[0], identifier.bundle.open_set)[0]
    assert (nearest.label, nearest.source) == (sample.label, sample.source or sample.file)
    assert nearest.similarity > 0.99


def test_a_look_without_more_views_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(load_run(folder / "run").source)
    assert main(["train", source, "--out", str(folder / "none"), "--look", "specimen", "--thorough"]) == 2
    assert "no more views" in capsys.readouterr().err


def test_it_brings_the_localiser_and_says_what_it_is(folder: Path) -> None:
    bundle = open_bundle(folder / "bundle")
    assert bundle.localiser is not None
    assert "DINOv2-S" in bundle.manifest["licences"]["backbone"]
    assert "One view of the photo (the specimen's box padded to a square, its background greyed), 224 px" in bundle.card
    assert "Left out are 2 directions" in bundle.card
    assert "before that" not in bundle.card  # the figures are those of the 8 bits
    assert len(bundle.graph) < 31e6  # four blocks have 2 bytes a weight, the others one


def test_the_unknown_score_ships_with_it(folder: Path) -> None:
    """Drawn shapes differ in few directions; noise lies beside them."""
    identifier = Identifier.load(folder / "bundle")
    open_set = identifier.bundle.open_set
    assert open_set is not None
    assert identifier.bundle.manifest["open_set"]["score"] == "residual"  # there was no unknown mineral to learn from
    sample = with_split(read_samples(load_run(folder / "run").source), "train")[0]
    known = identifier.fused(sample.path).novelty
    noise = identifier.fused(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)).novelty
    assert known is not None
    assert noise is not None
    assert known.far < 0.6 < noise.far
