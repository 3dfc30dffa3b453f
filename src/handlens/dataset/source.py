"""What can be looked at, exported or described: a workspace, a manifest file, or a tree of class folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from handlens.dataset.errors import BadManifestError, DatasetError, MissingStageError
from handlens.dataset.manifest import Row, read_info, read_rows
from handlens.dataset.tree import tree_rows
from handlens.dataset.workspace import STAGES, Workspace

__all__ = ["Source", "below", "last_table", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that can be read again and again, and where their files are.

    `name` is that of the folder; `root` is what the rows' `file` and `processed` are below; `stage` is the stage whose
    table it is, None for a tree; `table` the file that was read, None for a tree.
    """

    name: str
    root: Path
    stage: str | None
    table: Path | None
    rows: Callable[[], Iterator[Row]]

    def photo(self, file: str | None, path: str | None) -> Path | None:
        """Where the photo of a row with this `file` and `path` is, None where it has none.

        Raises BadManifestError for a file outside `root`.
        """
        if file is not None:
            return below(self.root, file)
        return Path(path) if path is not None else None


def open_source(path: Path) -> Source:
    """A workspace (its last table), a manifest file (its files are in the workspace around it), or a class-folder tree.

    Raises DatasetError where there is nothing of the kind, MissingStageError for a workspace without a table,
    BadManifestError for a damaged one.
    """
    path = path.absolute()
    if path.is_file():
        folder = path.parent
        root = folder.parent if folder.name == "stages" else folder
        return _of_table(path, root)
    if not path.is_dir():
        raise DatasetError(f"{path}: there is no workspace, manifest or folder of this name")
    workspace = Workspace(path)
    if workspace.stages.is_dir() or workspace.manifest.is_file():
        return _of_table(last_table(workspace), path)
    return Source(path.name, path, None, None, lambda: tree_rows(path))


def last_table(workspace: Workspace) -> Path:
    """The manifest of a workspace, or the table of its last stage that is there. Raises MissingStageError."""
    tables = [workspace.manifest, *(workspace.table(stage) for stage in reversed(STAGES))]
    for table in tables:
        if table.is_file():
            return table
    raise MissingStageError(f"{workspace.root}: there is no table yet: run `handlens dataset filter` first")


def below(root: Path, name: str) -> Path:
    """`root / name`; raises BadManifestError where a table from elsewhere names a file that is not below `root`."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadManifestError(f"{root}: {name!r} is not below it")
    return root / name


def _of_table(table: Path, root: Path) -> Source:
    return Source(root.name, root, read_info(table).stage, table, lambda: read_rows(table))
