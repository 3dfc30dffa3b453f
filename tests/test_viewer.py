"""A bundle whose views depend on where the specimen is: it brings its localiser, and every door looks the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bundles import (
    FINDING_PREPROCESSING,
    PREPROCESSING,
    bundle_files,
    edit_manifest,
    expected_logits,
    write_bundle,
)
from commands import run
from handlens.bundle import BadBundleError, open_bundle
from handlens.client import Client
from handlens.explain import explain
from handlens.identification import SEVERAL_SPECIMENS, Identification
from handlens.identifier import Identifier
from handlens.localiser_files import GRAPH, MANIFEST
from handlens.photo import Crop, read_photo
from handlens.service import create_app
from handlens.specimen_localiser import Localiser
from handlens.viewer import Viewer, viewer_of
from handlens.views import make_views
from service.running import running

RED = (200, 20, 20)


def stone(width: int = 400, height: int = 300) -> NDArray[np.uint8]:
    """A dark red stone with a rough outline on a light ground."""
    picture = Image.new("RGB", (width, height), (225, 228, 232))
    chance = np.random.default_rng(2)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = chance.uniform(0.8, 1.1, 24) * height / 4
    outline = [
        (float(width / 2 + r * np.cos(a)), float(height / 2 + r * np.sin(a)))
        for a, r in zip(angles, reach, strict=True)
    ]
    ImageDraw.Draw(picture).polygon(outline, fill=RED)
    rgb = np.asarray(picture, np.float64) + chance.normal(0, 6, (height, width, 3))
    return rgb.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("finding") / "b", preprocessing=FINDING_PREPROCESSING)


def test_the_specimen_is_found_before_it_is_looked_at(bundle: Path) -> None:
    rgb = read_photo(stone(), needed_side=FINDING_PREPROCESSING.needed_side).rgb
    specimen = Localiser.load().locate(rgb)
    assert not specimen.fills_frame, "the localiser finds a stone on a plain ground"
    identifier = Identifier.load(bundle)
    _, views = identifier.views(stone())
    np.testing.assert_array_equal(views, make_views(rgb, specimen, FINDING_PREPROCESSING))
    assert (views[1, 0, 0] == 127).all()
    wanted = expected_logits(views[np.newaxis])
    np.testing.assert_allclose(identifier.score(views).logits, wanted, atol=1e-3)


def stones() -> NDArray[np.uint8]:
    """Two of them apart from each other, the second smaller."""
    rgb = np.concatenate([stone(300, 300), stone(300, 300)], axis=1)
    rgb[:40, 300:] = rgb[:1, 300:]
    return rgb


def test_several_stones_are_warned_of_at_every_door(bundle: Path, tmp_path: Path) -> None:
    identifier = Identifier.load(bundle)
    assert identifier.identify(stone()).warnings == ()
    assert identifier.identify(stones()).warnings == (SEVERAL_SPECIMENS,)
    assert identifier.identify([stone(), stones()]).warnings == (SEVERAL_SPECIMENS,)
    assert identifier.identify(stones(), crop=Crop(0, 0, 300, 300)).warnings == ()
    photo = tmp_path / "two.png"
    Image.fromarray(stones()).save(photo)
    (each,) = identifier.identify_each([photo])
    assert isinstance(each, Identification)
    assert each.as_dict()["warnings"] == ["several-specimens"]
    with running(create_app(identifier)) as base, Client(base) as client:
        answer = client.identify(photo, scores=True)
        assert answer.warnings == (SEVERAL_SPECIMENS,)
        assert client.reweigh(answer, evidence={"hardness": "7"}).warnings == (SEVERAL_SPECIMENS,)
        assert client.reweigh(answer.scores or {}, evidence={"hardness": "7"}).warnings == ()
    out = tmp_path / "run"
    assert run("batch", photo, "--out", out, "--bundle", bundle, "--workers", "1", "--quiet", "--no-review") == 0
    assert pq.read_table(out / "results.parquet").to_pylist()[0]["warnings"] == ["several-specimens"]


def test_it_is_said_in_words(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(stones()).save(tmp_path / "two.png")
    assert run("identify", tmp_path / "two.png", "--bundle", bundle) == 0
    assert "several specimens: crop to the one" in capsys.readouterr().out
    assert run("identify", tmp_path / "two.png", "--bundle", bundle, "--lang", "es") == 0
    assert "varios ejemplares" in capsys.readouterr().out
    assert run("identify", tmp_path / "two.png", "--bundle", bundle, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(",several-specimens")


def test_the_localiser_of_the_bundle_is_used_and_verified(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    assert opened.localiser is not None
    assert opened.localiser.graph == (bundle / GRAPH).read_bytes()
    assert run("bundle", "verify", bundle) == 0
    for name in (GRAPH, MANIFEST):
        broken = tmp_path / name
        shutil.copytree(bundle, broken)
        content = bytearray((broken / name).read_bytes())
        content[len(content) // 2] ^= 1
        (broken / name).write_bytes(content)
        with pytest.raises(BadBundleError, match=f"{name} is damaged"):
            open_bundle(broken)


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_a_bundle_without_the_localiser_that_it_needs(tmp_path: Path, name: str) -> None:
    plain = write_bundle(tmp_path / "a", preprocessing=PREPROCESSING)
    assert open_bundle(plain).localiser is None
    files = bundle_files(preprocessing=FINDING_PREPROCESSING)
    made = tmp_path / "b"
    made.mkdir()
    for file, content in files.items():
        if file != name:
            (made / file).write_bytes(content)
    listed = json.loads((made / "bundle.json").read_text())["files"]
    del listed[name]
    edit_manifest(made, files=listed)
    with pytest.raises(BadBundleError, match=f"{name} is missing, which the views need"):
        open_bundle(made)


def test_the_map_covers_the_photo_and_keeps_the_specimen(bundle: Path) -> None:
    """The cover is not taken for a specimen: the place is that of the photo without it."""
    identifier = Identifier.load(bundle)
    found = explain(identifier, stone(), label="almandine")
    inside, corner = found.heat[4:6, 4:6].mean(), found.heat[0, 0]
    assert inside > corner


def test_what_needs_no_specimen_loads_no_localiser() -> None:
    viewer = viewer_of(PREPROCESSING)
    rgb = stone()
    assert viewer.specimen(rgb).fills_frame
    with pytest.raises(AssertionError):
        Viewer(FINDING_PREPROCESSING)
