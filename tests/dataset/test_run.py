"""From a configuration to prepared folders, over a real server, and again."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import run
from dataset.commons.wiki import Wiki, imageinfo, serving
from dataset.loopback import Loopback, encoded, loopback, photo, status, text
from handlens.dataset.manifest import Row, read_rows
from handlens.training.samples import read_samples, with_split
from training.drawn_set import draw

LABELS = ("quartz", "calcite", "amethyst")
EACH = 12


@pytest.fixture(scope="module")
def web() -> Iterator[Loopback]:
    """Photos of three minerals, one of them gone, one a page, one listed under two names."""
    with loopback() as server:
        server.pages["/robots.txt"] = text("User-agent: *\nDisallow: /private/")
        for label in LABELS:
            for number in range(EACH):
                server.pages[f"/{label}/{number}.jpg"] = photo(encoded(draw(label, "ann", number)))
        server.pages["/quartz/1.jpg"] = status(404)
        server.pages["/calcite/1.jpg"] = text("<html>no photo here</html>", "image/jpeg")
        server.pages["/amethyst/1.jpg"] = server.pages["/quartz/2.jpg"]
        yield server


def configuration(folder: Path, server: Loopback, **sections: str) -> Path:
    names = {"quartz": "Quartz", "calcite": "Calcite, ", "amethyst": "Quartz (Var: Amethyst)"}
    rows = [f"{server.url(f'/{label}/{n}.jpg')}, {names[label]}" for label in LABELS for n in range(EACH)]
    rows.append(f"{server.url('/private/1.jpg')}, quartz, ")
    (folder / "list.csv").write_text("\n".join(rows))
    own = folder / "own" / "calcite" / "mine.png"
    own.parent.mkdir(parents=True)
    draw("calcite", "ben", 99).save(own)
    path = folder / "data.toml"
    path.write_text(f"""
out = "made"
contact = "me@example.org"
sources = ["list.csv", "own"]
samples = 2
[download]
rate = 0
allow_private = true
backoff = 0.01
[download.hosts."127.0.0.1"]
terms_acknowledged = true
concurrency = 4
[check]
set_aside = ["unreadable"]
[balance]
max_per_label = 10
[prepare]
mode = "{sections.get("mode", "resize")}"
side = 96
[description]
name = "three minerals"
""")
    return path


def rows_of(folder: Path) -> list[Row]:
    return list(read_rows(folder / "made" / "manifest.parquet"))


def tree_of(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "stages" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_list_and_a_folder_become_a_training_set(
    tmp_path: Path, web: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path, web)
    assert run("dataset", "run", config) == 0
    said = capsys.readouterr().out
    assert "rate" not in said
    assert "38 photos of 3 labels selected" in said
    made = tmp_path / "made"
    rows = rows_of(tmp_path)
    fates = Counter((row.status, row.reason) for row in rows)
    assert fates["failed", "http-404"] == fates["refused", "robots"] == 1
    assert fates["odd", "label-conflict"] == 2
    assert sum(fates.values()) == 38
    kept = [row for row in rows if row.status == "prepared"]
    assert Counter(row.label for row in kept) == {"quartz": 10, "calcite": 10, "amethyst": 10}
    assert {row.split for row in kept} == {"train", "validation", "test"}
    for row in kept:
        assert row.file is not None
        assert row.processed is not None
        assert hashlib.sha256((made / row.file).read_bytes()).hexdigest() == row.sha256
        assert row.processed.startswith(f"images_processed/{row.split}/{row.label}/")
    assert sum(path.is_file() for path in (made / "images_samples").rglob("*")) == 6
    assert sum(path.suffix == ".jpg" for path in (made / "images_odd" / "label-conflict").iterdir()) in (1, 2)
    assert any((made / "images_unused").rglob("*.*"))
    samples = read_samples(made / "images_processed" / "manifest.csv")
    assert len(samples) == 30
    assert {sample.label for sample in with_split(samples, "train")} == set(LABELS)
    assert all(sample.path.is_file() for sample in samples)
    assert json.loads((made / "croissant.json").read_text())["name"] == "three minerals"
    with (made / "credits.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 35
    assert "amethyst" in (made / "report.html").read_text()


def test_a_second_run_asks_for_nothing_and_changes_nothing(tmp_path: Path, web: Loopback) -> None:
    config = configuration(tmp_path, web)
    assert run("dataset", "run", config) == 0
    before = tree_of(tmp_path / "made")
    web.forget()
    assert run("dataset", "run", config) == 0
    assert web.asked(robots=True) == []
    assert tree_of(tmp_path / "made") == before


def test_stage_by_stage_gives_what_a_run_gives(
    tmp_path: Path, web: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, parts = configuration(tmp_path / "a", web), configuration(tmp_path / "b", web)
    assert run("dataset", "run", whole) == 0
    made = tmp_path / "b" / "made"
    assert run("dataset", "filter", tmp_path / "b/list.csv", tmp_path / "b/own", "--out", made) == 0
    assert run("dataset", "download", made, "--config", parts) == 0
    for part in ("1/2", "2/2"):
        assert run("dataset", "check", made, "--config", parts, "--shard", part) == 0
    capsys.readouterr()
    assert run("dataset", "check", made, "--config", parts) == 0
    (conflict,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("the same picture")]
    assert "quartz (images/" in conflict
    assert "amethyst (images/" in conflict
    assert run("dataset", "balance", made, "--max-per-label", "10") == 0
    assert run("dataset", "split", made) == 0
    for part in ("2/2", "1/2"):
        assert run("dataset", "prepare", made, "--config", parts, "--shard", part) == 0
    assert run("dataset", "prepare", made, "--config", parts) == 0
    same = ("id", "label", "status", "reason", "sha256", "flags", "group", "split", "processed")
    told = [[getattr(row, name) for name in same] for row in rows_of(tmp_path / "b")]
    assert told == [[getattr(row, name) for name in same] for row in rows_of(tmp_path / "a")]


def test_a_dry_run_asks_nobody(tmp_path: Path, web: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    web.forget()
    assert run("dataset", "run", configuration(tmp_path, web), "--dry-run") == 0
    assert web.asked(robots=True) == []
    said = capsys.readouterr().out
    assert "127.0.0.1" in said
    assert "37 URLs of 1 hosts to ask for" in said
    assert "1 photos of own folders" in said


@pytest.mark.parametrize("mode", ["origin-mask", "specimen"])
def test_other_ways_to_prepare(tmp_path: Path, web: Loopback, mode: str) -> None:
    assert run("dataset", "run", configuration(tmp_path, web, mode=mode)) == 0
    kept = [row for row in rows_of(tmp_path) if row.status == "prepared"]
    assert len(kept) == 30
    assert all(row.specimen_area is not None for row in kept)


def test_an_unknown_host_is_asked_only_when_its_terms_are_acknowledged(
    tmp_path: Path, web: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path, web)
    config.write_text(config.read_text().replace("terms_acknowledged = true", "terms_acknowledged = false"))
    web.forget()
    assert run("dataset", "run", config, "--until", "download") == 0
    assert web.asked(robots=True) == []
    assert "terms" in capsys.readouterr().out
    assert run("dataset", "download", tmp_path / "made", "--config", config, "--accept-terms", "127.0.0.1") == 0
    assert len(web.asked()) == 36


def test_commons_becomes_a_training_set_with_credits(tmp_path: Path, web: Loopback) -> None:
    names = {label: [f"{label.title()} specimen {number}.jpg" for number in (0, 2, 3, 4, 5)] for label in LABELS}
    with serving(Wiki()) as wiki:
        for label, files in names.items():
            wiki.files[label.title()] = files
            for name in files:
                photo_url = web.url(f"/{label}/{name.split()[-1]}")
                wiki.info[name] = imageinfo(name, url=photo_url, thumburl=photo_url)
        config = configuration(tmp_path, web)
        told = config.read_text().replace('sources = ["list.csv", "own"]\n', "")
        asks = f'[commons]\nlabels = ["quartz", "calcite"]\napi = "{wiki.url}"\ndelay = 0\n'
        config.write_text(told + asks)
        assert run("dataset", "run", config) == 0
        kept = [row for row in rows_of(tmp_path) if row.status == "prepared"]
        assert Counter(row.label for row in kept) == {"quartz": 5, "calcite": 5}
        assert {(row.author, row.licence) for row in kept} == {("Ann & Bob", "CC BY-SA 4.0")}
        assert "Ann &amp; Bob" in (tmp_path / "made" / "credits.html").read_text()
        requests = len(wiki.requests)
        assert run("dataset", "run", config) == 0
        assert len(wiki.requests) == requests
        config.write_text((told + asks).replace('"calcite"', '"calcite", "amethyst"'))
        assert run("dataset", "run", config) == 0
        assert len(wiki.requests) > requests
    assert {row.label for row in rows_of(tmp_path)} == set(LABELS)


def test_errors_are_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dataset", "check", tmp_path / "nothing") == 2
    (tmp_path / "empty").mkdir()
    assert run("dataset", "check", tmp_path / "empty") == 1
    assert run("dataset", "run", tmp_path / "none.toml") == 1
    assert run("dataset", "check", tmp_path / "empty", "--shard", "3/2") == 2
    assert run("dataset", "labels", tmp_path / "none.csv") == 1
    assert "Traceback" not in capsys.readouterr().err
