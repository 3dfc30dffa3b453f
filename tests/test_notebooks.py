"""The notebooks run to their end on a drawn set, from the repository as from their own folder, and are stored empty."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

import commands
from conftest import ROOT

NOTEBOOKS: Final = ROOT / "notebooks"
NAMES: Final = ("comparing_models", "tuning", "viewing_data")
LIST: Final = """
https://photos.example.org/1.jpg, calcite,
https://photos.example.org/2.jpg, calcite,
https://photos.example.org/3.jpg, azurite, malachite,
https://photos.example.org/4.jpg, drawnite,
no address, calcite,
"""
SETTINGS: Final = {
    "LIST": "list.txt",
    "PHOTOS": "set/train",
    "SOURCE": "set/two.csv",
    "AT_LEAST": "2",
    "SAMPLES": "2",
    "NETWORKS": "cnn-2,cnn-1",
    "NETWORK": "cnn-2",
    "PROTOCOL": "leave-one-fold-out",
    "TRIALS": "2",
    "EPOCHS": "2",
    "SIDE": "32",
    "BATCH": "8",
}
ABSOLUTE: Final = re.compile(r"""(?:^|[\s"'(`=])(?:/[A-Za-z]|~/|[A-Za-z]:[\\/])""", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """A folder with the notebooks, a drawn set and a list, as the repository has them. `photos`: of two.csv."""

    root: Path
    photos: int
    outputs: Callable[[str, Path], dict[str, list[Any]]]

    @property
    def out(self) -> Path:
        """Where the notebooks write to."""
        return self.root / "runs" / "notebooks"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """`outputs(name, cwd)` executes a notebook and gives the outputs of its cells by id."""
    nbclient, nbformat, _ = (
        pytest.importorskip(module, reason=f"{module} is not installed: notebooks are executed with it")
        for module in ("nbclient", "nbformat", "ipykernel")
    )
    for module in ("cv2", "pyarrow", "aiohttp", "protego", "jinja2", "pydantic", "matplotlib"):
        pytest.importorskip(module, reason=f"{module} is not installed: it comes with the extra 'dataset'")
    for module in ("tensorflow", "keras", "keras_tuner", "sklearn", "onnx", "tf2onnx"):
        pytest.importorskip(module, reason=f"{module} is not installed: it comes with the extra 'train'")
    from training.drawn_set import LABELS, draw_set

    root = tmp_path_factory.mktemp("notebooks")
    shutil.copytree(NOTEBOOKS, root / "notebooks")
    drawn = draw_set(root / "set")
    # Two of the three photographers: a training less for every network.
    with drawn.manifest.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "train" and row["fold"] != "ann"]
    with (root / "set" / "two.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    # One picture under two labels.
    shutil.copyfile(root / "set" / rows[0]["file"], root / "set" / "train" / "almandine" / "copy.png")
    (root / "list.txt").write_text(LIST, encoding="utf-8")
    settings = SETTINGS | {"AMONG": ",".join(LABELS)}
    environment = commands.environment() | {f"HANDLENS_NOTEBOOK_{name}": value for name, value in settings.items()}
    environment["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    environment.pop("HANDLENS_NOTEBOOK_OUT", None)

    def outputs(name: str, cwd: Path) -> dict[str, list[Any]]:
        book = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
        client = nbclient.NotebookClient(
            book, timeout=commands.KILL_AFTER, kernel_name="python3", resources={"metadata": {"path": str(cwd)}}
        )
        before = state(root)
        client.execute(env=environment)
        assert state(root) == before, "the notebook wrote outside of OUT"
        return {cell["id"]: cell["outputs"] for cell in book.cells if cell["cell_type"] == "code"}

    usable = [row for row in rows if row["usable"] == "yes" and not row["file"].endswith("broken.png")]
    return Project(root, len(usable), outputs)


def state(root: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file of the project that is not below runs/."""
    files = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] != "runs")
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def printed(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def shown(outputs: list[Any], kind: str) -> str:
    """What a cell displays of one kind, which is one thing."""
    (one,) = [output["data"][kind] for output in outputs if kind in output.get("data", {})]
    return str(one)


def table_of(markdown: str) -> list[list[str]]:
    """The cells of a Markdown table without its header."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def cells_of(name: str) -> list[dict[str, Any]]:
    stored: list[dict[str, Any]] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return stored


def text_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_viewing_data(project: Project) -> None:
    from handlens.dataset.workspace import Workspace

    found = project.outputs("viewing_data", project.root / "notebooks")
    out = project.out / "viewing-data"
    listed = printed(found["count-list"])
    assert listed.startswith("4 photos, 4 labels\n  1 show several minerals\n  1 rows cannot be used\n")
    assert re.search(r"^ +2 +1 +2$", listed, re.MULTILINE)  # one label has two photos or more
    assert "drawnite  (not in the knowledge base)" in listed
    for cell, place in (("plot-list", "list"), ("count-folder", "folder")):
        assert "Labels with at least x photos" in (out / "figures" / f"labels-of-the-{place}.svg").read_text()
        assert shown(found[cell], "image/svg+xml").startswith("<svg")
    rows = list(Workspace(out / "workspace").rows("prepare"))
    photos = list((project.root / "set" / "train").rglob("*.png"))
    assert len(rows) == len(photos)
    prepared = [row for row in rows if row.status == "prepared"]
    for label, number, *parts in table_of(shown(found["manifest"], "text/markdown")):
        assert int(number) == sum(row.label == label for row in rows)
        assert list(map(int, parts)) == [
            sum((row.label, row.split) == (label, part) for row in prepared) for part in ("train", "validation", "test")
        ]
    odd = table_of(shown(found["set-aside"], "text/markdown"))
    assert ["truncated-image", "quartz", "broken.png"] in odd
    assert ["label-conflict", "almandine", "copy.png"] in odd
    assert len(odd) == len(rows) - len(prepared)
    assert printed(found["set-aside"]).startswith(f"{len(odd)} set aside, 0 duplicates, of {len(rows)} photos\n")
    assert "the same picture: " in printed(found["set-aside"])
    assert f"Sizes: {len(rows) - 1} PNG" in shown(found["sizes"], "image/svg+xml")
    assert shown(found["samples"], "image/png")
    assert (out / "figures" / "samples.png").stat().st_size > 50_000  # twenty pictures, not an empty sheet
    assert len(list(Workspace(out / "workspace").samples.rglob("*.png"))) == 10
    assert Path(printed(found["report"]).strip()).stat().st_size > 50_000


def test_comparing_models(project: Project) -> None:
    from handlens.evaluation.tables import percent
    from handlens.training.comparison import Comparison, comparison_markdown

    found = project.outputs("comparing_models", project.root)
    out = project.out / "comparing-models"
    compared = Comparison.from_dict(json.loads((out / "comparison.json").read_text()))
    assert [row.network for row in compared.networks] == ["cnn-2", "cnn-1"]
    assert (compared.folds, compared.photos) == (("ben", "cleo"), project.photos)
    assert {(one.side, one.epochs, one.batch) for one in compared.settings} == {(32, 2, 8)}
    assert shown(found["comparison"], "text/markdown") == comparison_markdown(compared)
    assert [row[0] for row in table_of(shown(found["photos"], "text/markdown"))] == list(compared.labels)
    assert "Comparison: " in shown(found["bars"], "image/svg+xml")
    assert "validation of 2 architectures" in shown(found["curves"], "image/svg+xml")
    three = table_of(shown(found["three"], "text/markdown"))
    for row, (network, training, validation, held_out) in zip(compared.networks, three, strict=True):
        histories = [list(csv.DictReader((out / network / fold / "history.csv").open())) for fold in compared.folds]
        best = [min(history, key=lambda epoch: float(epoch["val_loss"])) for history in histories]
        assert network == row.network
        assert training == percent(sum(float(history[-1]["accuracy"]) for history in histories) / 2)
        assert validation == percent(sum(float(epoch["val_accuracy"]) for epoch in best) / 2)
        assert held_out == percent(row.top1)
    by_fold = table_of(shown(found["folds"], "text/markdown"))
    for row, (network, *folds) in zip(compared.networks, by_fold, strict=True):
        assert network == row.network
        assert sum(map(float, folds)) / 2 == pytest.approx(100 * row.top1, abs=0.1)  # both folds have as many photos
    assert f"{compared.best.network}, ben" in shown(found["best"], "image/svg+xml")
    assert (out / "figures" / "best-network.svg").is_file()


def test_tuning(project: Project) -> None:
    found = project.outputs("tuning", project.root / "notebooks")
    out = project.out / "tuning"
    with (out / "trials.csv").open(newline="") as lines:
        trials = list(csv.DictReader(lines))
    assert sorted(trial["number"] for trial in trials) == ["1", "2"]
    assert shown(found["search"], "text/markdown") == (out / "trials.md").read_text()
    drawn = shown(found["pattern"], "image/svg+xml")
    assert "Search: 2 trials of cnn-2" in drawn
    assert "mathdefault" not in drawn  # numbers of the axis, not their formulas
    assert all(f"dropout {float(trial['dropout']):g}" in drawn for trial in trials)
    assert [row[0] for row in table_of(shown(found["noise"], "text/markdown"))] == [trial["number"] for trial in trials]
    best = trials[0]
    assert f"trial {best['number']}<" in shown(found["best"], "image/svg+xml")
    assert {path.stem for path in (out / "figures").glob("*.svg")} == {"search", "best-trial"}
    assert f"--l2 {float(best['l2']):.5f} --dropout {float(best['dropout']):g} " in printed(found["next"])


def test_there_are_three() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_stored_without_outputs(name: str) -> None:
    for cell in cells_of(name):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert "attachments" not in cell
        assert "data:image" not in text_of(cell)
    stored = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert stored["metadata"].keys() == {"kernelspec", "language_info"}  # no state of widgets


@pytest.mark.parametrize("name", NAMES)
def test_stored_without_absolute_paths(name: str) -> None:
    assert [found.group() for cell in cells_of(name) for found in ABSOLUTE.finditer(text_of(cell))] == []


def test_absolute_paths_are_seen() -> None:
    assert all(
        ABSOLUTE.search(text) for text in ('Path("/home/ann")', "in `/data`", "/tmp", "~/photos", 'r"C:\\photos"')
    )
    assert not ABSOLUTE.search('OUT / "figures", image/svg+xml, ../shared/data, 3/4')


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_valid(name: str) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: notebooks are checked with it")
    stored = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (stored["nbformat"], stored["nbformat_minor"]) == (4, 5)
    nbformat.validate(stored)
    ids = [cell["id"] for cell in stored["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", [ROOT, NOTEBOOKS], ids=["root", "notebooks"])
def test_parameters_come_first_and_write_below_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = [cell for cell in cells_of(name) if cell["cell_type"] == "code"]
    assert ["parameters" in cell["metadata"].get("tags", []) for cell in code] == [True] + [False] * (len(code) - 1)
    for setting in (*SETTINGS, "AMONG", "OUT"):
        monkeypatch.delenv(f"HANDLENS_NOTEBOOK_{setting}", raising=False)
    monkeypatch.chdir(folder)
    space: dict[str, Any] = {}
    exec(text_of(code[0]), space)
    assert space["OUT"] == ROOT / "runs" / "notebooks" / name.replace("_", "-")
    assert space["AMONG"] == "origin-ten"
    given = space["PHOTOS" if name == "viewing_data" else "SOURCE"]
    assert (ROOT.parent / "shared").resolve() in given.resolve().parents
    assert "/runs/" in (ROOT / ".gitignore").read_text().splitlines()
