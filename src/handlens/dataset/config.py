"""The configuration of `handlens dataset run`: one TOML file, strictly read.

    out = "ten-minerals"                      # the workspace; paths are relative to this file
    contact = "me@example.org"                # sent with every request
    sources = ["list.csv", "my-collection"]   # lists of URLs, folders of class folders

    [commons]                                 # optional: photos of Wikimedia Commons as one more source
    labels = ["quartz", "calcite"]            # by default those of [filter]

    [filter]
    labels = ["quartz", "calcite"]

    [download.hosts."upload.wikimedia.org"]
    terms_acknowledged = true

    [prepare]
    mode = "specimen"

    [description]                             # for croissant.json
    name = "ten minerals"

A section has the fields of its stage's settings class. A section that is left out has the defaults.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from handlens.dataset.balance import BalanceSettings
from handlens.dataset.check import CheckSettings
from handlens.dataset.commons import CommonsSettings
from handlens.dataset.croissant import CroissantSettings
from handlens.dataset.download import DownloadSettings
from handlens.dataset.errors import BadConfigError
from handlens.dataset.filter import FilterSettings
from handlens.dataset.prepare import PrepareSettings
from handlens.dataset.split import SplitSettings
from handlens.dataset.view import ViewSettings

__all__ = ["DatasetConfig", "read_config", "settings_from"]

_COMMONS_LIST: Final = "commons.csv"
_S = TypeVar("_S", bound=BaseModel)


class DatasetConfig(BaseModel):
    """A whole configuration; `sources` and `out` are absolute paths once it is read from a file.

    `samples`: photos of each label that are laid into images_samples/.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    filter: FilterSettings
    commons: CommonsSettings | None = None
    commons_labels: tuple[str, ...] = ()
    download: DownloadSettings = DownloadSettings()
    check: CheckSettings = CheckSettings()
    balance: BalanceSettings = BalanceSettings()
    split: SplitSettings = SplitSettings()
    prepare: PrepareSettings = PrepareSettings()
    view: ViewSettings = ViewSettings()
    description: CroissantSettings = CroissantSettings()
    samples: int = Field(default=12, ge=0)

    @property
    def commons_list(self) -> Path:
        """Where the list that Wikimedia Commons gives is kept."""
        return self.out / "stages" / _COMMONS_LIST


def read_config(path: Path) -> DatasetConfig:
    """Reads a configuration file. Raises BadConfigError naming the field."""
    given = _toml(path)
    here = path.parent.absolute()
    filtering, commons = _section(path, given, "filter"), _section(path, given, "commons")
    sources = given.pop("sources", [])
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise BadConfigError(f"{path}: sources: must be a list of paths")
    sources = [here / source for source in sources]
    contact = given.pop("contact", None)
    out = given.get("out")
    if not isinstance(out, str) or not out:
        raise BadConfigError(f"{path}: out: must be the path of a folder")
    given["out"] = here / out
    if contact is not None:
        given["download"] = {"contact": contact} | _section(path, given, "download")
    if "commons" in given:
        labels = commons.pop("labels", filtering.get("labels", []))
        if not labels:
            raise BadConfigError(f"{path}: commons.labels: say which minerals to ask for")
        given["commons"] = ({"contact": contact} if contact is not None else {}) | commons
        given["commons_labels"] = labels
        sources.append(given["out"] / "stages" / _COMMONS_LIST)
    if not sources:
        raise BadConfigError(f"{path}: sources: give lists, folders, or a section [commons]")
    if filtering.get("names") is not None:
        filtering["names"] = here / str(filtering["names"])
    given["filter"] = filtering | {"sources": sources}
    return settings_from(DatasetConfig, given, str(path))


def settings_from(kind: type[_S], given: dict[str, Any], where: str) -> _S:
    """Settings of one class from plain values. Raises BadConfigError naming `where` and the field."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadConfigError(f"{where}: {field}: {first['msg']}") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfigError(f"{path}: cannot be read: {error}") from error


def _section(path: Path, given: dict[str, Any], name: str) -> dict[str, Any]:
    section = given.get(name, {})
    if not isinstance(section, dict):
        raise BadConfigError(f"{path}: {name}: must be a section, [{name}]")
    return dict(section)
