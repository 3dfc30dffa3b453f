"""The stage as a whole: what becomes of rows, images_odd/, other settings, shards, and runs that were killed."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from commands import environment
from handlens.dataset.check import CheckSettings, Conflict, Repeated, check, findings
from handlens.dataset.errors import MissingStageError
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.shards import Shard
from handlens.dataset.workspace import Workspace

from .drawn import card, cropped, downloaded, encoded, mirrored, picture, resized, row

PHOTOS = {
    "quartz": ("quartz", encoded(picture(1))),
    "quartz again": ("quartz", encoded(picture(1))),
    "quartz smaller": ("quartz", encoded(resized(picture(1)))),
    "calcite": ("calcite", encoded(picture(2))),
    "calcite mirrored": ("calcite", encoded(mirrored(picture(2)))),
    "fluorite": ("fluorite", encoded(picture(3))),
    "fluorite as barite": ("barite", encoded(cropped(picture(3)))),
    "page": ("quartz", b"<!DOCTYPE html><html><title>404</title></html>"),
    "cut": ("pyrite", encoded(picture(4))[:6000]),
    "card": ("pyrite", encoded(card())),
    "blank": ("pyrite", encoded(Image.new("RGB", (200, 150), (250, 250, 250)))),
    "strip": ("pyrite", encoded(picture(5).crop((0, 0, 320, 70)))),
    "tiny": ("pyrite", encoded(picture(6).resize((40, 30)))),
    "dark": ("pyrite", encoded(picture(7).point(lambda level: level * 0.25))),
    "png": ("calcite", encoded(picture(8), "PNG")),
    "png as bmp": ("calcite", encoded(picture(8), "BMP")),
}


def by_name(workspace: Workspace) -> dict[str, Row]:
    return dict(zip(PHOTOS, workspace.rows("check"), strict=True))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = downloaded(tmp_path_factory.mktemp("check") / "set", PHOTOS.values())
    check(made, workers=2)
    return made


def copied(workspace: Workspace, root: Path) -> Workspace:
    shutil.copytree(workspace.root, root)
    return Workspace(root)


def odd_files(workspace: Workspace) -> set[str]:
    return {path.relative_to(workspace.odd).as_posix() for path in workspace.odd.rglob("*") if path.is_file()}


def expected_odd(workspace: Workspace) -> set[str]:
    rows = [row for row in workspace.rows("check") if row.status == "odd"]
    return {"reasons.csv"} | {f"{row.reason}/{Path(row.file or '').name}" for row in rows}


def test_status_reason_and_flags(workspace: Workspace) -> None:
    rows = by_name(workspace)
    assert {name: (row.status, row.reason) for name, row in rows.items()} == {
        "quartz": ("checked", None),
        "quartz again": ("duplicate", None),
        "quartz smaller": ("checked", None),
        "calcite": ("checked", None),
        "calcite mirrored": ("checked", None),
        "fluorite": ("odd", "label-conflict"),
        "fluorite as barite": ("odd", "label-conflict"),
        "page": ("odd", "not-an-image"),
        "cut": ("odd", "truncated-image"),
        "card": ("odd", "text-card"),
        "blank": ("odd", "blank"),
        "strip": ("odd", "odd-aspect"),
        "tiny": ("odd", "too-small"),
        "dark": ("checked", None),
        "png": ("checked", None),
        "png as bmp": ("duplicate", None),
    }
    assert rows["dark"].flags == ("dark",)
    assert rows["fluorite"].conflicts == ("barite",)
    assert rows["fluorite as barite"].conflicts == ("fluorite",)
    assert all(not row.conflicts for name, row in rows.items() if "fluorite" not in name)


def test_groups_and_duplicates(workspace: Workspace) -> None:
    rows = by_name(workspace)
    for first, others in {
        "quartz": ("quartz again", "quartz smaller"),
        "calcite": ("calcite mirrored",),
        "fluorite": ("fluorite as barite",),
        "png": ("png as bmp",),
    }.items():
        for name in (first, *others):
            assert rows[name].group == rows[first].id
    assert len({row.group for row in rows.values()}) == len(rows) - 5
    assert rows["quartz again"].duplicate_of == rows["quartz"].id
    assert rows["png as bmp"].duplicate_of == rows["png"].id
    assert sum(row.duplicate_of is not None for row in rows.values()) == 2


def test_what_the_row_says_of_the_photo(workspace: Workspace) -> None:
    rows = by_name(workspace)
    assert (rows["png"].format, rows["png"].width, rows["png"].height) == ("PNG", 320, 240)
    assert len(rows["png"].perceptual_hash or "") == 32
    assert rows["png"].pixel_hash == rows["png as bmp"].pixel_hash
    assert len(rows["png"].colour) == 3
    unread = rows["page"]
    assert (unread.format, unread.width, unread.pixel_hash, unread.sharpness, unread.colour) == (None, *[None] * 3, ())


def test_images_odd_holds_links_and_reasons(workspace: Workspace) -> None:
    assert odd_files(workspace) == expected_odd(workspace)
    rows = by_name(workspace)
    card_file = workspace.root / str(rows["card"].file)
    assert (workspace.odd / "text-card" / card_file.name).samefile(card_file)
    with (workspace.odd / "reasons.csv").open(newline="", encoding="utf-8") as lines:
        reasons = {line["id"]: line for line in csv.DictReader(lines)}
    assert len(reasons) == 8
    told = reasons[rows["fluorite"].id]
    assert (told["reason"], told["label"], told["conflicts"]) == ("label-conflict", "fluorite", "barite")
    assert "ends before" in reasons[rows["cut"].id]["detail"]


def test_the_summary_and_what_a_report_shows(workspace: Workspace) -> None:
    summary = check(workspace)
    assert (summary.photos, summary.checked, summary.duplicates, summary.conflicts) == (16, 6, 2, 2)
    assert summary.odd["label-conflict"] == 2
    assert sum(summary.odd.values()) == 8
    assert (summary.groups, summary.largest_group) == (4, 3)
    rows, found = by_name(workspace), findings(workspace.rows("check"))
    assert found.conflicts == (
        Conflict(
            (str(rows["fluorite"].file), str(rows["fluorite as barite"].file)),
            ("fluorite", "barite"),
        ),
    )
    png, bmp = str(rows["png"].file), str(rows["png as bmp"].file)
    assert Repeated(png, "calcite", (bmp,)) in found.repeated
    assert sorted(map(len, found.groups)) == [2, 2, 2, 3]


def test_other_settings_rebuild_images_odd_and_read_no_photo_again(workspace: Workspace, tmp_path: Path) -> None:
    mine = copied(workspace, tmp_path / "set")
    kept = mine.odd / "text-card" / "notes.txt"
    kept.write_text("mine")
    images = sorted(path for path in mine.images.rglob("*") if path.is_file())
    for path in images:  # whoever reads one now fails
        path.write_bytes(path.read_bytes()[:20])
    check(mine, CheckSettings(set_aside=("blank", "dark"), conflicts="keep"))
    rows = by_name(mine)
    assert {name for name, row in rows.items() if row.status == "odd"} == {"blank", "dark"}
    assert rows["fluorite"].flags == ("label-conflict",)
    assert odd_files(mine) == {"text-card/notes.txt"} | expected_odd(mine)
    assert not (mine.odd / "label-conflict").exists()
    assert sorted(path for path in mine.images.rglob("*") if path.is_file()) == images
    check(mine)
    assert by_name(mine) == by_name(workspace)
    assert odd_files(mine) == {"text-card/notes.txt"} | expected_odd(mine)


def test_near_duplicates_of_a_label_can_be_dropped(workspace: Workspace, tmp_path: Path) -> None:
    mine = copied(workspace, tmp_path / "set")
    check(mine, CheckSettings(near="drop", conflicts="keep"))
    rows = by_name(mine)
    assert rows["quartz smaller"].duplicate_of == rows["quartz again"].duplicate_of == rows["quartz"].id
    assert rows["calcite mirrored"].duplicate_of == rows["calcite"].id
    assert rows["fluorite as barite"].status == "checked"  # of another label


def test_a_given_group_joins_clusters(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    rows = [
        row(made, 0, "quartz", encoded(picture(1)), given_group="upload 1"),
        row(made, 1, "quartz", encoded(picture(2)), given_group="upload 2"),
        row(made, 2, "quartz", encoded(resized(picture(1))), given_group="upload 2"),
        row(made, 3, "quartz", encoded(picture(3)), given_group="upload 3"),
        row(made, 4, "quartz", encoded(picture(4))),
        row(made, 5, "quartz", b"no photo", given_group="upload 3"),
    ]
    made.write(rows, TableInfo("download", {}))
    check(made, workers=1)
    groups = [one.group for one in made.rows("check")]
    assert groups == [rows[0].id] * 3 + [rows[3].id, rows[4].id, rows[3].id]


def test_rows_without_a_photo_pass_and_missing_files_are_odd_and_tried_again(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    lost = row(made, 1, "quartz", encoded(picture(2)))
    refused = Row("f" * 16, "quartz", "refused", reason="robots", url="https://photos.example/9")
    made.write([refused, row(made, 0, "quartz", encoded(picture(1))), lost], TableInfo("download", {}))
    path = tmp_path / str(lost.file)
    path.rename(tmp_path / "away")
    check(made, workers=1)
    rows = list(made.rows("check"))
    assert rows[0] == refused
    assert (rows[1].status, rows[2].status, rows[2].reason) == ("checked", "odd", "not-found")
    (tmp_path / "away").rename(path)
    made.table("check").unlink()
    check(made, workers=1)
    assert [one.status for one in made.rows("check")] == ["refused", "checked", "checked"]
    assert odd_files(made) == {"reasons.csv"}


def test_one_picture_of_three_labels_lists_the_others_sorted(tmp_path: Path) -> None:
    data = encoded(picture(1))
    made = downloaded(tmp_path, [("quartz", data), ("amethyst", data), ("citrine", data), ("quartz", data)])
    check(made, workers=1)
    assert [one.conflicts for one in made.rows("check")] == [
        ("amethyst", "citrine"),
        ("citrine", "quartz"),
        ("amethyst", "quartz"),
        ("amethyst", "citrine"),
    ]
    assert {one.status for one in made.rows("check")} == {"odd"}
    assert not any(one.duplicate_of for one in made.rows("check"))


def test_reasons_hold_no_formula(tmp_path: Path) -> None:
    made = Workspace(tmp_path)
    made.write([replace(row(made, 0, "=1+1", b"no photo"), url='=HYPERLINK("x")')], TableInfo("download", {}))
    check(made, workers=1)
    with (made.odd / "reasons.csv").open(newline="", encoding="utf-8") as lines:
        told = next(csv.DictReader(lines))
    assert (told["label"], told["url"]) == ("'=1+1", '\'=HYPERLINK("x")')


def test_nothing_to_check(tmp_path: Path) -> None:
    made = downloaded(tmp_path, [])
    summary = check(made)
    assert (summary.photos, summary.largest_group) == (0, 0)
    assert not made.odd.exists()


def test_without_the_table_of_download(tmp_path: Path) -> None:
    with pytest.raises(MissingStageError, match="download"):
        check(Workspace(tmp_path))


def test_shards_make_the_same_table(workspace: Workspace, tmp_path: Path) -> None:
    mine = downloaded(tmp_path / "set", PHOTOS.values())
    total = 0
    for index in (1, 2, 3):
        summary = check(mine, shard=Shard(index, 3), workers=1)
        rows = [one for one in mine.rows_before("check") if Shard(index, 3).owns(str(one.sha256))]
        part = Workspace(mine.root).table("check", Shard(index, 3))
        assert part.is_file()
        assert summary.photos == len(rows)
        total += summary.photos
    assert total == len(PHOTOS)
    images = [path for path in mine.images.rglob("*") if path.is_file()]
    for path in images:  # the whole run reads none
        path.write_bytes(path.read_bytes()[:20])
    check(mine)
    assert list(mine.rows("check")) == list(workspace.rows("check"))


def test_a_run_takes_over_what_some_shards_did(workspace: Workspace, tmp_path: Path) -> None:
    mine = downloaded(tmp_path / "set", PHOTOS.values())
    check(mine, shard=Shard(2, 3), workers=1)
    check(mine, workers=1)
    assert list(mine.rows("check")) == list(workspace.rows("check"))


RUN = """
import sys
from pathlib import Path
from handlens.dataset.check import check
from handlens.dataset.workspace import Workspace
if __name__ == "__main__":
    check(Workspace(Path(sys.argv[1])), workers=1)
"""


def inspected(workspace: Workspace) -> int:
    path = workspace.stages / "check.sqlite"
    if not path.is_file():
        return 0
    base = sqlite3.connect(path)
    try:
        return int(base.execute("SELECT COUNT(*) FROM photos").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        base.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    photos = [("quartz", encoded(picture(number))) for number in range(40)]
    photos += [("quartz", encoded(resized(picture(number)))) for number in range(20)]
    mine, undisturbed = downloaded(tmp_path / "killed", photos), downloaded(tmp_path / "whole", photos)
    script = tmp_path / "run.py"
    script.write_text(RUN)
    before = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, str(script), str(mine.root)], env=environment())
        end = time.monotonic() + 60
        while inspected(mine) < before + 10 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert inspected(mine) >= before
        before = inspected(mine)
        assert not mine.table("check").exists()
    assert before >= 10
    done = [one.file for one in mine.rows_before("check") if _is_inspected(mine, str(one.sha256))]
    for file in done:  # what was inspected is not read again
        (mine.root / str(file)).write_bytes(b"changed")
    check(mine, workers=2)
    check(undisturbed, workers=2)
    assert list(mine.rows("check")) == list(undisturbed.rows("check"))


def _is_inspected(workspace: Workspace, sha256: str) -> bool:
    base = sqlite3.connect(workspace.stages / "check.sqlite")
    try:
        return base.execute("SELECT 1 FROM photos WHERE sha256 = ?", (sha256,)).fetchone() is not None
    finally:
        base.close()
