"""The technical report says what the figures kept in docs/runs say, in both languages."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed: pip install 'handlens[train]'")

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "docs" / "runs"
TRAINED = ("cnn-final", "cnn-final-masked", "lite2")
FOLDS = {"commons", "fuse-flickr", "kaggle-minet", "minerobo", "rest"}


@pytest.fixture
def report() -> Any:
    spec = importlib.util.spec_from_file_location("technical_report", ROOT / "scripts" / "technical_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date(report: Any) -> None:
    for page, text in report.rendered().items():
        assert page.read_text("utf-8") == text, f"{page.name}: run scripts/technical_report.py"


def test_another_figure_makes_another_page(report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(RUNS, runs)
    found = json.loads((runs / "int8.json").read_text("utf-8"))
    found["photos"] = 12345
    (runs / "int8.json").write_text(json.dumps(found), "utf-8")
    monkeypatch.setattr(report, "RUNS", runs)
    assert all("12345" in text and page.read_text("utf-8") != text for page, text in report.rendered().items())


def test_both_pages_tell_the_same_figures(report: Any) -> None:
    english, spanish = (
        sorted(re.findall(r"\d+\.\d+", text))
        for text in (text.replace(",", ".") for text in report.rendered().values())
    )
    shared = set(english) & set(spanish)
    assert len(shared) > 100
    tables = [re.findall(r"^\|.*\d.*\|$", page.read_text("utf-8"), re.MULTILINE) for page in report.PAGES.values()]
    assert len(tables[0]) == len(tables[1])


@pytest.mark.parametrize("name", TRAINED)
def test_kept_runs_are_whole(name: str) -> None:
    """A history for every fold, and the 713 photos of the protocol, each judged by who did not see its fold."""
    folder = RUNS / name
    found = json.loads((folder / "report.json").read_text("utf-8"))
    protocol = found["protocols"][found["answers_from"]]
    assert "leave-one-fold-out" in found["answers_from"]
    assert set(protocol["folds"]) == FOLDS
    assert sum(fold["photos"] for fold in protocol["folds"].values()) == protocol["flat"]["photos"] == 713
    assert {path.name for path in folder.glob("history-*.csv")} == {f"history-{fold}.csv" for fold in FOLDS}
    assert (folder / "history.csv").is_file()
    assert f"| `{name}` |" in (RUNS / "README.md").read_text("utf-8")
