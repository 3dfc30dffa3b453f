"""What tuning can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from handlens.errors import UsageError
from handlens.training.vit import VITS

__all__ = ["MOST_UNFROZEN", "TuneSettings"]

MOST_UNFROZEN: Final = 8
"""The blocks of a transformer before these are not in whole numbers in a bundle, and what kept tokens begin from."""
_LITE: Final = {"unfrozen": 6, "rate": 4e-4, "batch": 64}


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """`unfrozen`: how many last blocks are trained. `looks`: at each photo, the first as it will be looked at, the
    others random parts of it under other lights. `kept`: the share of a look's patches in a step. `rate`: the highest
    learning rate; it rises over a tenth of the steps and falls as a cosine. `layer_decay`: of the rate of a block in
    that of the block after it, so that early blocks move less. `decay`: of the weights. `balance`: 0 to 1, the power of
    the inverse class frequency that weighs a photo (1: every label counts the same, 0: every photo does). Raises
    UsageError for values that make no sense.
    """

    unfrozen: int = 4
    epochs: int = 8
    rate: float = 8e-5
    batch: int = 32
    label_smoothing: float = 0.1
    seed: int = 0
    looks: int = 6
    kept: float = 0.4
    decay: float = 0.05
    balance: float = 1.0
    layer_decay: float = 1.0

    @classmethod
    def of(cls, network: str, **given: Any) -> TuneSettings:
        """Those of a network where nothing else is asked for: a convolutional one takes a higher rate."""
        return cls(**({} if network in VITS else _LITE) | given)

    def __post_init__(self) -> None:
        if not 1 <= self.unfrozen <= MOST_UNFROZEN:
            raise UsageError(f"unfrozen is {self.unfrozen}: it must be from 1 to {MOST_UNFROZEN}")
        for name, least in (("epochs", 1), ("batch", 1), ("looks", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be {least} or more")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"rate is {self.rate}: it must be more than 0")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label smoothing is {self.label_smoothing}: it must be from 0 to less than 1")
        if not 0 < self.kept <= 1:
            raise UsageError(f"the share of patches is {self.kept}: it must be more than 0 and at most 1")
        if not (math.isfinite(self.decay) and self.decay >= 0):
            raise UsageError(f"the decay is {self.decay}: it must be 0 or more")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"the layer decay is {self.layer_decay}: it must be more than 0 and at most 1")
        if not 0 <= self.balance <= 1:
            raise UsageError(f"the balance of tuning is {self.balance}: it must be from 0 to 1")
