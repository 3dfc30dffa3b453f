"""Where a head's features come from: a frozen network, or one whose last blocks were tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from handlens.training.features import Backbone, Features, embeddings_of, extract
from handlens.training.frozen import backbone_of, frozen_network
from handlens.training.samples import Sample
from handlens.training.vit import patches_at
from handlens.views import Preprocessing

__all__ = ["FeatureSource", "FrozenSource"]


class FeatureSource(Protocol):
    """Features of photos, and the network that they are those of."""

    def features(self, samples: Sequence[Sample], *, mirrored: bool = False, alike: bool = False) -> Features:
        """As `handlens.training.features.extract` gives them."""

    def embeddings(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of length 1, as a bundle's graph gives them, from features (n, V * D)."""

    def network(self) -> keras.Model:
        """uint8 (N, side, side, 3) → features (N, D)."""

    def elsewhere(self, preprocessing: Preprocessing) -> FeatureSource:
        """The same network on other views, which may be of another side."""


@dataclass(frozen=True, slots=True)
class FrozenSource:
    """A pretrained network as it is, see `frozen_network`; features are kept below `folder`."""

    name: str
    side: int
    preprocessing: Preprocessing
    folder: Path
    patches: int = 0
    quiet: bool = False

    def features(self, samples: Sequence[Sample], *, mirrored: bool = False, alike: bool = False) -> Features:
        """Kept, or taken now."""
        return extract(
            samples,
            self.backbone,
            self.preprocessing,
            self.folder / "features",
            mirrored=mirrored,
            alike=alike,
            quiet=self.quiet,
        )

    def elsewhere(self, preprocessing: Preprocessing) -> FrozenSource:
        """It on other views, in which it looks at as large a share of the patches."""
        patches = patches_at(preprocessing.side, self.patches, self.side)
        return replace(self, preprocessing=preprocessing, side=preprocessing.side, patches=patches)

    def embeddings(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the views, of length 1."""
        return embeddings_of(values, len(self.preprocessing.views))

    @property
    def backbone(self) -> Backbone:
        """What `extract` runs."""
        return backbone_of(self.name, self.side, self.patches)

    def network(self) -> keras.Model:
        """With its pretrained weights."""
        return frozen_network(self.name, self.side, self.patches)
