"""A thorough look: its arithmetic, its files, and the same answer through every door."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundles import COLOURS, LABELS, REMOVED, expected_logits, solid, weights, write_bundle
from handlens.bundle import BadBundleError, open_bundle
from handlens.cli.main import main
from handlens.client import Client
from handlens.errors import UsageError
from handlens.identification import Identification
from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.thorough import HEADS_FILE, BadThoroughError, Thorough
from handlens.views import Preprocessing, View
from service.running import running

OWN = Preprocessing(32, (View("padded"),))
MIDDLE = replace(OWN, views=(View("crop", 0.5),))


def middle_look(scale: float = 0.5) -> Thorough:
    """The same colours looked for in the middle of the photo."""
    return Thorough(MIDDLE, np.concatenate([*map(np.atleast_2d, weights())])[np.newaxis], scale)


def bundle_with(folder: Path, look: Thorough | None = None, **changes: Any) -> Path:
    look = look or middle_look()
    parts: dict[str, Any] = {"extra": look.files(), "thorough": look.numbers(), "preprocessing": OWN}
    return write_bundle(folder, **(parts | changes))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_with(tmp_path_factory.mktemp("thorough") / "b")


@pytest.fixture(scope="module")
def looking(bundle: Path) -> Identifier:
    return Identifier.load(bundle, threads=1)


def ringed(inner: str = "azurite", outer: str = "quartz") -> NDArray[np.uint8]:
    """Something in the middle of something else, too small to be reduced when it is read."""
    rgb = solid(COLOURS[outer], 72, 72)
    rgb[18:54, 18:54] = COLOURS[inner]
    return rgb


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    pairs = [("azurite", "quartz"), ("quartz", "azurite"), ("calcite", "amethyst")]
    paths = [folder / f"{inner}-{outer}.png" for inner, outer in pairs]
    for path, (inner, outer) in zip(paths, pairs, strict=True):
        Image.fromarray(ringed(inner, outer)).save(path)
    return paths


def test_the_logits_of_all_views_are_averaged_and_scaled() -> None:
    look = middle_look(scale=0.7)
    rng = np.random.default_rng(0)
    own, embedding = rng.normal(size=len(LABELS)), rng.random((1, 3))
    matrix, bias = weights()
    expected = 0.7 * (own + (embedding[0] @ matrix + bias)) / 2
    others = rng.normal(size=(1, len(LABELS)))
    assert look.logits(own, others, embedding) == pytest.approx(expected, abs=1e-4)
    instead = replace(look, instead=True)
    assert instead.logits(own, others, embedding) == pytest.approx(0.7 * (embedding[0] @ matrix + bias), abs=1e-4)
    by_its_own_head = replace(look, heads=None)
    assert by_its_own_head.logits(own, others, embedding) == pytest.approx(0.7 * (own + others[0]) / 2, abs=1e-4)
    assert by_its_own_head.files() == {}


def test_the_middle_is_looked_at_alone(looking: Identifier) -> None:
    rgb = ringed()
    seen = looking.look(rgb, thorough=True)
    views, more = seen.views, seen.more
    assert more is not None
    assert views.shape == more.shape == (1, 32, 32, 3)
    assert np.abs(more[0, 4:-4, 4:-4].astype(int) - COLOURS["azurite"]).max() <= 1
    assert looking.views(rgb)[1].tolist() == views.tolist()
    each = expected_logits(np.stack([views, more]))
    assert looking.score(views, more).logits[0] == pytest.approx(0.5 * each.mean(axis=0), abs=0.05)
    assert looking.score(views, more).embedding.tolist() == looking.score(views).embedding.tolist()
    assert seen.name == "photo"


def test_it_sees_more_of_what_is_in_the_middle(looking: Identifier) -> None:
    rgb = ringed()
    quick, thorough = (
        {one.name: one.probability for one in looking.identify(rgb, top=6, thorough=more).candidates}
        for more in (False, True)
    )
    assert thorough["azurite"] > 10 * quick["azurite"]
    assert sum(thorough.values()) == pytest.approx(1)


def test_several_photos_and_many(looking: Identifier, photos: list[Path]) -> None:
    each = [looking.identify(photo, thorough=True) for photo in photos]
    assert list(looking.identify_each(photos, thorough=True)) == each
    together = looking.identify([*photos], thorough=True)
    assert together.candidates != looking.identify([*photos]).candidates


@pytest.fixture(scope="module")
def answers(looking: Identifier, photos: list[Path]) -> list[dict[str, Any]]:
    """Python's."""
    found = [looking.identify(photo, thorough=True).as_dict() for photo in photos]
    assert found != [looking.identify(photo).as_dict() for photo in photos]
    return found


def test_the_command_line(
    answers: list[dict[str, Any]], bundle: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--bundle", str(bundle), "--thorough", "--format", "jsonl"]
    assert main(["identify", *map(str, photos), *asked]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == answers


def test_the_service_and_its_client(answers: list[dict[str, Any]], looking: Identifier, photos: list[Path]) -> None:
    by_name = [answer | {"photo": photo.name} for answer, photo in zip(answers, photos, strict=True)]
    with running(create_app(looking)) as base, Client(base) as client:
        assert [client.identify(photo, thorough=True).as_dict() for photo in photos] == by_name
        lines = list(client.identify_batch(photos, thorough=True))
        assert [one.as_dict() for one in lines if isinstance(one, Identification)] == by_name
        assert [client.identify(photo).as_dict() for photo in photos] != by_name
        scored = client.identify(photos[0], thorough=True, scores=True)
        again = client.reweigh(scored)
        assert again.decision.name == scored.decision.name
        assert again.decision.probability == pytest.approx(scored.decision.probability, abs=1e-5)


def test_batch_runs(looking: Identifier, bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    given = ["batch", str(photos[0].parent), "--bundle", str(bundle), "--workers", "1", "--quiet", "--no-review"]
    run = tmp_path / "run"
    assert main([*given, "--out", str(run), "--thorough"]) == 0
    rows = {row["photo"]: row for row in map(json.loads, (run / "results.jsonl").read_text().splitlines())}
    for photo in photos:
        assert rows[photo.name] == looking.identify(photo, thorough=True).as_dict() | {"photo": photo.name}
    assert main([*given, "--out", str(run)]) == 2  # another run than the one that is there


def test_a_bundle_without_more_views_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_bundle(tmp_path / "plain")
    identifier, rgb = Identifier.load(plain, threads=1), ringed()
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="tiny-1 has no more views"):
        identifier.identify(rgb, thorough=True)
    with pytest.raises(UsageError, match="no more views"):
        identifier.identify_each([rgb], thorough=True)
    assert main(["identify", str(tmp_path / "a.png"), "--bundle", str(plain), "--thorough"]) == 2
    assert "no more views" in capsys.readouterr().err
    out = tmp_path / "run"
    assert main(["batch", str(tmp_path / "a.png"), "--out", str(out), "--bundle", str(plain), "--thorough"]) == 2


def test_the_service_says_so(tmp_path: Path) -> None:
    identifier = Identifier.load(write_bundle(tmp_path / "plain"), threads=1)
    Image.fromarray(ringed()).save(tmp_path / "a.png")
    with running(create_app(identifier)) as base:
        for route in ("/v1/identify", "/v1/identify/batch"):
            files = {"photos": ("a.png", (tmp_path / "a.png").read_bytes())}
            answer = httpx.post(f"{base}{route}", files=files, data={"thorough": "1"}, timeout=60)
            assert answer.status_code == 422
            assert "no more views" in answer.json()["detail"]


def test_files_survive_the_bundle(bundle: Path) -> None:
    read = open_bundle(bundle).thorough
    assert read is not None
    assert read.preprocessing == MIDDLE
    assert read.instead is False
    assert read.scale == 0.5
    assert read.heads == pytest.approx(HEADS, rel=1e-3)
    assert open_bundle(bundle).without_graphs().thorough is not None


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


HEADS = np.asarray(middle_look().heads)
TWO = replace(OWN, views=(*OWN.views, *MIDDLE.views))
TWO_MORE: dict[str, Any] = {"scale": 1.0, "side": 32, "views": [{"kind": "padded"}, {"kind": "crop", "fraction": 0.5}]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"extra": {}}, "thorough_heads.npy is missing"),
        ({"extra": {HEADS_FILE: b"no array"}}, "cannot be read"),
        ({"extra": {HEADS_FILE: saved(HEADS[0])}}, "no head for each of 1 views"),
        ({"extra": {HEADS_FILE: saved(np.tile(HEADS, (2, 1, 1)))}}, "no head for each of 1 views"),
        ({"extra": {HEADS_FILE: saved(HEADS.astype(int))}}, "no head for each"),
        ({"extra": {HEADS_FILE: saved(HEADS * np.nan)}}, "no numbers"),
        ({"extra": {HEADS_FILE: saved(HEADS[:, :, :-1])}}, "do not fit an embedding of 3"),
        ({"extra": {HEADS_FILE: saved(HEADS[:, :-1])}}, "do not fit an embedding of 3"),
        ({"thorough": middle_look().numbers() | {"scale": 0}}, "no number above 0"),
        ({"thorough": middle_look().numbers() | {"scale": True}}, "no number above 0"),
        ({"thorough": middle_look().numbers() | {"views": []}}, "0 views"),
        ({"thorough": middle_look().numbers() | {"views": [{"kind": "crop", "fraction": 2}]}}, "fraction 2"),
        (
            {"thorough": middle_look().numbers() | {"views": [{"kind": "padded", "grey": True}]}},
            "where the specimen is",
        ),
        ({"thorough": {"scale": 1.0}}, "incomplete"),
        ({"thorough": None}, "incomplete"),
        ({"preprocessing": TWO}, "2 of each"),
        ({"preprocessing": TWO, "thorough": TWO_MORE | {"views": 5 * TWO_MORE["views"]}}, "1 to 4 looks"),
        ({"thorough": middle_look().numbers() | {"side": 64}}, "does not take the views of 64 pixels"),
        ({"thorough": middle_look().numbers() | {"side": "32"}}, "side '32'"),
        ({"thorough": middle_look().numbers() | {"instead": 1}}, "stand in for the network's own is 1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadBundleError, match=told):
        open_bundle(bundle_with(tmp_path / "b", **changes))


def test_without_its_key_the_file_means_nothing(tmp_path: Path) -> None:
    assert open_bundle(bundle_with(tmp_path / "b", thorough=REMOVED)).thorough is None


def test_reading_raises_its_own_error() -> None:
    with pytest.raises(BadThoroughError):
        Thorough.read({"scale": 0, "views": []}, {}, OWN)


def test_a_network_of_two_views_looks_again_by_its_own_head(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", preprocessing=TWO, thorough=TWO_MORE | {"own_head": True})
    identifier = Identifier.load(path, threads=1)
    seen = identifier.look(ringed(), thorough=True)
    assert seen.more is not None
    assert len(seen.views) == len(seen.more) == 2
    first, second = (identifier.score(views).logits[0] for views in (seen.views, seen.more))
    assert identifier.score(seen.views, seen.more).logits[0] == pytest.approx((first + second) / 2, abs=1e-5)
    thorough = identifier.bundle.thorough
    assert thorough is not None
    assert thorough.numbers() == TWO_MORE | {"own_head": True}
