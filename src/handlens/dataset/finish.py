"""What comes after the last stage: the manifest where people look for it, its description, credits and samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from handlens.dataset.credits import CreditsSummary, write_credits
from handlens.dataset.croissant import CroissantSettings, write_croissant
from handlens.dataset.files import link_or_copy
from handlens.dataset.manifest import read_rows
from handlens.dataset.prepare import samples
from handlens.dataset.workspace import STAGES, Workspace

__all__ = ["FinishSummary", "finish"]


@dataclass(frozen=True, slots=True)
class FinishSummary:
    """What was written beside the photos."""

    manifest: Path
    croissant: Path
    credits: CreditsSummary
    samples: int


def finish(workspace: Workspace, describe: CroissantSettings, per_label: int = 12) -> FinishSummary:
    """Writes manifest.parquet, croissant.json, credits.csv, credits.html and images_samples/ from the last stage.

    `per_label`: photos of each label in images_samples/. Raises MissingStageError, OSError.
    """
    sampled = samples(workspace, per_label)
    link_or_copy(workspace.table(STAGES[-1]), workspace.manifest)
    credited = write_credits(read_rows(workspace.manifest), workspace.root)
    return FinishSummary(workspace.manifest, write_croissant(workspace, describe), credited, sampled)
