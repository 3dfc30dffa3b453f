"""What the pages of the data set say can be typed and written really can."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from conftest import ROOT
from handlens.cli.dataset import add_arguments
from handlens.dataset.config import read_config

PAGES = ("README.md", *(f"docs/{name}.md" for name in ("data", "data-lists", "commons", "data-download", "data-scale")))


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def configurations() -> list[str]:
    evening = re.findall(r"<<'END'\n(.*?)END\n", (ROOT / "docs" / "data.md").read_text(encoding="utf-8"), re.DOTALL)
    return [*blocks("docs/data.md", "toml"), *evening]


def commands() -> list[str]:
    lines = [line.split("   #")[0] for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return sorted({line.strip() for line in lines if line.startswith("handlens dataset ")})


def test_there_is_something_to_test() -> None:
    assert len(configurations()) == 2
    assert len(commands()) > 15


@pytest.mark.parametrize("text", configurations())
def test_a_configuration_of_the_page_is_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.toml"
    path.write_text(text)
    assert read_config(path).download.contact == "me@example.org"


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_is_one(command: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    options = parser.parse_args(shlex.split(command)[2:])
    assert options.stage == shlex.split(command)[2]
