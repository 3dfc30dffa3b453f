"""Two runs on drawn pictures that answer together: vits14 at the specimen and lite0 at the whole photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from handlens.bundle import open_bundle
from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.evaluation.evaluate import read_report
from handlens.identifier import Identifier
from handlens.onnx_session import cpu_session
from handlens.selftest import run_self_test
from handlens.training.export import _graph
from handlens.training.joined import JoinedData, join
from handlens.training.run import BadRunError, JoinSettings, Run, load_run, read_split
from handlens.training.thorough_fit import thorough_logits
from training.drawn_set import draw_set

ALIKE = ("--no-mirror", "--side", "70", "--thorough")
FIRST = ("--network", "vits14", "--look", "box", "--patches", "9", *ALIKE)
SECOND = ("--network", "lite0", "--look", "whole", *ALIKE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    source = str(draw_set(folder / "data").manifest)
    parts = [str(folder / "first"), str(folder / "second")]
    with threadpool_limits(1):
        assert main(["train", source, "--out", parts[0], *FIRST]) == 0
        assert main(["train", source, "--out", parts[1], *SECOND]) == 0
        assert main(["train", source, "--out", str(folder / "run"), "--method", "join", "--runs", *parts]) == 0
        assert main(["evaluate", str(folder / "run"), "--protocol", "leave-one-fold-out", "--field"]) == 0
        assert main(["export", str(folder / "run"), "--out", str(folder / "bundle"), "--name", "drawn-joined"]) == 0
        larger = [str(folder / "larger"), "--thorough-side", "84"]
        assert main(["train", source, "--method", "join", "--runs", *parts, "--out", *larger]) == 0
        assert main(["evaluate", str(folder / "larger"), "--protocol", "leave-one-fold-out"]) == 0
        assert main(["export", str(folder / "larger"), "--out", str(folder / "larger bundle"), "--name", "larger"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder / "run")


@pytest.fixture(scope="module")
def data(run: Run) -> JoinedData:
    assert isinstance(run.settings, JoinSettings)
    found = read_split(run.source, "train", run.settings, run.folder, mirror=False, quiet=True)
    assert isinstance(found, JoinedData)
    return found


def test_the_views_of_all_follow_each_other(run: Run) -> None:
    assert isinstance(run.settings, JoinSettings)
    assert [view.region for view in run.settings.preprocessing.views] == ["specimen", "frame"]
    assert [[view.region for view in look.views] for look in run.settings.more_looks] == [["specimen", "frame"]]


def test_the_bundle_gives_the_mean_of_what_the_parts_say(run: Run, data: JoinedData, folder: Path) -> None:
    identifier = Identifier.load(folder / "bundle")
    assert run_self_test(identifier).passed
    everything = np.arange(len(data.samples))
    heads = [part.fit(everything, settings.head) for part, settings in data.parts]
    joined = data.head(everything, run.settings.head)  # type: ignore[union-attr]
    wide = data.source.embeddings(data.plain)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), 1, atol=1e-5)
    graphs = [cpu_session(_graph(load_run(folder / name), int8=True, larger=0)) for name in ("first", "second")]
    for place in (0, 7, len(data.samples) - 1):
        each = [head.logits(part.plain[[place]])[0] for head, (part, _) in zip(heads, data.parts, strict=True)]
        np.testing.assert_allclose(joined.logits(data.plain[[place]])[0], np.mean(each, axis=0), atol=1e-3)
        _, views = identifier.views(data.samples[place].path)
        scores = identifier.score(views)
        found = [graph.run(["logits"], {"views": views[np.newaxis, [at]]})[0][0] for at, graph in enumerate(graphs)]
        np.testing.assert_allclose(scores.logits[0], np.mean(found, axis=0), atol=1e-4)
        np.testing.assert_allclose(found[0], each[0], atol=1e-3)  # the second part is in 8 bits in the bundle only
        assert scores.embedding[0] @ wide[place] > 0.95


def test_a_thorough_look_takes_as_many_views_again(folder: Path, data: JoinedData) -> None:
    identifier = Identifier.load(folder / "bundle")
    thorough = identifier.bundle.thorough
    assert thorough is not None
    assert thorough.heads is not None
    assert len(thorough.heads) == 1
    assert len(thorough.preprocessing.views) == 2
    seen = identifier.look(data.samples[0].path, thorough=True)
    assert seen.more is not None
    first, second = identifier.score(seen.views), identifier.score(seen.more)
    read = second.embedding[0] @ thorough.heads[0][:-1] + thorough.heads[0][-1]
    both = identifier.score(seen.views, seen.more).logits[0]
    np.testing.assert_allclose(both, thorough.scale * (first.logits[0] + read) / 2, atol=1e-4)
    assert not np.allclose(first.logits[0], read)


def test_a_larger_thorough_look_is_what_was_judged(folder: Path, data: JoinedData) -> None:
    """Both views again, and both middles, at 84 pixels: by the one graph, and by what was evaluated."""
    run = load_run(folder / "larger")
    assert isinstance(run.settings, JoinSettings)
    report, identifier = read_report(run), Identifier.load(folder / "larger bundle")
    thorough = identifier.bundle.thorough
    assert thorough is not None
    assert [view.as_dict() for view in thorough.preprocessing.views] == report["thorough"]["views"]
    assert (thorough.preprocessing.side, identifier.bundle.preprocessing.side) == (84, 70)
    assert thorough.instead
    everything, judged = np.arange(len(data.samples)), np.arange(0, len(data.samples), 9)
    with threadpool_limits(1):
        labels, expected = thorough_logits(data, everything, judged, run.settings)
    assert tuple(labels) == identifier.bundle.labels
    alike = []
    for place, wanted in zip(judged, expected, strict=True):
        seen = identifier.look(data.samples[place].path, thorough=True)
        assert seen.more is not None
        assert seen.more.shape == (4, 84, 84, 3)
        found = identifier.score(seen.views, seen.more).logits[0] / thorough.scale
        alike.append(np.corrcoef(found, wanted)[0, 1])
    assert np.mean(alike) > 0.98  # the second part is in 8 bits in the bundle only
    assert "averages the logits of 2 such looks at 84 px instead" in identifier.bundle.card


def test_views_of_any_side_change_nothing_at_the_own(folder: Path, data: JoinedData) -> None:
    same = Identifier.load(folder / "bundle"), Identifier.load(folder / "larger bundle")
    for sample in data.samples[:3]:
        first, second = (one.score(one.views(sample.path)[1]) for one in same)
        np.testing.assert_array_equal(first.logits, second.logits)
        np.testing.assert_array_equal(first.embedding, second.embedding)


def test_the_report_has_both_looks_and_the_card_both_networks(folder: Path) -> None:
    report = json.loads((folder / "run/evaluation/report.json").read_text())
    assert {"all labels, leave-one-fold-out", "all labels, leave-one-fold-out, thorough"} <= report["protocols"].keys()
    card = open_bundle(folder / "bundle").card
    assert "2 networks, the mean of whose logits counts." in card
    assert "averages the logits of 2 such looks" in card
    assert "ViT-S/14" in card
    assert "EfficientNet (lite0)" in card
    licences = open_bundle(folder / "bundle").manifest["licences"]["backbone"]
    assert "DINOv2" in licences
    assert "lite0" in licences


def test_what_cannot_be_joined(run: Run, folder: Path, tmp_path: Path) -> None:
    first, second = folder / "first", folder / "second"
    with pytest.raises(UsageError, match="two runs"):
        join(run.source, tmp_path / "a", [first])
    with pytest.raises(BadRunError, match="linear heads without mirrored copies"):
        join(run.source, tmp_path / "b", [first, folder / "run"])
    assert main(["train", str(run.source), "--out", str(tmp_path / "c"), "--method", "join", "--network", "lite0"]) == 2
    assert main(["train", str(run.source), "--out", str(tmp_path / "d"), "--runs", str(first), str(second)]) == 2
    other = draw_set(tmp_path / "other").manifest
    other.write_text("\n".join(other.read_text().splitlines()[:-20]) + "\n")
    flags = ("--network", "lite0", "--look", "whole", "--no-mirror")
    with threadpool_limits(1):
        assert main(["train", str(other), "--out", str(tmp_path / "fewer"), *flags, "--side", "70"]) == 0
        assert main(["train", str(run.source), "--out", str(tmp_path / "larger"), *flags, "--side", "84"]) == 0
    with pytest.raises(BadRunError, match="different photos"):
        join(run.source, tmp_path / "e", [first, tmp_path / "fewer"])
    with pytest.raises(UsageError, match="multiple of 14"):
        join(run.source, tmp_path / "g", [first, second], thorough_side=80)
    with pytest.raises(UsageError, match="56 pixels are smaller"):
        join(run.source, tmp_path / "g", [first, second], thorough_side=56)
    with pytest.raises(UsageError, match="trained without more views"):
        join(run.source, tmp_path / "h", [tmp_path / "larger", tmp_path / "larger"], thorough_side=140)
    with pytest.raises(BadRunError, match="different sizes"):
        join(run.source, tmp_path / "f", [first, tmp_path / "larger"])
