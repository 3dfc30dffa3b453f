from __future__ import annotations

from pathlib import Path

import pytest

from handlens.cli.dataset import STAGES as STAGES_OF_THE_COMMAND
from handlens.dataset.config import DatasetConfig, read_config
from handlens.dataset.errors import BadConfigError
from handlens.dataset.workspace import STAGES

WHOLE = """
out = "made"
contact = "me@example.org"
sources = ["list.csv", "/elsewhere/photos"]
samples = 3
[filter]
labels = ["quartz", "calcite"]
names = "names.txt"
[download]
rate = 0.5
[download.hosts."photos.example.org"]
terms_acknowledged = true
[check]
near = "drop"
[balance]
max_per_label = 5000
[split]
validation = 0.2
[prepare]
mode = "origin-mask"
[view]
per_label = 4
[description]
name = "two minerals"
[commons]
depth = 1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "data.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(BadConfigError) as refused:
        read_config(written(folder, text))
    return refused.value.detail


def test_a_whole_configuration(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, WHOLE))
    assert config.out == tmp_path / "made"
    assert config.filter.sources == (tmp_path / "list.csv", Path("/elsewhere/photos"), config.commons_list)
    assert config.filter.names == tmp_path / "names.txt"
    assert config.download.contact == "me@example.org"
    assert config.download.acknowledges("photos.example.org")
    assert config.commons is not None
    assert (config.commons.contact, config.commons.depth) == ("me@example.org", 1)
    assert config.commons_labels == ("quartz", "calcite")
    assert (config.check.near, config.balance.max_per_label, config.split.validation) == ("drop", 5000, 0.2)
    assert (config.prepare.mode, config.view.per_label, config.samples) == ("origin-mask", 4, 3)
    assert config.description.name == "two minerals"


def test_the_least_configuration(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'out = "made"\nsources = ["photos"]\n'))
    assert config == DatasetConfig.model_validate(
        {"out": tmp_path / "made", "filter": {"sources": [tmp_path / "photos"]}}
    )


def test_a_configuration_does_not_depend_on_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, 'out = "made"\nsources = ["photos"]\n')
    monkeypatch.chdir(tmp_path)
    assert read_config(Path("data.toml")).out == tmp_path / "made"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out = ", "cannot be read"),
        ('sources = ["a"]', "out: must be"),
        ('out = "made"', "sources: give lists"),
        ('out = "made"\nsources = "a"', "sources: must be a list"),
        ('out = "made"\nsources = ["a"]\nouts = 1', "outs"),
        ('out = "made"\nsources = ["a"]\n[split]\nvalidaton = 0.1', "split.validaton"),
        ('out = "made"\nsources = ["a"]\n[split]\nvalidation = 2', "split.validation"),
        ('out = "made"\nsources = ["a"]\ncheck = 3', "check"),
        ('out = "made"\nsources = ["a"]\nfilter = 3', "filter: must be a section"),
        ('out = "made"\ncontact = "me@example.org"\n[commons]\ndepth = 1', "commons.labels"),
        ('out = "made"\n[commons]\nlabels = ["quartz"]', "commons.contact"),
        ('out = "made"\ncontact = "nobody"\nsources = ["a"]', "download.contact"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    detail = refusal(tmp_path, text)
    assert detail.startswith(str(tmp_path / "data.toml"))
    assert said in detail


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfigError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_the_command_and_the_workspace_have_the_same_stages() -> None:
    assert STAGES_OF_THE_COMMAND == STAGES
