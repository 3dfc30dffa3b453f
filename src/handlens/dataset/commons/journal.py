"""What a run has learnt of each label, on disk, so that one that was killed does not ask again.

Beside `LIST.csv` stands the folder `.LIST.csv.parts` with a JSON file for each finished label. It says which settings
it was made with; one made with others is not used. The folder goes away when the list is written.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from handlens.dataset.commons.photos import CommonsPhoto, LeftOut
from handlens.dataset.commons.settings import CommonsSettings
from handlens.dataset.files import write_atomically

__all__ = ["Found", "Journal"]

_FORMAT: Final = 1
_ASKED: Final = {"licences", "depth", "most", "width", "min_side", "api"}
"""The settings that change what is found."""


@dataclass(frozen=True, slots=True)
class Found:
    """What Commons has for one label: the categories looked into, the photos, and what is left out."""

    label: str
    categories: tuple[str, ...]
    photos: tuple[CommonsPhoto, ...]
    left_out: tuple[LeftOut, ...]


class Journal:
    """The folder of one list."""

    def __init__(self, out: Path, settings: CommonsSettings) -> None:
        self._folder = out.with_name(f".{out.name}.parts")
        self._settings = settings.model_dump(mode="json", include=_ASKED)

    def read(self, label: str) -> Found | None:
        """What is known of a label; None where it has to be asked for."""
        try:
            told: dict[str, Any] = json.loads(self._path(label).read_bytes())
            if told["format"] != _FORMAT or told["settings"] != self._settings or told["label"] != label:
                return None
            photos = (CommonsPhoto(**{**photo, "others": tuple(photo["others"])}) for photo in told["photos"])
            left_out = (LeftOut(**one) for one in told["left_out"])
            return Found(label, tuple(told["categories"]), tuple(photos), tuple(left_out))
        except (OSError, ValueError, KeyError, TypeError):  # not there, of another version, or damaged: asked again
            return None

    def write(self, found: Found) -> None:
        """Keeps what was found. Raises OSError."""
        told = {"format": _FORMAT, "settings": self._settings, **asdict(found)}
        write_atomically(self._path(found.label), json.dumps(told, ensure_ascii=False))

    def remove(self) -> None:
        """Deletes the folder: the list is written."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)

    def _path(self, label: str) -> Path:
        return self._folder / f"{label.replace('/', ' ')}.json"
