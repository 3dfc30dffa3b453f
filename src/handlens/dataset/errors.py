"""What can go wrong with a data set as a whole; what is wrong with one photo is a row of the manifest."""

from __future__ import annotations

from handlens.errors import HandlensError

__all__ = ["BadConfigError", "BadListError", "BadManifestError", "DatasetError", "MissingStageError"]


class DatasetError(HandlensError):
    """A data set cannot be made or read (`bad-dataset`)."""

    code = "bad-dataset"


class BadConfigError(DatasetError):
    """A configuration has an unknown key or a value that makes no sense (`bad-config`)."""

    code = "bad-config"


class BadListError(DatasetError):
    """A list of URLs, names or labels cannot be read (`bad-list`); the detail names file and row."""

    code = "bad-list"


class BadManifestError(DatasetError):
    """A manifest is damaged or of another version (`bad-manifest`)."""

    code = "bad-manifest"


class MissingStageError(DatasetError):
    """A stage needs the table of an earlier one that is not there (`missing-stage`); the detail says which to run."""

    code = "missing-stage"
