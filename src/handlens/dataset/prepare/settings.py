"""What `prepare` makes of a photo."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PrepareSettings"]

_ORIGIN_SIDE = 96
_SIDE = 416
_LARGEST_PNG = 128


class PrepareSettings(BaseModel):
    """Settings of the stage `prepare`.

    `mode`: "resize" the whole photo; "origin-mask", the origin's pipeline (`origin_mask`); "specimen", what the
    localiser finds, by `specimen`: "crop" to its box, "grey" what is not specimen, or "both".
    `side`: pixels of the square, None for 96 with origin-mask and 416 else. `fit`: "inside" keeps the shape, the longer
    side has `side` pixels; "pad" fills that up to a square with `fill`, a grey from 0 to 255; "crop" takes the centre
    square; "stretch" makes it a square. An origin-mask is a centre square always, and resized by Lanczos.
    `format`: "auto" is png up to 128 pixels, above it jpg of `quality`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["resize", "origin-mask", "specimen"] = "resize"
    side: int | None = Field(default=None, ge=8, le=4096)
    fit: Literal["inside", "pad", "crop", "stretch"] = "inside"
    resampling: Literal["lanczos", "bicubic"] = "lanczos"
    specimen: Literal["crop", "grey", "both"] = "crop"
    fill: int = Field(default=127, ge=0, le=255)
    format: Literal["auto", "png", "jpg"] = "auto"
    quality: int = Field(default=95, ge=1, le=100)

    @property
    def pixels(self) -> int:
        """Pixels of the side."""
        return self.side or (_ORIGIN_SIDE if self.mode == "origin-mask" else _SIDE)

    @property
    def suffix(self) -> Literal["png", "jpg"]:
        """The format of the files."""
        if self.format != "auto":
            return self.format
        return "png" if self.pixels <= _LARGEST_PNG else "jpg"
