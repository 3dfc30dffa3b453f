"""How well held-out answers agree with the teacher's masks, and the thresholds that follow from them.

The intersection over union (IoU) of a photo is taken on the 128 x 128 grid over the stretched frame: cells of 128 or
more in the mask that would be served (`specimen_mask.clean_mask`) against cells of 128 or more in the teacher's; means
are over photos. A photo whose teacher's mask covers less than 2 % of the frame has no IoU: there the right answer is
"it fills the frame", which is counted apart as precision and recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens.evaluation.tables import percent, table
from handlens.specimen import MASK_THRESHOLD
from handlens.specimen_mask import clean_mask
from handlens.training.localiser.data import MaskedPhoto, teacher_mask
from handlens.training.localiser.fit import EMPTY_AREA
from handlens.training.localiser.run import Answers

__all__ = [
    "Figures",
    "Overlap",
    "Thresholds",
    "at_threshold",
    "choose_thresholds",
    "figures",
    "figures_table",
    "overlaps",
]

_MASK_CHOICES: Final = (0.3, 0.35, 0.4, 0.45, 0.5)
_UNSURE: Final = (40, 215)
_MOST_UNSURE: Final = 0.2
_FILLS_CHOICES: Final = tuple(round(0.05 * step, 2) for step in range(2, 19))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`mask` and `fills`: probabilities of the network; `least_area`, `most_area`: see `LocaliserSettings`."""

    mask: float
    fills: float
    least_area: float = 0.01
    most_area: float = 0.98


@dataclass(frozen=True, slots=True)
class Overlap:
    """Of n photos: `iou` (n,) of the network's mask whatever the answer, `area` and `teacher_area` (n,) as shares of
    the frame, `unsure` (n,): the teacher's cells from 40 to 215 as a share of those of its mask.
    """

    iou: NDArray[np.float64]
    area: NDArray[np.float64]
    teacher_area: NDArray[np.float64]
    unsure: NDArray[np.float64]

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Where the teacher's mask has hardly a blurred or patchy part: fewer unsure cells than a fifth of it."""
        return self.unsure < _MOST_UNSURE


@dataclass(frozen=True, slots=True)
class Figures:
    """`iou`, `median`, `worst_decile` (the 10th percentile): of the masks, over the `judged` photos. `answer_iou`: the
    same mean where an answer "it fills the frame" counts as a mask of everything.

    `empty` photos have next to no teacher's mask; `precision`, `recall`: of the answer "it fills the frame" for them
    (NaN where there is none); `near_precision`: the share of such answers whose teacher's mask covers less than 10 %.
    """

    photos: int
    judged: int
    iou: float
    median: float
    worst_decile: float
    answer_iou: float
    empty: int
    precision: float
    recall: float
    near_precision: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, rounded, without the figures that are no number."""
        rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return {key: value for key, value in rounded.items() if value == value}


def overlaps(photos: Sequence[MaskedPhoto], answers: Answers, mask_threshold: float) -> Overlap:
    """The overlap of each answer with its teacher's mask, in the order of the answers."""
    rows = []
    for place, grid in zip(answers.places, answers.masks, strict=True):
        greys = teacher_mask(photos[place])
        teacher = greys >= MASK_THRESHOLD
        unsure = int(np.count_nonzero((greys >= _UNSURE[0]) & (greys <= _UNSURE[1])))
        found = clean_mask(at_threshold(grid, mask_threshold))[0] >= MASK_THRESHOLD
        either = max(1, int(np.count_nonzero(teacher | found)))
        both = int(np.count_nonzero(teacher & found))
        rows.append((both / either, found.mean(), teacher.mean(), unsure / max(1, int(np.count_nonzero(teacher)))))
    return Overlap(*np.array(rows, np.float64).reshape(-1, 4).T)


def choose_thresholds(photos: Sequence[MaskedPhoto], answers: Answers) -> Thresholds:
    """The mask's threshold with the highest mean IoU, then that of filling the frame with the highest F1."""
    by_threshold = {choice: overlaps(photos, answers, choice) for choice in _MASK_CHOICES}
    judged = next(iter(by_threshold.values())).teacher_area >= EMPTY_AREA
    mask = max(_MASK_CHOICES, key=lambda choice: float(by_threshold[choice].iou[judged].mean()))
    candidates = [Thresholds(mask, fills) for fills in _FILLS_CHOICES]
    return max(candidates, key=lambda thresholds: _f1(~judged, _fills(answers, by_threshold[mask], thresholds)))


def figures(answers: Answers, overlap: Overlap, thresholds: Thresholds, chosen: NDArray[np.bool_]) -> Figures:
    """The figures of the `chosen` (n,) answers."""
    empty = overlap.teacher_area < EMPTY_AREA
    fills = _fills(answers, overlap, thresholds)
    judged = chosen & ~empty
    iou = overlap.iou[judged]
    answer = np.where(fills, overlap.teacher_area, overlap.iou)[judged]
    found = fills & chosen
    return Figures(
        photos=int(chosen.sum()),
        judged=len(iou),
        iou=_mean(iou),
        median=float(np.median(iou)) if len(iou) else float("nan"),
        worst_decile=float(np.quantile(iou, 0.1)) if len(iou) else float("nan"),
        answer_iou=_mean(answer),
        empty=int((chosen & empty).sum()),
        precision=_mean(empty[found]),
        recall=_mean(fills[chosen & empty]),
        near_precision=_mean(overlap.teacher_area[found] < 0.1),
    )


def figures_table(rows: dict[str, Figures]) -> str:
    """Markdown, a row a fold."""
    names = ("photos", "judged", "mean IoU", "median", "worst decile", "IoU of answers", "empty", "precision", "recall")
    return table(
        ("held out", *names),
        [
            (
                name,
                row.photos,
                row.judged,
                *(f"{value:.3f}" for value in (row.iou, row.median, row.worst_decile, row.answer_iou)),
                row.empty,
                *("-" if value != value else f"{percent(value)} %" for value in (row.precision, row.recall)),
            )
            for name, row in rows.items()
        ],
    )


def at_threshold(grid: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Probabilities with `threshold` moved to one half, as `net.served_net` moves it."""
    odds = grid / np.maximum(1 - grid, 1e-6) * ((1 - threshold) / threshold)
    return (odds / (1 + odds)).astype(np.float32)


def _fills(answers: Answers, overlap: Overlap, thresholds: Thresholds) -> NDArray[np.bool_]:
    believed = (overlap.area >= thresholds.least_area) & (overlap.area <= thresholds.most_area)
    return (answers.fills >= thresholds.fills) | ~believed


def _f1(wanted: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return 2 * float((wanted & found).sum()) / max(1.0, float(wanted.sum() + found.sum()))


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
