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
from handlens.identifier import Identifier
from handlens.onnx_session import cpu_session
from handlens.selftest import run_self_test
from handlens.training.export import _graph
from handlens.training.joined import JoinedData, join
from handlens.training.run import BadRunError, JoinSettings, Run, load_run, read_split
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
    assert [view.region for view in run.settings.more_views] == ["specimen", "frame"]


def test_the_bundle_gives_the_mean_of_what_the_parts_say(run: Run, data: JoinedData, folder: Path) -> None:
    identifier = Identifier.load(folder / "bundle")
    assert run_self_test(identifier).passed
    everything = np.arange(len(data.samples))
    heads = [part.fit(everything, settings.head) for part, settings in data.parts]
    joined = data.head(everything, run.settings.head)  # type: ignore[union-attr]
    wide = data.source.embeddings(data.plain)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), 1, atol=1e-5)
    graphs = [cpu_session(_graph(load_run(folder / name), int8=True)) for name in ("first", "second")]
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
    assert thorough.heads is None
    assert len(thorough.preprocessing.views) == 4
    views = identifier.look(data.samples[0].path, thorough=True).views
    first, second = (identifier.score(views[at : at + 2]).logits[0] for at in (0, 2))
    both = identifier.score(views).logits[0]
    np.testing.assert_allclose(both, thorough.scale * (first + second) / 2, atol=1e-4)
    assert not np.allclose(first, second)


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
    with pytest.raises(BadRunError, match="different sizes"):
        join(run.source, tmp_path / "f", [first, tmp_path / "larger"])
