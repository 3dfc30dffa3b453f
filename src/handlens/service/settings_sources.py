"""Where the settings come from: command line over environment over file over default.

The environment and the file are read here and checked by `Settings`. pydantic-settings would read them as well, but
checks all sources together: it could neither be strict with the typed values of a file and lenient with the texts of
the environment, nor say which source a value came from.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import ValidationError

from handlens.errors import UsageError
from handlens.service.settings import SECRET, Settings

__all__ = ["FILE_VARIABLE", "PREFIX", "LoadedSettings", "load_settings", "variable"]

PREFIX: Final = "HANDLENS_"
FILE_VARIABLE: Final = PREFIX + "SETTINGS"
_OF_OTHERS: Final = (PREFIX + "NOTEBOOK_",)
_NEVER_EMPTY: Final = frozenset({"keys", "keys_file"})
_NAMES: Final = tuple(Settings.model_fields)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and for each that is not the default where it came from."""

    settings: Settings
    origins: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """One line a setting, as a settings file would have it, with its origin; secrets are counted, not shown."""
        for name in _NAMES:
            value = getattr(self.settings, name)
            if name in SECRET:
                text, value = f"# {name}: {len(value)}, not shown", None
            elif value is None:
                text = f"# {name}: not set"
            else:
                text = f"{name} = {_toml(value)}"
            yield f"{text}  # {self.origins.get(name, 'default')}"


def load_settings(
    given: Mapping[str, object], environment: Mapping[str, str] = os.environ, path: str | os.PathLike[str] | None = None
) -> LoadedSettings:
    """Puts the sources together: `given` on the command line, the environment, the TOML file at `path`.

    Without `path` the file is that of HANDLENS_SETTINGS, if any. A variable that is empty counts as not set, but
    for the keys. Raises UsageError naming the source and the key: for a file that cannot be read, a key or a variable
    HANDLENS_… that is no setting, a value of the wrong type or out of range.
    """
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    path = path or environment.get(FILE_VARIABLE) or None
    from_file = {} if path is None else _checked_file(Path(path))
    from_environment = _checked_environment(environment)
    for source, found in ((f"file {path}", from_file), ("environment", from_environment), ("command line", given)):
        values |= found
        origins |= {name: f"environment {variable(name)}" if source == "environment" else source for name in found}
    try:
        return LoadedSettings(Settings.model_validate(values), origins)
    except ValidationError as error:
        raise UsageError(_faults("the command line", error)) from None


def _checked_file(path: Path) -> dict[str, object]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the settings file {path} cannot be read: {error}") from None
    try:
        # By way of JSON, as only there a list is strictly a tuple.
        settings = Settings.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(_faults(f"the settings file {path}", error)) from None
    return {name: getattr(settings, name) for name in content}


def _checked_environment(environment: Mapping[str, str]) -> dict[str, object]:
    known = {variable(name): name for name in _NAMES}
    found: dict[str, Any] = {}
    for key in sorted(environment):
        if not key.startswith(PREFIX) or key == FILE_VARIABLE or key.startswith(_OF_OTHERS):
            continue
        if key not in known:
            raise UsageError(f"the environment variable {key} is no setting")
        text = environment[key].strip()
        if not text and known[key] in _NEVER_EMPTY:
            raise UsageError(f"the environment variable {key} is empty; without keys the service is open to everybody")
        if text:
            found[known[key]] = _parts(text) if _is_list(known[key]) else text
    try:
        settings = Settings.model_validate(found)
    except ValidationError as error:
        raise UsageError(_faults("the environment", error, variable)) from None
    return {name: getattr(settings, name) for name in found}


def _is_list(name: str) -> bool:
    kind = Settings.model_fields[name].annotation
    return any(get_origin(one) is tuple for one in (kind, *get_args(kind)))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for piece in text.split(",") if (part := piece.strip()))


def _faults(source: str, error: ValidationError, spelled: Any = str) -> str:
    """What is wrong, without the values: one of them may be a key."""
    said = []
    for fault in error.errors(include_input=False, include_url=False):
        name = spelled(str(fault["loc"][0])) if fault["loc"] else "?"
        said.append(f"{name}: {'no such setting' if fault['type'] == 'extra_forbidden' else fault['msg']}")
    return f"in {source}: {'; '.join(said)}"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)
