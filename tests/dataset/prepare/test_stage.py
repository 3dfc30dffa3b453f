"""The stage `prepare`: what it writes, what it does again and what not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import environment
from handlens.dataset.errors import MissingStageError
from handlens.dataset.files import TEMPORARY_PREFIX
from handlens.dataset.manifest import Row, TableInfo, read_rows
from handlens.dataset.prepare import PrepareSettings, prepare, samples
from handlens.dataset.prepare.origin_mask import origin_picture
from handlens.dataset.prepare.resize import resized
from handlens.dataset.prepare.table import fold_of
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace
from handlens.photo import read_photo
from handlens.training.samples import read_samples

from .small_workspace import kept_rows, photo, small_workspace, workspace_of

SMALL = PrepareSettings(side=32, fit="crop")


def files_of(workspace: Workspace) -> dict[str, bytes]:
    """Content of every file in images_processed."""
    return {
        path.relative_to(workspace.processed).as_posix(): path.read_bytes()
        for path in workspace.processed.rglob("*")
        if path.is_file()
    }


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_files_table_and_manifest(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path)
    summary = prepare(workspace, SMALL, workers=2)
    assert (summary.prepared, summary.made, summary.unprepared, summary.removed) == (8, 8, {}, 0)
    before, after = list(workspace.rows_before("prepare")), list(workspace.rows("prepare"))
    assert [row.id for row in after] == [row.id for row in before]
    assert (after[0], after[-1]) == (before[0], before[-1])
    for old, new in zip(before[1:-1], after[1:-1], strict=True):
        assert new.processed == f"images_processed/{new.split}/{new.label}/{new.id}.png"
        assert replace(new, status="kept", processed=None) == old
        wanted = resized(read_photo(workspace.root / str(new.file)).rgb, 32, "crop")
        assert np.array_equal(pixels(workspace.root / new.processed), wanted)
    listed = read_samples(workspace.processed / "manifest.csv")
    told = [(f"images_processed/{sample.file}", sample.label, sample.group, sample.split) for sample in listed]
    assert told == [(row.processed, row.label, row.group, row.split) for row in after[1:-1]]
    assert {sample.fold for sample in listed} == {fold_of(before[1])}
    assert all(sample.usable and sample.path.is_file() for sample in listed)
    assert set(files_of(workspace)) == {sample.file for sample in listed} | {"manifest.csv"}
    with (workspace.processed / "manifest.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert first["licence"] == "CC BY 4.0"
    assert first["author"] == "A. Author"
    assert first["url"] == before[1].url


def test_folds_are_of_authors_and_without_them_of_sources() -> None:
    row = Row("a" * 16, "quartz", "prepared", source="lists/mine.csv")
    assert fold_of(row) == "mine.csv"
    assert fold_of(replace(row, source=None)) == ""
    folds = {fold_of(replace(row, author=f"Author {number}")) for number in range(60)}
    assert folds == {f"authors {number}" for number in range(1, 6)}
    assert fold_of(replace(row, author="A. Author")) == fold_of(replace(row, author="a. author"))


def test_a_conflict_makes_a_photo_unusable(tmp_path: Path) -> None:
    rows = kept_rows(tmp_path, 2)
    workspace = workspace_of(tmp_path, [replace(rows[0], conflicts=("pyrite",)), rows[1]])
    prepare(workspace, SMALL, workers=1)
    assert [sample.usable for sample in read_samples(workspace.processed / "manifest.csv")] == [False, True]


def test_needs_the_stage_before(tmp_path: Path) -> None:
    with pytest.raises(MissingStageError, match="split"):
        prepare(Workspace(tmp_path), SMALL)


def test_origin_mask(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 3)
    prepare(workspace, PrepareSettings(mode="origin-mask"), workers=1)
    for row in list(workspace.rows("prepare"))[1:-1]:
        assert row.processed is not None
        rgb = read_photo(workspace.root / str(row.file), needed_side=10_000).rgb
        assert np.array_equal(pixels(workspace.root / row.processed), origin_picture(rgb))
        # The disc is 60 x 50 in the middle of 120 x 90.
        assert np.abs(np.array(row.box) - (30, 20, 90, 70)).max() <= 3
        assert row.specimen_area == pytest.approx(np.pi * 30 * 25 / (120 * 90), rel=0.15)


def test_large_pictures_are_jpegs(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 2)
    prepare(workspace, PrepareSettings(side=130), workers=1)
    row = list(workspace.rows("prepare"))[1]
    assert str(row.processed).endswith(".jpg")
    with Image.open(workspace.root / str(row.processed)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (130, 98))


def test_a_broken_photo_is_a_row(tmp_path: Path) -> None:
    rows = kept_rows(tmp_path, 6)
    (tmp_path / str(rows[1].file)).write_bytes((tmp_path / str(rows[1].file)).read_bytes()[:300])
    (tmp_path / str(rows[2].file)).unlink()
    rows[3] = replace(rows[3], file=None)
    rows[4] = replace(rows[4], file="../outside.jpg")
    photo(tmp_path.parent / "outside.jpg", 1)
    workspace = workspace_of(tmp_path, rows)
    summary = prepare(workspace, SMALL, workers=1)
    assert summary.prepared == 2
    assert summary.unprepared == {"truncated-image": 1, "not-found": 1, "no-file": 2}
    found = list(workspace.rows("prepare"))
    assert [row.status for row in found] == ["prepared", *["unprepared"] * 4, "prepared"]
    assert all((row.processed is None) == (row.status == "unprepared") for row in found)
    assert len(read_samples(workspace.processed / "manifest.csv")) == 2


@pytest.mark.parametrize("label", ["../../escaped", "/etc/passwd", "..", "a/b\\c:d", "con", "quartz (β)", "x" * 400])
def test_no_label_leaves_the_folder(tmp_path: Path, label: str) -> None:
    root = tmp_path / "deep" / "workspace"
    (row,) = kept_rows(root, 1)
    workspace = workspace_of(root, [replace(row, label=label, split="../test")])
    outside = {path for path in tmp_path.rglob("*") if root not in path.parents}
    prepare(workspace, SMALL, workers=1)
    assert {path for path in tmp_path.rglob("*") if root not in path.parents} == outside
    (found,) = read_samples(workspace.processed / "manifest.csv")
    assert found.label == label
    assert len(found.path.relative_to(workspace.processed).parts) == 3
    assert found.path.is_file()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path)
    prepare(workspace, SMALL, workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in workspace.processed.rglob("*")}
    assert prepare(workspace, SMALL, workers=1).made == 0
    assert {path: path.stat().st_mtime_ns for path in workspace.processed.rglob("*")} == stamps


def test_only_what_is_missing_altered_or_of_another_photo_is_made_again(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path)
    prepare(workspace, SMALL, workers=1)
    whole = files_of(workspace)
    rows = list(workspace.rows("prepare"))[1:-1]
    first, second, third = (workspace.root / str(row.processed) for row in rows[:3])
    first.unlink()
    second.write_bytes(second.read_bytes()[:-20])
    # The third photo is another one now, and the list has grown by one.
    grown = kept_rows(tmp_path, 9)
    photo(tmp_path / str(grown[2].file), 99)
    grown[2] = replace(grown[2], sha256="f" * 64)
    workspace = workspace_of(tmp_path, grown)
    assert prepare(workspace, SMALL, workers=2).made == 4
    again = files_of(workspace)
    changed = {name for name in whole if again[name] != whole[name]}
    assert changed == {third.relative_to(workspace.processed).as_posix(), "manifest.csv"}
    assert len(again) == len(whole) + 1


def test_a_damaged_journal_costs_only_work(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path)
    prepare(workspace, SMALL, workers=1)
    whole = files_of(workspace)
    workspace.table("prepare").unlink()
    (workspace.stages / "prepare.sqlite").write_bytes(b"no database" * 100)
    assert prepare(workspace, SMALL, workers=1).made == 8
    assert files_of(workspace) == whole


def test_files_of_other_settings_are_removed_and_nothing_else(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path)
    prepare(workspace, PrepareSettings(side=32, format="jpg"), workers=1)
    own = workspace.processed / "train" / "quartz" / "remarks.txt"
    own.write_text("mine", encoding="utf-8")
    left = workspace.processed / "train" / "quartz" / f"{TEMPORARY_PREFIX}killed"
    left.touch()
    emptied = workspace.processed / "train" / "galena" / f"{'a' * 16}.png"
    emptied.parent.mkdir()
    emptied.touch()
    downloaded = sorted(workspace.images.rglob("*"))
    assert prepare(workspace, SMALL, workers=1).removed == 8 + 2
    assert own.is_file()
    assert not left.exists()
    assert not emptied.parent.exists()
    assert {Path(name).suffix for name in files_of(workspace)} == {".png", ".csv", ".txt"}
    assert sorted(workspace.images.rglob("*")) == downloaded


def test_settings_that_were_tried_and_given_up_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = small_workspace(tmp_path)
    prepare(workspace, SMALL, workers=1)
    whole = files_of(workspace)

    def full_disk(path: Path, rows: Iterable[Row], info: TableInfo) -> int:
        list(rows)
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("handlens.dataset.workspace.write_rows", full_disk)
        with pytest.raises(OSError, match="no space"):
            prepare(workspace, PrepareSettings(side=32, fit="stretch"), workers=1)
    assert files_of(workspace) != whole
    assert prepare(workspace, SMALL, workers=1).made == 8
    assert files_of(workspace) == whole


def test_shards_make_the_same_as_the_whole(tmp_path: Path) -> None:
    whole, parts = small_workspace(tmp_path / "whole", 12), small_workspace(tmp_path / "parts", 12)
    prepare(whole, SMALL, workers=1)
    made = []
    for index in (1, 2, 3):
        shard = Shard(index, 3)
        made.append(prepare(parts, SMALL, shard=shard, workers=1).made)
        assert all(shard.owns(row.id) for row in read_rows(parts.table("prepare", shard)))
    assert sum(made) == 12
    assert min(made) > 0
    assert prepare(parts, SMALL, workers=1).made == 0
    assert files_of(parts) == files_of(whole)
    assert list(parts.rows("prepare")) == list(whole.rows("prepare"))


def test_the_whole_does_what_shards_have_left(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 12)
    made = prepare(workspace, SMALL, shard=Shard(1, 2), workers=1).made
    assert 0 < made < 12
    assert prepare(workspace, SMALL, workers=1).made == 12 - made


def test_a_file_that_a_shard_made_and_that_is_gone_is_made_again(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 6)
    for index in (1, 2):
        prepare(workspace, SMALL, shard=Shard(index, 2), workers=1)
    next(workspace.processed.rglob("*.png")).unlink()
    assert prepare(workspace, SMALL, workers=1).made == 1


RUN = """
import sys
from pathlib import Path
from handlens.dataset.prepare import PrepareSettings, prepare
from handlens.dataset.workspace import Workspace
prepare(Workspace(Path(sys.argv[1])), PrepareSettings(side=32, fit="crop"), workers=2)
"""


def children(process: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for the worker processes")
def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    count = 320
    workspace, other = small_workspace(tmp_path / "killed", count), small_workspace(tmp_path / "undisturbed", count)
    rng = np.random.default_rng(4)
    workers: set[int] = set()
    for wanted in np.sort(rng.integers(1, count - 40, 3)).tolist():
        process = subprocess.Popen([sys.executable, "-c", RUN, str(workspace.root)], env=environment())
        while len(list(workspace.processed.rglob("*.png"))) < wanted and process.poll() is None:
            time.sleep(0.01)
        workers |= children(process.pid)
        process.kill()
        process.wait()
        assert not workspace.table("prepare").exists()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()], "workers outlive their parent"
    resumed = prepare(workspace, SMALL, workers=2)
    assert prepare(other, SMALL, workers=2).made == count
    assert resumed.prepared == count
    assert files_of(workspace) == files_of(other)
    assert list(workspace.rows("prepare")) == list(other.rows("prepare"))


def test_workers_that_die_do_not_end_the_run(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 200)
    killed: list[int | None] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not killed:
            if len(list(workspace.processed.rglob("*.png"))) > 20:
                for worker in active_children()[:1]:
                    os.kill(worker.pid or 0, signal.SIGKILL)
                    killed.append(worker.pid)
            time.sleep(0.005)

    thread = threading.Thread(target=kill_one)
    thread.start()
    summary = prepare(workspace, SMALL, workers=2)
    thread.join()
    assert killed
    assert (summary.prepared, summary.unprepared) == (200, {})


CRASHING = """
import os
import handlens.photo
read = handlens.photo.read_photo
def read_photo(source, **wishes):
    if os.path.getsize(source) == 4242:
        os.abort()
    return read(source, **wishes)
handlens.photo.read_photo = read_photo
"""


def test_a_photo_that_crashes_the_decoder_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASHING, encoding="utf-8")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ["PYTHONPATH"]]))
    rows = kept_rows(tmp_path, 40)
    (tmp_path / str(rows[20].file)).write_bytes(bytes(4242))
    workspace = workspace_of(tmp_path, rows)
    summary = prepare(workspace, SMALL, workers=2)
    assert (summary.prepared, summary.unprepared) == (39, {"decoder-crashed": 1})
    assert [row.id for row in workspace.rows("prepare") if row.status == "unprepared"] == [rows[20].id]


def test_samples_are_links_and_made_anew_on_change(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path, 12)
    prepare(workspace, SMALL, workers=1)
    assert samples(workspace, 2, seed=1) == 6
    links = sorted(workspace.samples.rglob("*.jpg"))
    rows = {row.id: row for row in workspace.rows("prepare")}
    assert {path.parent.name for path in links} == {"quartz", "amethyst", "pyrite"}
    for path in links:
        assert path.samefile(workspace.root / str(rows[path.stem].file))
        assert rows[path.stem].label == path.parent.name
    marker = workspace.samples / "marker"
    marker.touch()
    samples(workspace, 2, seed=1)
    assert marker.exists(), "nothing has changed"
    assert samples(workspace, 3, seed=1) == 9
    assert not marker.exists()
    assert set(links) < set(workspace.samples.rglob("*.jpg"))
    samples(workspace, 3, seed=2)
    assert not set(links) <= set(workspace.samples.rglob("*.jpg"))
    assert samples(workspace, 0) == 0
    assert not list(workspace.samples.iterdir())
