"""A question with a known answer: does this installation score a drawn picture as the bundle's maker did?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import BadBundleError
from handlens.identifier import Identifier

__all__ = ["TOLERANCE", "SelfTest", "drawn_picture", "run_self_test"]

TOLERANCE: Final = 0.02
"""The largest difference of a logit that another processor or runtime version may make."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """`difference`: the largest absolute difference of a logit from the one in the bundle."""

    difference: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within TOLERANCE."""
        return self.difference <= TOLERANCE


def drawn_picture() -> NDArray[np.uint8]:
    """Coloured bands and a disc, (360, 480, 3), by whole-number arithmetic: the same pixels on every machine."""
    y, x = np.mgrid[0:360, 0:480]
    picture = np.stack([(3 * x + y) % 256, (x * y // 64) % 256, (2 * y + 40) % 256], axis=-1)
    disc = (x - 240) ** 2 + (y - 180) ** 2 < 110**2
    picture[disc] = [148, 90, 190]
    return picture.astype(np.uint8)


def run_self_test(identifier: Identifier) -> SelfTest:
    """Scores the drawn picture and compares with the bundle's `self_test`; NaN counts as infinitely far.

    Raises BadBundleError where the bundle has no such logits.
    """
    _, views = identifier.views(drawn_picture())
    logits = identifier.score(views).logits[0]
    try:
        expected = np.asarray(identifier.bundle.manifest["self_test"]["logits"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadBundleError(f"{identifier.bundle.path}: the bundle has no self-test") from error
    if expected.shape != logits.shape:
        raise BadBundleError(f"{identifier.bundle.path}: the self-test is of {expected.size} logits, not {logits.size}")
    difference = float(np.max(np.abs(logits - expected)))
    return SelfTest(difference if np.isfinite(difference) else float("inf"))
