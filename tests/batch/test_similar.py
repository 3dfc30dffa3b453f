"""The nearest specimens of a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from batch.drawn import folder, jpeg
from bundles import COLOURS
from commands import run
from handlens.batch.errors import JournalError, MixedRunError, NoIndexError
from handlens.batch.similar import Index, embedding_of
from handlens.identifier import Identifier


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> tuple[Path, Path]:
    """Photos and a run of them with embeddings, one photo of which cannot be read."""
    root = tmp_path_factory.mktemp("similar")
    source, out = folder(root / "photos", 60), root / "run"
    (source / "broken.jpg").write_bytes(b"")
    given: list[str | Path] = ["--index", "--shard-size", "9", "--bundle", tiny_bundle, "--workers", "1", "--no-review"]
    assert run("batch", source, "--out", out, *given) == 1
    return source, out


def expected(source: Path, tiny: Identifier, photo: Path) -> list[tuple[str, float]]:
    """All photos by the cosine with one of them, computed from single photos in full precision."""
    query = embedding_of(tiny, str(photo))
    found = [
        (path, float(embedding_of(tiny, str(path)) @ query)) for path in source.rglob("*.jpg") if path.stat().st_size
    ]
    ranked = sorted(found, key=lambda one: -one[1])
    return [(path.relative_to(source).as_posix(), cosine) for path, cosine in ranked]


def test_they_are_those_of_single_photos(collection: tuple[Path, Path], tiny: Identifier) -> None:
    source, out = collection
    photo = source / "azurite" / "0005.jpg"
    wanted = expected(source, tiny, photo)
    found = Index(out, tiny).nearest(embedding_of(tiny, str(photo)), 100)
    assert len(found) == 60
    assert found[0].photo == "azurite/0005.jpg"
    assert {one.photo.split("/")[0] for one in found[:10]} == {"azurite"}
    assert {one.name for one in found[:10]} == {"azurite"}
    cosines = dict(wanted)
    assert [one.similarity for one in found] == pytest.approx([cosines[one.photo] for one in found], abs=2e-3)
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)


def test_the_command(collection: tuple[Path, Path], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = collection
    photo = source / "quartz" / "0006.jpg"
    given: list[str | Path] = ["similar", photo, "--index", out, "--bundle", tiny_bundle, "--top", "3"]
    assert run(*given, "--format", "jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["photo"] == "quartz/0006.jpg"
    assert rows[0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert [row["name"] for row in rows] == ["quartz"] * 3
    assert run(*given) == 0
    assert "quartz/0006.jpg" in capsys.readouterr().out.splitlines()[0]
    assert run("similar", source / "broken.jpg", "--index", out, "--bundle", tiny_bundle) == 1
    assert "empty-file" in capsys.readouterr().err
    assert run("similar", photo, "--index", out, "--bundle", tiny_bundle, "--top", "0") == 2
    assert run("similar", photo, "--index", source, "--bundle", tiny_bundle) == 2
    assert run("similar", photo, "--index", out) == 2  # another bundle
    assert "tiny-1" in capsys.readouterr().err


def test_a_run_without_embeddings_and_one_of_another_bundle(
    tmp_path: Path, tiny: Identifier, tiny_bundle: Path, identifier: Identifier, collection: tuple[Path, Path]
) -> None:
    source, out = folder(tmp_path / "photos", 1), tmp_path / "run"
    assert run("batch", source, "--out", out, "--bundle", tiny_bundle, "--workers", "1") == 0
    with pytest.raises(NoIndexError):
        Index(out, tiny)
    with pytest.raises(MixedRunError):
        Index(collection[1], identifier)


def test_a_graph_of_neighbours_names_the_same(
    collection: tuple[Path, Path], tiny: Identifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("usearch", reason="usearch is not installed")
    _, before = collection
    out = tmp_path / "run"
    shutil.copytree(before, out)
    query = embedding_of(tiny, jpeg(COLOURS["almandine"], 7))
    exact, approximate = Index(out, tiny), Index(out, tiny, exact_to=10)
    assert exact.exact
    assert not approximate.exact
    wanted = exact.nearest(query, 5)
    assert approximate.nearest(query, 5) == wanted
    (kept,) = (out / "index").iterdir()
    made = kept.stat().st_mtime_ns
    assert Index(out, tiny, exact_to=10).nearest(query, 5) == wanted
    assert kept.stat().st_mtime_ns == made
    (out / "shards" / "00000.parquet").unlink()
    fewer = Index(out, tiny, exact_to=10)
    assert fewer.nearest(query, 5) == Index(out, tiny).nearest(query, 5)
    (kept,) = (out / "index").iterdir()
    kept.write_bytes(b"no graph" * 20)
    with pytest.raises(JournalError, match="made anew"):
        Index(out, tiny, exact_to=10).nearest(query, 5)


def test_embeddings_have_length_one(collection: tuple[Path, Path], tiny: Identifier) -> None:
    assert np.linalg.norm(embedding_of(tiny, jpeg(COLOURS["garnet"]))) == pytest.approx(1, abs=1e-5)
