"""`handlens identify`: formats, languages, what may be named, and exit statuses."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import COLOURS, LABELS, bundle_files, solid, write_archive, write_bundle
from commands import KILL_AFTER, environment, process, run
from handlens.cli.options import TESTS
from handlens.evidence import Evidence
from handlens.field_tests import CHOICES
from handlens.identifier import Identifier
from odd_files import encode


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own as the current one, and the tiny bundle as the default."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HANDLENS_BUNDLE", str(tiny_bundle))


def photo(name: str | bytes, label: str = "quartz", image_format: str = "PNG") -> str:
    """Writes a photo of this label's colour and returns its name."""
    place = os.fsdecode(name)
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_bytes(encode(Image.fromarray(solid(COLOURS[label])), image_format))
    return place


def rows(text: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (text if isinstance(text, str) else text.decode("ascii")).splitlines()]


# Formats


def test_jsonl_is_the_object_of_python_and_one_line_a_photo(tiny: Identifier, capsys: Any) -> None:
    names = [photo(f"{label}.png", label) for label in LABELS]
    assert run("identify", *names, "--format", "jsonl") == 0
    out, err = capsys.readouterr()
    assert rows(out) == [tiny.identify(name).as_dict() for name in names]
    assert [row["photo"] for row in rows(out)] == names
    assert err == ""


def test_the_process_gives_the_same_lines(tiny: Identifier, tiny_bundle: Path) -> None:
    names = [photo("a.png", "azurite"), photo("b.jpg", "almandine", "JPEG")]
    done = process("identify", *names, "--format", "jsonl", bundle=tiny_bundle)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rows(done.stdout) == [tiny.identify(name).as_dict() for name in names]


def test_a_broken_photo_among_good_ones(capsys: Any) -> None:
    Path("b.jpg").write_bytes(b"no image")
    names = [photo("a.png"), "b.jpg", "gone.jpg", photo("c.png", "azurite")]
    assert run("identify", *names, "--format", "jsonl") == 1
    out = rows(capsys.readouterr().out)
    assert [row["photo"] for row in out] == names
    assert out[1].keys() == {"photo", "error"}
    assert out[1]["error"].keys() == {"type", "detail"}
    assert out[1]["error"]["detail"].endswith(".")
    assert [row["error"]["type"] for row in out[1:3]] == ["not-an-image", "not-found"]
    assert [row["decision"]["name"] for row in (out[0], out[3])] == ["quartz", "azurite"]


def test_the_table(capsys: Any) -> None:
    assert run("identify", photo("a.png", "azurite"), "--top", "2") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "a.png: azurite (species), 97%"
    assert lines[1].split() == ["97.3%", "azurite", "█" * 29]
    assert lines[2].split() == ["2.7%", "amethyst", "█"]
    assert lines[3].strip() == "90 % sure it is one of: azurite"
    assert len(lines) == 4
    assert err == "Not for food, medicine, valuation or asbestos clearance.\n"


def test_the_table_in_spanish(capsys: Any) -> None:
    Path("b.png").write_bytes(b"x")
    assert run("identify", photo("a.png", "amethyst"), photo("g.png", "garnet"), "b.png", "--lang", "es") == 1
    out, err = capsys.readouterr()
    assert "a.png: amatista (variedad), 100%" in out
    assert "g.png: granate (grupo), 100%" in out
    assert "azurita" in out
    assert "con un 90 % de seguridad es uno de: amatista" in out
    assert "b.png: no leída: not-an-image" in out
    assert err.startswith("No sirve para alimentos")


def test_the_language_does_not_change_what_programs_read(capsys: Any) -> None:
    name = photo("a.png")
    for form in ("jsonl", "csv"):
        outs = []
        for language in ("en", "es"):
            assert run("identify", name, "--format", form, "--lang", language) == 0
            outs.append(capsys.readouterr().out)
        assert outs[0] == outs[1]


def test_unknown_in_the_table(tmp_path: Path, capsys: Any) -> None:
    unsure = write_bundle(tmp_path / "b", temperature=100.0)
    assert run("identify", photo("a.png"), "--bundle", unsure) == 0
    assert capsys.readouterr().out.startswith("a.png: unknown")
    assert run("identify", photo("a.png"), "--bundle", unsure, "--lang", "es") == 0
    assert capsys.readouterr().out.startswith("a.png: desconocido")
    assert run("identify", photo("a.png"), "--bundle", unsure, "--format", "jsonl") == 0
    assert rows(capsys.readouterr().out)[0]["decision"] | {"probability": 0} == {
        "name": "unknown",
        "rank": "unknown",
        "probability": 0,
    }


def test_a_long_set_is_cut_in_the_table_only(tmp_path: Path, capsys: Any) -> None:
    labels = [*LABELS, "pyrite", "galena", "malachite", "fluorite"]
    wide = write_bundle(tmp_path / "b", labels=labels, prediction_set={"quantile": 1})
    assert run("identify", photo("a.png"), "--bundle", wide) == 0
    assert "(+2 others)\n" in capsys.readouterr().out
    assert run("identify", photo("a.png"), "--bundle", wide, "--format", "jsonl") == 0
    assert sorted(rows(capsys.readouterr().out)[0]["prediction_set"]) == sorted(labels)


def test_an_empty_set_says_so(capsys: Any) -> None:
    assert run("identify", photo("a.png", "azurite"), "--among", "calcite,garnet") == 0
    assert "90 % sure it is none of these" in capsys.readouterr().out
    assert run("identify", photo("a.png", "azurite"), "--among", "calcite,garnet", "--format", "jsonl") == 0
    assert rows(capsys.readouterr().out)[0]["prediction_set"] == []


def test_csv(tiny: Identifier, capsys: Any) -> None:
    names = [photo("a, b.png"), "gone.jpg"]
    assert run("identify", *names, "--format", "csv", "--top", "2") == 1
    out = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    answer = tiny.identify(names[0], top=2).as_dict()
    assert list(out[0]) == [
        *("photo", "name", "rank", "probability", "candidate_1", "probability_1", "candidate_2", "probability_2"),
        *("prediction_set", "unknown_score", "model", "error_type", "error_detail"),
        *("evidence", "contradictions", "next_test", "next_test_text", "hazards", "warnings"),
    ]
    assert (out[0]["photo"], out[0]["name"], out[0]["rank"]) == ("a, b.png", "quartz", "species")
    assert float(out[0]["probability"]) == answer["decision"]["probability"]
    for place, candidate in enumerate(answer["candidates"], 1):
        assert out[0][f"candidate_{place}"] == candidate["name"]
        assert float(out[0][f"probability_{place}"]) == candidate["probability"]
    assert float(out[0]["unknown_score"]) == answer["unknown_score"]
    assert (out[0]["prediction_set"], out[0]["model"], out[0]["error_type"]) == ("quartz", "tiny-1", "")
    assert (out[1]["photo"], out[1]["name"], out[1]["error_type"]) == ("gone.jpg", "", "not-found")
    assert out[1]["error_detail"]
    assert {
        out[0][key] for key in ("evidence", "contradictions", "next_test", "next_test_text", "hazards", "warnings")
    } == {""}


@pytest.mark.parametrize("form", ["csv", "table", "jsonl"])
def test_a_top_beyond_all_labels(form: str, capsys: Any) -> None:
    """Columns for a billion candidates would fill the memory."""
    assert run("identify", photo("a.png"), "--format", form, "--top", "1000000000") == 0
    out = capsys.readouterr().out
    assert out.count("calcite") == 1
    assert len(out) < 2000


# Evidence, advice, hazards, several photos


def between(name: str, *labels: str) -> str:
    """Writes a photo of the colour in the middle of those of the labels."""
    middle = np.rint(np.mean([COLOURS[label] for label in labels], axis=0)).astype(int)
    Path(name).write_bytes(encode(Image.fromarray(solid((middle[0], middle[1], middle[2]))), "PNG"))
    return name


EVIDENCE = (
    "--hardness",
    "7",
    "--streak",
    "White",
    "--gravity",
    "2.6-2.8",
    "--test",
    "acid=none",
    "--test",
    "Nail = no",
)
TOLD = {"hardness": "7±0.5", "gravity": "2.6-2.8", "streak": "white", "acid": "none", "nail": "no"}


def test_evidence_is_of_each_photo_and_the_same_as_in_python(tiny: Identifier, capsys: Any) -> None:
    names = [between("a.png", "quartz", "calcite"), photo("b.png", "azurite")]
    assert run("identify", *names, *EVIDENCE, "--format", "jsonl") == 0
    out = rows(capsys.readouterr().out)
    evidence = Evidence.of(TOLD)
    assert out == [tiny.identify(name, evidence=evidence).as_dict() for name in names]
    assert [row["evidence"] for row in out] == [TOLD, TOLD]
    assert out[0]["decision"]["name"] == "quartz"
    assert run("identify", names[0], "--format", "jsonl") == 0
    assert rows(capsys.readouterr().out)[0]["decision"]["name"] != "quartz", "the evidence must matter"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hardness", "hard"], "hardness 'hard': write it as 3, 3±0.5 or 2.5-3.5"),
        (["--hardness", ""], "hardness has no value"),
        (["--hardness", "30"], "hardness 30: it must be from 1 to 10"),
        (["--gravity", "0.1"], "gravity 0.1"),
        (["--streak", "plaid"], "streak 'plaid': it must be one of white"),
        (["--test", "acid"], "test 'acid': write it as NAME=VALUE"),
        (["--test", "=none"], "write it as NAME=VALUE"),
        (["--test", "acid="], "acid has no value"),
        (["--test", "acid=maybe"], "acid 'maybe': it must be one of none, warm"),
        (["--test", "smell=garlic"], "there is no test 'smell'"),
        (["--test", "acid=none", "--test", "ACID=warm"], "acid is given twice"),
        (["--streak", "white", "--test", "streak=red"], "streak is given twice"),
        (["--test", "\x1b[2J=none"], "there is no test"),
    ],
)
def test_wrong_evidence_is_2_and_says_what_is_wrong(arguments: list[str], words: str, capsys: Any) -> None:
    assert run("identify", photo("a.png"), *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_the_help_lists_every_test_and_its_words() -> None:
    """The text stands there by itself, since importing the tests would slow down every start."""
    listed = dict(part.split(": ") for part in TESTS.split("; "))
    assert {test: tuple(words.split(", ")) for test, words in listed.items()} == {
        test: words for test, words in CHOICES.items() if test != "streak"
    }


def test_the_help_can_be_shown_where_only_ascii_can(tiny_bundle: Path) -> None:
    done = process("identify", "--help", env=environment(tiny_bundle, PYTHONIOENCODING="ascii"))
    assert done.returncode == 0, done.stderr
    assert b"--same-specimen" in done.stdout


def test_what_the_table_says_of_evidence(capsys: Any) -> None:
    name = between("a.png", "quartz", "calcite")
    assert run("identify", name, "--hardness", "3") == 0
    out = capsys.readouterr().out
    assert "a.png: calcite (species)" in out
    assert "    hardness 3±0.5 does not fit quartz\n" in out
    assert run("identify", name, "--lang", "es", "--hardness", "3") == 0
    assert "    dureza 3±0.5 no concuerda con cuarzo\n" in capsys.readouterr().out
    assert run("identify", photo("c.png", "azurite"), "--lang", "es", "--streak", "red", "--test", "nail=yes") == 0
    out = capsys.readouterr().out
    assert "    raya roja no concuerda con azurita\n" in out
    assert "    uña: sí no concuerda con azurita\n" in out
    assert run("identify", name) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("    ")
    assert "calcite" in lines[-1]
    assert lines[-1].endswith(".")
    assert run("identify", name, "--lang", "es") == 0
    assert "calcita" in capsys.readouterr().out.splitlines()[-1]


def test_hazards_in_every_format(tmp_path: Path, capsys: Any) -> None:
    leaded = write_bundle(tmp_path / "b", labels=["galena", "quartz"])
    names = photo("a.png", "quartz"), photo("b.png", "calcite")
    for top, times in (("1", 1), ("2", 2)):  # wherever the name is shown
        assert run("identify", *names, "--bundle", leaded, "--top", top) == 0
        assert capsys.readouterr().out.count("    warning: galena: It contains lead") == times
    assert run("identify", "b.png", "--bundle", leaded, "--lang", "es") == 0
    assert "    aviso: galena: Contiene plomo" in capsys.readouterr().out
    assert run("identify", "b.png", "--bundle", leaded, "--format", "jsonl") == 0
    assert rows(capsys.readouterr().out)[0]["hazards"] == [{"mineral": "galena", "hazards": ["lead"]}]
    assert run("identify", "b.png", "--bundle", leaded, "--format", "csv") == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row["hazards"] == "galena: lead"


def test_evidence_and_advice_in_csv(tiny: Identifier, capsys: Any) -> None:
    name = between("a.png", "quartz", "calcite")
    assert run("identify", name, "--format", "csv", "--hardness", "1.5", "--test", "acid=none") == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    answer = tiny.identify(name, evidence=Evidence.of({"hardness": "1.5", "acid": "none"})).as_dict()
    assert row["evidence"] == "hardness=1.5±0.5|acid=none"
    assert row["contradictions"].split("|") == [one["text"] for one in answer["contradictions"]]
    assert len(answer["contradictions"]) >= 2
    assert {"test": row["next_test"], "text": row["next_test_text"]} == answer["next_test"]


def test_only_the_sentence_of_the_advice_is_in_the_language(capsys: Any) -> None:
    name = between("a.png", "quartz", "calcite")
    answers = {}
    for language in ("en", "es"):
        assert run("identify", name, "--format", "jsonl", "--lang", language) == 0
        answers[language] = rows(capsys.readouterr().out)[0]
    texts = {language: answer["next_test"].pop("text") for language, answer in answers.items()}
    assert texts["en"] != texts["es"]
    assert answers["en"] == answers["es"]


def test_several_photos_of_one_specimen(tiny: Identifier, capsys: Any) -> None:
    names = [photo("a.png", "azurite"), photo("f/b.png", "azurite"), between("f/c.png", "azurite", "amethyst")]
    assert run("identify", "a.png", "f", "--same-specimen", "--format", "jsonl") == 0
    [row] = rows(capsys.readouterr().out)
    assert row["photos"] == names
    assert row == tiny.identify(names).as_dict()
    assert run("identify", *names, "--same-specimen") == 0
    assert capsys.readouterr().out.startswith("a.png, f/b.png, f/c.png: azurite (species)")
    assert run("identify", *names, "--same-specimen", "--format", "csv") == 0
    [flat] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert flat["photo"] == "a.png|f/b.png|f/c.png"
    assert run("identify", "a.png", "--same-specimen", "--format", "jsonl") == 0
    assert rows(capsys.readouterr().out) == [tiny.identify("a.png").as_dict()]


def test_a_specimen_with_a_photo_that_cannot_be_read(capsys: Any) -> None:
    assert run("identify", photo("a.png"), "gone.png", "--same-specimen", "--format", "jsonl") == 1
    [row] = rows(capsys.readouterr().out)
    assert (row["photo"], row["error"]["type"]) == ("gone.png", "not-found")
    assert "decision" not in row


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_six_photos_are_not_of_one_specimen(form: str, capsys: Any) -> None:
    assert run("identify", *[photo("a.png")] * 6, "--same-specimen", "--format", form) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "6 photos: one specimen has 1 to 5" in err


# What may be named


def test_folders_and_patterns(capsys: Any) -> None:
    for name in ("f/b.png", "f/a.png", "f/notes.txt", "p1.png", "p2.png"):
        photo(name)
    assert run("identify", "p*.png", "f", "--format", "jsonl") == 0
    assert [row["photo"] for row in rows(capsys.readouterr().out)] == ["p1.png", "p2.png", "f/a.png", "f/b.png"]
    Path("empty").mkdir()
    assert run("identify", "empty", "q*.png", "", "n" * 400, "--format", "jsonl") == 1
    out = rows(capsys.readouterr().out)
    assert [row["error"]["type"] for row in out] == ["not-a-file", "not-found", "not-found", "not-found"]


def test_the_same_photo_twice_is_answered_twice(capsys: Any) -> None:
    name = photo("a.png")
    assert run("identify", name, name, "--format", "jsonl") == 0
    first, second = rows(capsys.readouterr().out)
    assert first == second


ODD_NAMES: list[bytes] = [
    b"two\nlines.png",
    b"\x1b[2J\x1b]0;owned\x07.png",
    b"=cmd|' C calc'!A0.png",
    b"cr\rlf.png",
    "gnp.\u202etxe.png".encode(),
    b"caf\xe9 latin.png",
    "石英 ñ💎.png".encode(),
    b"  spaces  .png",
    b'quote".png',
    b"comma,.png",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow fewer bytes in names")
@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_file_names_of_every_kind(form: str, tiny_bundle: Path) -> None:
    for name in ODD_NAMES:
        photo(name)
    done = process("identify", *ODD_NAMES, b"gone\x1b[2J\xff.png", "--format", form, bundle=tiny_bundle)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    text = done.stdout.decode("utf-8")
    if form == "jsonl":
        assert done.stdout.isascii()
        assert [os.fsencode(row["photo"]) for row in rows(done.stdout)] == [*ODD_NAMES, b"gone\x1b[2J\xff.png"]
        return
    assert "\x1b" not in text
    assert "\r" not in text
    assert "caf\\udce9 latin.png" in text
    if form == "table":
        assert "\u202e" not in text
        headlines = [line for line in text.splitlines() if not line.startswith("    ")]
        assert len(headlines) == len(ODD_NAMES) + 1
        assert headlines[0].startswith("two\\nlines.png: quartz")
    else:
        read = list(csv.reader(io.StringIO(text, newline="")))
        assert len(read) == len(ODD_NAMES) + 2
        assert len({len(row) for row in read}) == 1
        assert [row[0] for row in read[1:4]] == [
            "two\nlines.png",
            "\\x1b[2J\\x1b]0;owned\\x07.png",
            "'=cmd|' C calc'!A0.png",
        ]


def test_a_file_name_that_looks_like_an_option(capsys: Any) -> None:
    photo("-a.png")
    assert run("identify", "--format", "jsonl", "--", "-a.png") == 0
    assert rows(capsys.readouterr().out)[0]["photo"] == "-a.png"
    assert run("identify", "./-a.png") == 0


# Options


def test_crop_and_rotate(capsys: Any) -> None:
    above, below = solid(COLOURS["azurite"]), solid(COLOURS["almandine"])
    both = Image.new("RGB", (64, 96))
    both.paste(Image.fromarray(above), (0, 0))
    both.paste(Image.fromarray(below), (0, 48))
    both.save("a.png")
    for options, name in (
        (["--crop", "0,0,64,48"], "azurite"),
        (["--crop", "0,48,64,48"], "almandine"),
        (["--rotate", "90", "--crop", "48,0,48,64"], "azurite"),
        (["--rotate", "-90", "--crop", "48,0,48,64"], "almandine"),
    ):
        assert run("identify", "a.png", "--format", "jsonl", *options) == 0
        assert rows(capsys.readouterr().out)[0]["decision"]["name"] == name
    assert run("identify", "a.png", "--format", "jsonl", "--crop", "0,0,65,48") == 1
    assert rows(capsys.readouterr().out)[0]["error"]["type"] == "bad-crop"


def test_among(capsys: Any) -> None:
    Path("names.txt").write_text("\ufeffCuarzo\n\n  amatista  \nquartz\n", encoding="utf-8")
    name = photo("a.png", "azurite")
    for given, expected in (
        ("quartz, Amatista ,quartz", {"quartz", "amethyst"}),
        ("@names.txt", {"quartz", "amethyst"}),
        ("garnet", {"garnet"}),
    ):
        assert run("identify", name, "--among", given, "--format", "jsonl") == 0
        row = rows(capsys.readouterr().out)[0]
        assert {candidate["name"] for candidate in row["candidates"]} == expected
        assert sum(candidate["probability"] for candidate in row["candidates"]) == pytest.approx(1, abs=1e-5)


def test_a_bundle_may_be_named(tmp_path: Path, capsys: Any) -> None:
    archive = write_archive(tmp_path / "b.zip", bundle_files(name="zipped-1"))
    for named in (archive, write_bundle(tmp_path / "b", name="zipped-1")):
        assert run("identify", photo("a.png"), "--bundle", named, "--format", "jsonl") == 0
        assert rows(capsys.readouterr().out)[0]["model"] == "zipped-1"


# Exit statuses


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.png", "--top", "0"],
        ["a.png", "--top", "-3"],
        ["a.png", "--top", "many"],
        ["a.png", "--crop", "1,2,3"],
        ["a.png", "--crop", "a,b,c,d"],
        ["a.png", "--rotate", "45"],
        ["a.png", "--rotate", "right"],
        ["a.png", "--among", ""],
        ["a.png", "--among", " , "],
        ["a.png", "--among", "plastic"],
        ["a.png", "--among", "pyrite"],
        ["a.png", "--among", "quartz,\x1b[2J"],
        ["a.png", "--among", "@gone.txt"],
        ["a.png", "--among", "@."],
        ["a.png", "--among", "@binary"],
        ["a.png", "--among", "@empty"],
        ["a.png", "--format", "xml"],
        ["a.png", "--lang", "fr"],
        ["a.png", "--colour"],
        ["a.png", "--bundle"],
    ],
)
@pytest.mark.parametrize("form", ["table", "csv"])
def test_wrong_usage_is_2_and_prints_no_answer(arguments: list[str], form: str, capsys: Any) -> None:
    photo("a.png")
    Path("binary").write_bytes(b"\xff\xfe\x00")
    Path("empty").write_bytes(b"\n \n")
    assert run("identify", *arguments, *(["--format", form] if "--format" not in arguments else [])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "handlens identify: " in err
    assert "\x1b" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [[], ["--colour"], ["recognise", "a.png"], ["Identify"], ["identify.py"]])
def test_no_such_command(arguments: list[str], capsys: Any) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: handlens" in err


def test_a_bundle_that_is_none_is_1_and_one_line(capsys: Any, tmp_path: Path) -> None:
    damaged = write_bundle(tmp_path / "b")
    (damaged / "model.onnx").write_bytes(b"x")
    for named, words in (("gone\x1b[2J", "there is no bundle here"), (damaged, "model.onnx is damaged")):
        assert run("identify", photo("a.png"), "--bundle", named) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("handlens identify: ")
        assert words in err
        assert err.count("\n") == 1
        assert "\x1b" not in err


# Streams and signals


def many(count: int = 1000) -> list[str]:
    """More rows than a pipe holds, so that the process waits for its reader and cannot be done before."""
    return [photo("a.png")] * count


def test_a_reader_that_has_enough(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "handlens", "identify", *many(), "--format", "jsonl"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tiny_bundle)
    ) as started:
        assert started.stdout is not None
        assert json.loads(started.stdout.readline())["photo"] == "a.png"
        started.stdout.close()
        assert started.stderr is not None
        assert started.stderr.read() == b""
        assert started.wait(KILL_AFTER) == 0


@pytest.mark.parametrize("command", [["identify", "a.png"], ["identify", "a.png", "--format", "csv"], ["minerals"]])
def test_a_reader_that_is_gone_from_the_beginning(command: list[str], tiny_bundle: Path) -> None:
    photo("a.png")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process(*command, bundle=tiny_bundle, stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [["identify", "a.png", "--format", "jsonl"], ["minerals", "quartz"]])
def test_a_full_disk(command: list[str], tiny_bundle: Path) -> None:
    photo("a.png")
    with Path("/dev/full").open("wb") as full:
        done = process(*command, bundle=tiny_bundle, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(f"handlens {command[0]}: ".encode())
    assert done.stderr.count(b"\n") == 1


def test_an_interrupt_ends_it_without_a_traceback(tiny_bundle: Path) -> None:
    # The handler is set because a job in the background of a shell ignores the signal from birth.
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from handlens.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "identify", *many(), "--format", "jsonl"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tiny_bundle)
    ) as started:
        assert started.stdout is not None
        first = started.stdout.readline()
        started.send_signal(signal.SIGINT)
        rest, err = started.communicate(timeout=KILL_AFTER)
    assert started.returncode == 130
    assert err == b""
    assert first
    assert rest.count(b"\n") < 999, "it went on to the end"


def test_an_output_that_knows_ascii_only(tiny_bundle: Path) -> None:
    photo("石英.png", "azurite")
    done = process("identify", "石英.png", env=environment(tiny_bundle, PYTHONIOENCODING="ascii"))
    assert done.returncode == 0, done.stderr
    assert b"\\u77f3\\u82f1.png: azurite (species)" in done.stdout


HEAVY = (
    *("fastapi", "starlette", "uvicorn", "pydantic", "httpx", "requests", "handlens.service"),
    *("keras", "tensorflow", "torch", "onnx", "tf2onnx", "handlens.training", "handlens.evaluation"),
    *("sklearn", "scipy", "skimage", "pandas", "matplotlib", "tqdm"),
)


def test_start_up_imports_no_web_server_and_no_training_framework(tiny_bundle: Path) -> None:
    script = (
        "import sys\nfrom handlens.cli.main import main\n"
        "assert main(['identify', 'a.png', '--format', 'jsonl']) == 0\nprint(*sys.modules)"
    )
    photo("a.png")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment(tiny_bundle), timeout=KILL_AFTER, text=True
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.splitlines()[-1].split())
    assert {"numpy", "onnxruntime", "handlens.identifier"} <= imported
    assert not imported & set(HEAVY)
