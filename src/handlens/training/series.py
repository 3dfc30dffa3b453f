"""What a series of trainings shares: one folder, the pictures of one data set, a folder for each training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handlens.errors import UsageError
from handlens.training.fitting.settings import FitSettings
from handlens.training.pictures_run import PictureData, check_labels, read_picture_split

__all__ = ["folder_of_series", "series_pictures"]


def folder_of_series(folder: Path) -> Path:
    """The folder, made. Raises UsageError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}") from error
    return folder


def series_pictures(
    source: Path, splits: Sequence[str], settings: FitSettings, folder: Path, *, quiet: bool = False
) -> PictureData:
    """The readable samples of some splits, those of the settings' labels, with their pictures kept below `folder`.

    Raises BadSamplesError for a label without a readable photo and for fewer than two labels, BadRunError for no photo.
    """
    data = read_picture_split(source, splits, settings, folder, quiet=quiet)
    check_labels(source, data, settings)
    return data
