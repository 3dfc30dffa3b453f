"""`handlens batch` with real worker processes."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.drawn import contents, documents, folder, jpeg, table
from bundles import COLOURS
from commands import KILL_AFTER, environment, run
from handlens.identifier import Identifier
from odd_files import generate


@pytest.fixture
def batch(tiny_bundle: Path) -> Callable[..., int]:
    def start(*arguments: str | Path) -> int:
        return run("batch", *arguments, "--bundle", tiny_bundle, "--workers", "2")

    return start


def test_every_photo_is_a_row_with_the_answer_of_identify(tmp_path: Path, batch: Any, tiny: Identifier) -> None:
    source, out = folder(tmp_path / "photos"), tmp_path / "run"
    assert batch(source, "--out", out, "--shard-size", "5") == 0
    rows = table(out)
    assert [row["photo"] for row in rows] == sorted(contents(12))
    for row, document in zip(rows, documents(out), strict=True):
        expected = tiny.identify(str(source / row["photo"]), name=row["photo"])
        assert document == expected.as_dict()
        assert row["name"] == expected.decision.name == row["photo"].split("/")[0]
        assert [one["name"] for one in row["candidates"]] == [one.name for one in expected.candidates]
    with (out / "results.csv").open(newline="") as text:
        flat = list(csv.DictReader(text))
    assert [row["photo"] for row in flat] == [row["photo"] for row in rows]
    assert [float(row["probability_1"]) for row in flat] == [row["candidates"][0]["probability"] for row in rows]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["rows"], summary["answered"], summary["failed"]) == (12, 12, 0)
    assert summary["names"]["quartz"] == 2
    assert len(list((out / "shards").iterdir())) == 3
    assert not (out / "plan.sqlite").exists()


def test_odd_files_are_rows_and_never_the_end(tmp_path: Path, batch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = folder(tmp_path / "photos", 3), tmp_path / "run"
    odd = [one for one in generate(count=60) if len(one.data) < 2**20]
    for place, one in enumerate(odd):
        (source / f"odd-{place:03d}.jpg").write_bytes(one.data)
    (source / "pipe.jpg").symlink_to("/dev/zero")
    (source / "gone.jpg").symlink_to("nowhere")
    assert batch(source, "--out", out) == 1
    rows = {row["photo"]: row for row in table(out)}
    assert len(rows) == 3 + len(odd) + 2
    for place, one in enumerate(odd):
        code = rows[f"odd-{place:03d}.jpg"]["error_type"]
        assert (one.expected is None and code is None) or (one.must_open and code is None) or code is not None
        if one.expected is not None:
            assert code in one.expected
    assert (rows["pipe.jpg"]["error_type"], rows["gone.jpg"]["error_type"]) == ("not-a-file", "not-found")
    said = capfd.readouterr()
    assert "gone.jpg: not-found" in said.err
    assert "failed: not-found: 1" in said.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_photo_that_may_not_be_read(tmp_path: Path, batch: Any) -> None:
    source, out = folder(tmp_path / "photos", 3), tmp_path / "run"
    (source / "quartz" / "0000.jpg").chmod(0)
    assert batch(source, "--out", out) == 1
    assert {row["error_type"] for row in table(out)} == {None, "permission-denied"}


def test_specimens_evidence_labels_and_own_columns(tmp_path: Path, batch: Any, tiny: Identifier) -> None:
    source, out = folder(tmp_path / "photos", 6), tmp_path / "run"
    names = list(contents(6))
    with (source / "list.csv").open("w", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["file", "specimen", "label", "hardness", "drawer", "name"])
        rows.writerow([names[0], "S1", "Cuarzo", "7", "=A1", "n0"])
        rows.writerow([names[1], "S1", "", "", "=A1", "n1"])
        rows.writerow([names[2], "", "almandine", "", "B", "n2"])
        rows.writerow([names[3], "", "garnet", "no number", "B", "n3"])
        rows.writerow([names[4], "", "", "", "B", "n4"])
        rows.writerow(["gone.jpg", "", "quartz", "", "C", "n5"])
    assert batch(source / "list.csv", "--out", out) == 1
    found = {row["photo"]: row for row in table(out)}
    assert len(found) == 5
    both = found[names[1]]  # amethyst/0001.jpg comes before quartz/0000.jpg
    assert both["photos"] == sorted([names[0], names[1]])
    assert (both["specimen"], both["label"], both["drawer"], both["manifest_name"]) == ("S1", "Cuarzo", "=A1", "n1")
    photos = [str(source / name) for name in both["photos"]]
    from handlens.evidence import Evidence

    expected = tiny.identify(photos, name=both["photos"], evidence=Evidence.of({"hardness": "7"}), specimen="S1")
    assert expected.as_dict() in documents(out)
    assert found[names[2]]["agrees"] is False  # it is calcite by its colour
    assert found[names[3]]["error_type"] == "bad-evidence"
    assert found[names[4]]["agrees"] is None
    assert found["gone.jpg"]["error_type"] == "not-found"
    assert (out / "suspects.csv").is_file()
    cells = (out / "results.csv").read_text()
    assert "'=A1" in cells
    assert ",=A1" not in cells


def test_nothing_is_computed_twice_and_what_changed_is(tmp_path: Path, batch: Any) -> None:
    source, out = folder(tmp_path / "photos"), tmp_path / "run"
    assert batch(source, "--out", out, "--shard-size", "4") == 0

    def computed() -> int:
        assert batch(source, "--out", out, "--shard-size", "4") == 0
        return int(json.loads((out / "summary.json").read_text())["computed"])

    before = (out / "results.parquet").read_bytes()
    assert computed() == 0
    os.utime(source / "quartz" / "0000.jpg")  # another time of change and the same content
    assert computed() == 0
    assert (out / "results.parquet").read_bytes() == before
    (source / "quartz" / "0000.jpg").write_bytes(jpeg(COLOURS["azurite"], 99))
    assert computed() == 1
    assert {row["photo"]: row["name"] for row in table(out)}["quartz/0000.jpg"] == "azurite"
    (source / "new.jpg").write_bytes(jpeg(COLOURS["quartz"], 100))
    (source / "calcite" / "0002.jpg").unlink()
    assert computed() == 1
    assert [row["photo"] for row in table(out)] == sorted({*contents(12), "new.jpg"} - {"calcite/0002.jpg"})
    fresh = tmp_path / "fresh"
    assert batch(source, "--out", fresh) == 0
    assert table(fresh) == table(out)


def test_content_that_changes_under_the_same_size_and_time_is_seen_by_rehash(tmp_path: Path, batch: Any) -> None:
    source, out = tmp_path / "photos", tmp_path / "run"
    source.mkdir()
    photo = source / "a.png"
    for seed, name in ((1, "quartz"), (2, "azurite")):
        content = jpeg(COLOURS[name], seed)
        photo.write_bytes(content + bytes(5000 - len(content)))  # decoders do not look behind the end
        os.utime(photo, (10**9, 10**9))
        assert batch(source, "--out", out) == 0
        assert table(out)[0]["name"] == "quartz"
    assert batch(source, "--out", out, "--rehash") == 0
    assert table(out)[0]["name"] == "azurite"


def test_a_failure_of_reading_is_tried_again(tmp_path: Path, batch: Any) -> None:
    source, out = folder(tmp_path / "photos", 2), tmp_path / "run"
    (source / "late.jpg").symlink_to(tmp_path / "late.jpg")
    assert batch(source, "--out", out) == 1
    (tmp_path / "late.jpg").write_bytes(jpeg(COLOURS["azurite"]))
    assert batch(source, "--out", out) == 0


def test_damaged_shards_count_as_missing(tmp_path: Path, batch: Any) -> None:
    source, out = folder(tmp_path / "photos"), tmp_path / "run"
    assert batch(source, "--out", out, "--shard-size", "3") == 0
    before = table(out)
    first, second, third, _ = sorted((out / "shards").iterdir())
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    pq.write_table(pq.read_table(third).replace_schema_metadata({}), third)
    assert batch(source, "--out", out) == 0
    assert json.loads((out / "summary.json").read_text())["computed"] == 9
    assert table(out) == before


OTHERS = [["--top", "3"], ["--among", "quartz,calcite"], ["--lang", "es"], ["--index"], ["--no-review"]]


def test_mixed_parameters_are_refused(tmp_path: Path, batch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = folder(tmp_path / "photos", 2), tmp_path / "run"
    assert batch(source, "--out", out) == 0
    for changed in OTHERS:
        assert batch(source, "--out", out, *changed) == 2
        assert "was begun with" in capsys.readouterr().err
    assert batch(folder(tmp_path / "others", 2), "--out", out) == 2
    assert run("batch", source, "--out", out) == 2  # another bundle
    assert batch(source, "--out", out, "--workers", "1", "--shard-size", "1") == 0


def test_wrong_usage(tmp_path: Path, batch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source = folder(tmp_path / "photos", 1)
    assert batch(source, "--out", tmp_path / "run", "--top", "0") == 2
    assert batch(source, "--out", tmp_path / "run", "--shard-size", "0") == 2
    assert batch(source, "--out", tmp_path / "run", "--among", "no mineral") == 2
    assert batch(tmp_path / "nowhere", "--out", tmp_path / "run") == 2
    assert batch(source, "--out", source) == 2  # a folder with other files
    assert "quartz" in capsys.readouterr().err
    assert batch(source) == 2


def test_two_processes_do_not_work_on_one_run(tmp_path: Path, batch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = folder(tmp_path / "photos", 1), tmp_path / "run"
    out.mkdir()
    with (out / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert batch(source, "--out", out) == 1
    assert "another process" in capsys.readouterr().err
    assert batch(source, "--out", out) == 0


def test_quiet_and_json_progress(tmp_path: Path, batch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = folder(tmp_path / "photos", 2), tmp_path / "run"
    (source / "bad\x1b.jpg").write_bytes(b"no photo")
    assert batch(source, "--out", out, "--quiet") == 1
    said = capfd.readouterr()
    assert said.out == said.err == ""
    assert batch(source, "--out", tmp_path / "again", "--progress", "json") == 1
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    # How many lines tell of the progress depends on how fast the machine is.
    (failure,) = [event for event in events if event["event"] == "failure"]
    assert {"photo": "bad\x1b.jpg", "type": "not-an-image"}.items() <= failure.items()
    assert {"event": "progress", "done": 3, "total": 3, "kept": 0, "failed": 1}.items() <= events[-1].items()
    assert batch(source, "--out", tmp_path / "third") == 1
    assert "\x1b" not in capfd.readouterr().err


def begun(source: Path, out: Path, bundle: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "handlens", "batch", str(source), "--out", str(out), "--workers", "2", *more]
    return subprocess.Popen(
        command, env=environment(bundle), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + KILL_AFTER
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_interrupt_finishes_the_shard_and_leaves_a_run_to_resume(tmp_path: Path, tiny_bundle: Path) -> None:
    source, out = folder(tmp_path / "photos", 2000), tmp_path / "run"
    started = begun(source, out, tiny_bundle, "--shard-size", "50")
    wait_for(lambda: (out / "shards" / "00000.parquet").exists())
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = started.communicate(timeout=KILL_AFTER)
    assert started.returncode == 130
    assert b"the same command goes on" in said
    assert b"Traceback" not in said
    finished = len(list((out / "shards").glob("*.parquet")))
    assert 0 < finished < 40
    assert not (out / "results.parquet").exists()
    again = begun(source, out, tiny_bundle, "--shard-size", "50")
    again.communicate(timeout=KILL_AFTER)
    assert again.returncode == 0
    assert json.loads((out / "summary.json").read_text())["computed"] == 2000 - 50 * finished
    assert len(table(out)) == 2000


def test_a_full_disk_is_told_and_leaves_a_run_to_resume(tmp_path: Path, tiny_bundle: Path) -> None:
    source, out = folder(tmp_path / "photos", 1000), tmp_path / "run"
    started = begun(source, out, tiny_bundle, "--shard-size", "20")
    wait_for(lambda: (out / "shards" / "00000.parquet").exists())
    # From now on no file of that process may grow beyond a few bytes, as under a quota.
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (100, 100))
    _, said = started.communicate(timeout=KILL_AFTER)
    assert started.returncode == 1
    assert b"run the same command to go on" in said
    assert b"Traceback" not in said
    finished = len(list((out / "shards").iterdir()))
    assert 0 < finished < 50
    again = begun(source, out, tiny_bundle)
    again.communicate(timeout=KILL_AFTER)
    assert again.returncode == 0
    assert json.loads((out / "summary.json").read_text())["computed"] == 1000 - 20 * finished


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, tiny_bundle: Path) -> None:
    source, out = folder(tmp_path / "photos", 40), tmp_path / "run"
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "from handlens.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", limited, "batch", str(source), "--out", str(out)]
    done = subprocess.run(command, env=environment(tiny_bundle), capture_output=True, timeout=KILL_AFTER)
    assert done.returncode == 1
    assert b"the list of photos cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr
