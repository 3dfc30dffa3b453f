"""One process, several, a cluster and `Identifier.identify` itself give the same answers."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.drawn import documents, folder, table
from commands import run
from handlens.batch.answering import Answering
from handlens.batch.local_engine import LocalEngine
from handlens.batch.units import Asked, Failure, PhotoRef, Unit
from handlens.identifier import Identifier

TOLERANCE = 1e-5


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The same decision and names, and numbers that differ by 1e-5 at most."""
    assert found["decision"]["name"] == wanted["decision"]["name"]
    assert found["prediction_set"] == wanted["prediction_set"]
    assert [one["name"] for one in found["candidates"]] == [one["name"] for one in wanted["candidates"]]
    for one, other in zip(found["candidates"], wanted["candidates"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=TOLERANCE)
    assert found["decision"]["probability"] == pytest.approx(wanted["decision"]["probability"], abs=TOLERANCE)
    assert found["unknown_score"] == pytest.approx(wanted["unknown_score"], abs=TOLERANCE)
    assert {key: found.get(key) for key in ("photo", "hazards", "next_test")} == {
        key: wanted.get(key) for key in ("photo", "hazards", "next_test")
    }


@pytest.mark.real_photos
def test_local_runs_and_single_photos_agree_on_real_photos(
    tmp_path: Path, real_photos: Callable[[str, int], list[Path]]
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for photo in [*real_photos("train", 20), *real_photos("field", 10), *real_photos("others", 10)]:
        (source / photo.name).symlink_to(photo)
    assert run("batch", source, "--out", tmp_path / "two", "--workers", "2", "--no-review") == 0
    assert run("batch", source, "--out", tmp_path / "one", "--workers", "1", "--index", "--shard-size", "7") == 0
    assert table(tmp_path / "one") == table(tmp_path / "two")
    identifier = Identifier.load()
    found = documents(tmp_path / "one")
    assert len(found) == 40
    for document in found:
        photo = document["photo"]
        same(document, json.loads(json.dumps(identifier.identify(str(source / photo), name=photo).as_dict())))


def test_a_cluster_agrees_with_this_machine(tmp_path: Path, tiny_bundle: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    source = folder(tmp_path / "photos", 30)
    (source / "broken.jpg").write_bytes(b"no photo")
    (source / "gone.jpg").symlink_to("nowhere")
    given: list[str | Path] = ["--bundle", tiny_bundle, "--index", "--shard-size", "8"]
    assert run("batch", source, "--out", tmp_path / "local", *given, "--workers", "1") == 1
    assert run("batch", source, "--out", tmp_path / "ray", *given, "--workers", "2", "--engine", "ray") == 1
    assert table(tmp_path / "ray") == table(tmp_path / "local")
    assert documents(tmp_path / "ray") == documents(tmp_path / "local")
    # What one engine began the other goes on with.
    shutil.rmtree(tmp_path / "local" / "shards")
    (tmp_path / "local" / "shards").mkdir()
    shutil.copy(tmp_path / "ray" / "shards" / "00001.parquet", tmp_path / "local" / "shards")
    assert run("batch", source, "--out", tmp_path / "local", *given, "--workers", "1") == 1
    assert table(tmp_path / "ray") == table(tmp_path / "local")


def test_ray_is_asked_for_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import handlens.cli.batch as command
    from handlens.errors import MissingExtraError

    def missing(extra: str, *modules: str) -> None:
        if "ray" in modules:
            raise MissingExtraError(f"ray is not installed: pip install 'handlens[{extra}]'")

    monkeypatch.setattr(command, "need", missing)
    assert run("batch", tmp_path, "--out", tmp_path / "run", "--engine", "ray") == 1
    assert "handlens[scale]" in capsys.readouterr().err


def units(source: Path) -> list[Unit]:
    paths = sorted(source.rglob("*.jpg"))
    return [Unit(path.name.encode(), (PhotoRef(path.name, "file", str(path)),)) for path in paths]


def test_a_worker_that_dies_costs_one_photo(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that kills the process which opens it stands for a decoder that crashes."""
    source = folder(tmp_path / "photos", 20)
    asked = units(source)
    killer = Unit(b"0004x.jpg", (PhotoRef("0004x.jpg", "url", "kill://now"),))
    asked.insert(5, killer)
    # fsspec asks entry points for protocols that it does not know: here a module that ends the process.
    entry = tmp_path / "path" / "kill-1.dist-info"
    entry.mkdir(parents=True)
    (entry / "entry_points.txt").write_text("[fsspec.specs]\nkill = kills:Kills\n")
    (entry / "METADATA").write_text("Name: kill\nVersion: 1\n")
    (tmp_path / "path" / "kills.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    outcomes = list(LocalEngine(Asked(str(tiny_bundle), review=False), workers=2).outcomes(iter(asked)))
    assert [outcome.key for outcome in outcomes] == [unit.key for unit in asked]
    failed = [outcome for outcome in outcomes if isinstance(outcome.result, Failure)]
    assert [outcome.key for outcome in failed] == [killer.key]
    assert isinstance(failed[0].result, Failure)
    assert failed[0].result.code == "decoder-crashed"
    assert not multiprocessing.active_children()


def test_an_error_of_the_bundle_is_told(tmp_path: Path) -> None:
    from handlens.bundle import BadBundleError

    source = folder(tmp_path / "photos", 1)
    with pytest.raises(BadBundleError):
        list(LocalEngine(Asked(str(tmp_path / "nowhere")), workers=1).outcomes(units(source)))


def test_one_photo_is_decoded_once(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import handlens.identifier as core

    decoded = []
    read_photo = core.read_photo  # type: ignore[attr-defined]

    def counted(*given: Any, **named: Any) -> Any:
        decoded.append(1)
        return read_photo(*given, **named)

    monkeypatch.setattr(core, "read_photo", counted)
    answering = Answering(Asked(str(tiny_bundle), index=True))
    outcomes = list(answering.outcomes(units(folder(tmp_path / "photos", 5))))
    assert len(decoded) == 5
    assert all(outcome.result and not isinstance(outcome.result, Failure) for outcome in outcomes)
    assert all(outcome.result.thumbnail and outcome.result.embedding for outcome in outcomes)  # type: ignore[union-attr]
