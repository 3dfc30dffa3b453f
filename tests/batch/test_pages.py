"""What the page on batch runs says can be typed really can, and names the files that there are."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module

import pytest

from conftest import ROOT

TEXT = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    text = TEXT + (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in re.split("\n|&&", block)]
    typed = [re.sub(r"^[A-Z_]+=\S+ ", "", line) for line in lines]
    return sorted({line for line in typed if re.match(r"handlens (batch|similar|train) ", line)})


def test_there_is_something_to_test() -> None:
    assert {command.split()[1] for command in commands()} == {"batch", "similar", "train"}


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_is_one(command: str) -> None:
    _, name, *given = shlex.split(command)
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(f"handlens.cli.{name}").add_arguments(parser)
    parser.parse_args(given)


def test_the_benchmarks_that_it_names_are_there() -> None:
    found = re.findall(r"benchmarks/\w+\.py", TEXT)
    assert found
    assert all((ROOT / name).is_file() for name in found)


def test_the_columns_that_name_photos_are_those_of_the_page() -> None:
    from handlens.batch import manifest

    (named,) = re.findall(r"^\| (`file` \(or .*?\)) \|", TEXT, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", named)) == manifest._FILE
