"""What one training by gradient descent is made with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from handlens.errors import UsageError
from handlens.training.fitting.augment import AUGMENTATIONS
from handlens.training.networks import network
from handlens.views import Preprocessing, View

__all__ = ["FitSettings", "Precision", "fast_precision"]

Precision = Literal["float32", "mixed_bfloat16"]
_CHOICES: Final = {
    "picture": ("view", "origin-mask"),
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "cosine"),
    "precision": ("float32", "mixed_bfloat16"),
}
_CPU_FLAGS: Final = ("avx512_bf16", "amx_bf16")


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Strict; wrong values raise UsageError, names of networks UnknownNetworkError.

    `labels`: those to learn, () for all there are. `picture`: the centre square of the photo, or that square with its
    background black by the origin's mask. `side`: of the picture in pixels. `schedule`: the rate falls by a fifth after
    3 epochs without a lower validation loss and training stops after `patience` such epochs, or it falls along a cosine
    over all epochs; either way the weights of the best epoch are kept. `augment`: names of AUGMENTATIONS, for the
    training pictures only. `class_weights`: every label counts the same. `validation`: the share of the training photos
    that training is steered by, unless the data bring a split of that name. `l2`, `dropout`, `unfrozen`: the network's
    own where None. `keep_unusable`: train on photos marked unusable too (they are never judged).
    """

    network: str
    labels: tuple[str, ...] = ()
    picture: Literal["view", "origin-mask"] = "view"
    side: int = 0
    epochs: int = 150
    batch: int = 64
    optimizer: Literal["adam", "adamw"] = "adam"
    rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["plateau", "cosine"] = "plateau"
    patience: int = 9
    augment: tuple[str, ...] = ("origin",)
    class_weights: bool = True
    label_smoothing: float = 0.0
    seed: int = 0
    validation: float = 0.15
    keep_unusable: bool = True
    l2: float | None = None
    dropout: float | None = None
    unfrozen: int | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        found = network(self.network)
        if not self.side:
            object.__setattr__(self, "side", found.side)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} is {getattr(self, name)!r}: it must be one of {', '.join(allowed)}")
        if odd := [name for name in self.augment if name not in AUGMENTATIONS]:
            raise UsageError(f"{odd[0]!r} is no augmentation: choose from {', '.join(AUGMENTATIONS)}")
        for name, least in (("side", 32), ("epochs", 1), ("batch", 2), ("patience", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be {least} or more")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"rate is {self.rate}: it must be more than 0")
        for name, most in (("validation", 0.5), ("label_smoothing", 0.9), ("weight_decay", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be from 0 to {most:g}")
        for name, above in (("l2", math.inf), ("dropout", 1.0), ("unfrozen", math.inf)):
            value = getattr(self, name)
            if value is not None and not 0 <= value < above:
                raise UsageError(f"{name} is {value}: it must be 0 or more" + (" and below 1" if above == 1 else ""))
        if self.validation == 0:
            raise UsageError("validation is 0: without it nothing says when to stop")

    @classmethod
    def of(cls, name: str, **given: Any) -> FitSettings:
        """The settings that the network `name` is trained with by default, with those `given` in their place."""
        chosen = dict(network(name).settings) | {key: value for key, value in given.items() if value is not None}
        return cls(network=name, **({"precision": fast_precision()} | chosen))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FitSettings:
        """Reads what `as_dict` wrote, from JSON too. Raises UsageError, TypeError for unknown keys."""
        tuples = {key: tuple(stored[key]) for key in ("labels", "augment") if key in stored}
        return cls(**{**stored, **tuples})

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)

    def but(self, **changed: Any) -> FitSettings:
        """A copy with other values, checked again."""
        assert changed.keys() <= {field.name for field in fields(self)}
        return replace(self, **changed)

    @property
    def preprocessing(self) -> Preprocessing:
        """From photo to picture, as the bundle keeps it."""
        views = (View("crop", 1.0),)
        if self.picture == "origin-mask":
            return Preprocessing(side=self.side, views=views, mask="origin")
        return Preprocessing(side=self.side, views=views)


def fast_precision() -> Precision:
    """mixed_bfloat16 where the processor computes with it, else float32: emulated it would be many times slower."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return "float32"
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
    return "mixed_bfloat16" if any(flag in flags for flag in _CPU_FLAGS) else "float32"
