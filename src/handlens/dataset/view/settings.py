"""What goes into the report, and how large it may become."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ViewSettings"]


class ViewSettings(BaseModel):
    """Settings of the report; what does not fit is left out, and the report says so.

    `seed` picks the photos shown. `per_label`: photos of a label's contact sheet. `examples`: photos shown of each
    reason for setting aside, and pairs shown of duplicates and of label conflicts. `most_labels`: labels listed, the
    largest first. `thumbnail_side`: longest side of a small picture in pixels. `most_bytes`: size of the small pictures
    in the file, nearly all of the file. `measured`: photos measured where no `check` has measured them all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    per_label: int = Field(default=12, ge=0, le=200)
    examples: int = Field(default=12, ge=0, le=200)
    most_labels: int = Field(default=500, ge=1, le=5_000)
    thumbnail_side: int = Field(default=128, ge=32, le=512)
    most_bytes: int = Field(default=18 * 2**20, ge=0, le=500 * 2**20)
    measured: int = Field(default=500, ge=0, le=100_000)
