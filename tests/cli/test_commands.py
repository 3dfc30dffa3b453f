"""The other commands: --version, minerals, bundle, doctor, explain."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import COLOURS, LABELS, REMOVED, bundle_files, solid, write_archive, write_bundle
from commands import KILL_AFTER, environment, process, run
from handlens import __version__
from handlens.bundle import MANIFEST
from handlens.cli.main import _COMMANDS
from handlens.minerals import KnowledgeBase


@pytest.fixture
def folder(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with the tiny bundle as the default and a photo a.png."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("HANDLENS_BUNDLE", str(tiny_bundle))
    Image.fromarray(solid(COLOURS["amethyst"])).save("a.png")
    return place


# --version and --help


def test_version_as_a_process() -> None:
    done = process("--version")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"handlens {__version__}\n", b"")


def test_the_installed_command_is_the_same() -> None:
    command = Path(sys.executable).with_name("handlens")
    if not command.exists():
        pytest.skip("handlens is not installed here, only on the path")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.stdout == f"handlens {__version__}\n"


def test_help_names_every_command(capsys: Any) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for name, summary in _COMMANDS.items():
        assert name in out
        assert summary in " ".join(out.split())


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_command_has_help(command: str, capsys: Any) -> None:
    assert run(command, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: handlens {command}")
    assert "--help" in out
    assert err == ""


# minerals


def test_minerals_lists_all(capsys: Any) -> None:
    assert run("minerals") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(KnowledgeBase.load())
    assert "amethyst                     variety  quartz" in lines
    assert run("minerals", "--lang", "es") == 0
    assert any(line.split() == ["amatista", "variety", "quartz"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("typed", ["agate", "ágata", "AGATES"])
def test_minerals_shows_one_by_any_of_its_names(typed: str, capsys: Any) -> None:
    assert run("minerals", typed) == 0
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    values = {key: value.strip() for key, value in shown.items()}
    assert (values["name"], values["rank"], values["spanish"]) == ("agate", "variety", "ágata")
    assert values["belongs to"] == "chalcedony < quartz < silica group"
    assert "blue lace agate" in values["holds"]


def test_minerals_warns_first_and_says_what_it_is_not_for(capsys: Any) -> None:
    for lang, warning, notice in (("en", "lead", "asbestos clearance"), ("es", "plomo", "descartar amianto")):
        assert run("minerals", "galena", "--lang", lang) == 0
        lines = capsys.readouterr().out.splitlines()
        assert warning in lines[0]
        assert notice in lines[-1]


def test_minerals_as_json(capsys: Any) -> None:
    assert run("minerals", "cuarzo", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["properties"]["mohs"]) == ("quartz", {"low": 7, "high": 7})
    assert run("minerals", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)["minerals"]) == len(KnowledgeBase.load())


@pytest.mark.parametrize("typed", ["plastic", "", "q" * 5000, "quarz\x1b[2J"])
def test_minerals_that_are_none(typed: str, capsys: Any) -> None:
    assert run("minerals", typed) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("handlens minerals: ")
    assert "\x1b" not in err
    assert err.count("\n") == 1
    assert len(err) < 300


@pytest.mark.parametrize(
    ("typed", "meant"), [("amethist", "amethyst"), ("flourite", "fluorite"), ("tigre", "tiger eye")]
)
def test_minerals_that_are_nearly_one(typed: str, meant: str, capsys: Any) -> None:
    assert run("minerals", typed) == 2
    assert f"did you mean {meant}" in capsys.readouterr().err


# bundle


@pytest.mark.usefixtures("folder")
def test_bundle_show_prints_its_manifest(tiny_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    archive = write_archive(tmp_path / "b.zip", bundle_files())
    for named in ([], [tiny_bundle], [archive]):
        assert run("bundle", "show", *named) == 0
        assert json.loads(capsys.readouterr().out) == json.loads((tiny_bundle / MANIFEST).read_text())


@pytest.mark.usefixtures("folder")
def test_bundle_verify(tiny_bundle: Path, capsys: Any) -> None:
    for named in ([], [tiny_bundle]):
        assert run("bundle", "verify", *named) == 0
        assert capsys.readouterr().out.startswith(
            f"tiny-1: {len(LABELS)} labels, files, shapes and self-test are right"
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"self_test": {"logits": [0.0] * len(LABELS)}}, "scores differently"),
        ({"self_test": {"logits": [float("nan")] * len(LABELS)}}, "scores differently"),
        ({"self_test": REMOVED}, "no self-test"),
        ({"temperature": -1}, "temperature"),
        ({"graph": b"x"}, "ONNX graph"),
    ],
)
def test_bundle_verify_says_what_is_wrong(tmp_path: Path, changes: Any, words: str, capsys: Any) -> None:
    assert run("bundle", "verify", write_bundle(tmp_path / "b", **changes)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("handlens bundle: ")
    assert words in err
    assert err.count("\n") == 1


def test_bundle_show_of_what_is_none(tmp_path: Path, capsys: Any) -> None:
    assert run("bundle", "show", tmp_path / "gone") == 1
    assert "there is no bundle here" in capsys.readouterr().err
    assert run("bundle", "open", tmp_path) == 2


# doctor


@pytest.mark.usefixtures("folder")
def test_doctor(capsys: Any) -> None:
    assert run("doctor") == 0
    out = capsys.readouterr().out
    assert f"handlens     {__version__}" in out
    assert f"numpy        {importlib.metadata.version('numpy')}" in out
    assert f"bundle       tiny-1: {len(LABELS)} labels" in out
    assert "self-test    passed" in out


@pytest.mark.usefixtures("folder")
def test_doctor_goes_on_without_a_package_of_that_name(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The runtime also comes as a package of another name, for graphics cards."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert run("doctor") == 0
    assert "onnxruntime  not installed under this name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"self_test": {"logits": [0.0] * len(LABELS)}}, "self-test    FAILED"),
        ({"self_test": REMOVED}, "has no self-test"),
        ({"format": 9}, "this version reads format 1"),
    ],
)
def test_doctor_finds_a_sick_bundle(tmp_path: Path, changes: Any, words: str, capsys: Any) -> None:
    assert run("doctor", "--bundle", write_bundle(tmp_path / "b", **changes)) == 1
    out, err = capsys.readouterr()
    assert words in out
    assert err == ""


# explain


def test_explain_writes_a_map(folder: Path, capsys: Any) -> None:
    assert run("explain", "a.png", "--out", "map.PNG") == 0
    assert capsys.readouterr().out.startswith("a.png: amethyst, 100%: warm parts")
    with Image.open("map.PNG") as shown:
        assert (shown.format, shown.size) == ("PNG", (64, 48))
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "map.PNG"]
    before = Path("map.PNG").read_bytes()
    assert run("explain", "a.png", "--out", "map.PNG", "--label", "cuarzo", "--crop", "0,0,32,32") == 0
    assert "a.png: quartz, 0%" in capsys.readouterr().out
    assert Path("map.PNG").read_bytes() != before


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.png"],
        ["a.png", "--out", "map.jpg"],
        ["a.png", "--out", "map"],
        ["a.png", "--out", "no/folder/map.png"],
        ["a.png", "--out", "folder.png"],
        ["a.png", "--out", "map.png", "--label", "plastic"],
        ["a.png", "--out", "map.png", "--label", "pyrite"],
        ["a.png", "--out", "map.png", "--crop", "1,2"],
        ["a.png", "--out", "map.png", "--rotate", "1"],
        ["a.png", "b.png", "--out", "map.png"],
    ],
)
def test_explain_refuses_and_leaves_nothing_behind(folder: Path, arguments: list[str], capsys: Any) -> None:
    (folder / "folder.png").mkdir()
    assert run("explain", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "handlens explain: " in err or "error: " in err
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "folder.png"]


def test_explain_of_what_is_no_photo(folder: Path, capsys: Any) -> None:
    (folder / "b.png").write_bytes(b"x")
    for name, code in (("gone.png", "not-found"), ("b.png", "not-an-image")):
        assert run("explain", name, "--out", "map.png") == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"{name}: {code}: ")
    assert not (folder / "map.png").exists()


def test_explain_as_a_process(folder: Path, tiny_bundle: Path) -> None:
    done = process("explain", "a.png", "--out", "map.png", bundle=tiny_bundle, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    with Image.open(folder / "map.png") as shown:
        assert np.asarray(shown).shape == (48, 64, 3)


def test_a_training_framework_starts_without_a_word(tmp_path: Path) -> None:
    """TensorFlow's notes on its start obey no log level; the only line is the command's own."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: it comes with the extra 'train'")
    given = environment()
    given.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-m", "handlens", "evaluate", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=KILL_AFTER)
    assert done.returncode == 1
    assert done.stderr == f"handlens evaluate: {tmp_path / 'none'}: there is no finished training run here\n"
