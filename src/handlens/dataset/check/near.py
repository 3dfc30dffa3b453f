"""Near-duplicates: pairs that the index proposes in any orientation, and that thumbnails confirm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.dataset.check.hash_index import distinct, near_pairs
from handlens.dataset.check.looks import POSES, Looks, inverse_pose
from handlens.dataset.check.same_picture import Thumbnail, resemblance

__all__ = ["NearPairs", "confirmed_pairs", "proposed_pairs"]

_INVERSE: Final = np.array([inverse_pose(pose) for pose in range(POSES)])
_AT_ONCE: Final = 2000
"""Proposals whose thumbnails are held at once."""


@dataclass(frozen=True, eq=False, slots=True)
class NearPairs:
    """Pairs (M, 2) of pictures of which one is a copy of the other, sorted, each once, and how alike they are."""

    pairs: NDArray[np.int64]
    likeness: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pairs)


def proposed_pairs(looks: Looks) -> NDArray[np.int64]:
    """Pairs whose hashes are near: (M, 3) one picture, a later one, and the pose in which the first is as the second.

    The whole of each picture is looked up, in all eight poses, among the wholes and the inner views.
    """
    count = len(looks)
    views = np.concatenate([looks.whole.bits, looks.inner])
    matches = near_pairs(looks.whole, views, poses=range(POSES), not_itself=True)
    one, other, pose = matches[:, 0], matches[:, 1] % max(1, count), matches[:, 2]
    later = one > other
    one, other = np.where(later, other, one), np.where(later, one, other)
    pose = np.where(later, _INVERSE[pose], pose)
    codes = distinct((one * count + other) * POSES + pose)
    pairs, pose = np.divmod(codes, POSES)
    return np.stack([*np.divmod(pairs, max(1, count)), pose], axis=1)


def confirmed_pairs(
    proposals: NDArray[np.int64],
    thumbnail: Callable[[int], bytes],
    likeness: float,
    advance: Callable[[int], object] = lambda _: None,
) -> NearPairs:
    """The proposals whose thumbnails, aligned, have `likeness` and more; `advance` is told how many were looked at."""
    pairs: list[tuple[int, int]] = []
    found: list[float] = []
    for first in range(0, len(proposals), _AT_ONCE):
        portion = proposals[first : first + _AT_ONCE]
        for one, other, alike in _likenesses(portion, thumbnail, likeness):
            if pairs and pairs[-1] == (one, other):  # in another pose, as of a picture that is its own mirror image
                found[-1] = max(found[-1], alike)
            else:
                pairs.append((one, other))
                found.append(alike)
        advance(len(portion))
    return NearPairs(np.array(pairs, np.int64).reshape(-1, 2), np.array(found, np.float64))


def _likenesses(
    portion: NDArray[np.int64], thumbnail: Callable[[int], bytes], likeness: float
) -> Iterator[tuple[int, int, float]]:
    thumbnails = {number: Thumbnail.from_bytes(thumbnail(number)) for number in np.unique(portion[:, :2]).tolist()}
    for one, other, pose in portion.tolist():
        seen = resemblance(thumbnails[one].posed(pose), thumbnails[other])
        if seen is not None and seen.is_copy(likeness):
            yield one, other, seen.detail
