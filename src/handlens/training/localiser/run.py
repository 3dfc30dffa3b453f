"""A run: networks for every hold-out with their answers, and the network trained on everything.

On disk, below the folder of the run:

    maps/             kept maps of the encoder (see `maps`)
    held-out/NAME/    the decoder of one hold-out, NAME.npz its answers: `files`, `masks` (n, grid, grid) uint8
                      probabilities times 255, `fills` (n,) float32
    everything/       the decoder that ships

Each part is skipped where it is done, so a killed run goes on, and several processes can share the hold-outs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlens.errors import UsageError
from handlens.training.arrays import read_arrays
from handlens.training.localiser.data import MaskedPhoto, hold_outs
from handlens.training.localiser.fit import FitSettings, fit, predict
from handlens.training.localiser.maps import make_maps
from handlens.training.localiser.net import SIDE, LocaliserNet, localiser_net

__all__ = ["Answers", "LocaliserRun", "cross_validate", "read_answers", "train_everything"]

_HELD_OUT: Final = "held-out"


@dataclass(frozen=True, slots=True)
class LocaliserRun:
    """Where a run lies, its photos, how its networks are trained, and the side in pixels of what they see."""

    folder: Path
    photos: tuple[MaskedPhoto, ...]
    settings: FitSettings = field(default_factory=FitSettings)
    side: int = SIDE
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """What networks that never saw them say of n photos: `masks` (n, grid, grid) and `fills` (n,), from 0 to 1.

    `held_out` names the network of each photo, `places` its place among the photos of the run.
    """

    places: NDArray[np.intp]
    held_out: NDArray[np.str_]
    masks: NDArray[np.float32]
    fills: NDArray[np.float32]


def cross_validate(run: LocaliserRun, *, only: Collection[str] = ()) -> None:
    """Trains a network for each hold-out (or those named in `only`) and keeps its answers. Raises UsageError."""
    plans = hold_outs(run.photos)
    if unknown := set(only) - {plan.name for plan in plans}:
        raise UsageError(f"{sorted(unknown)[0]!r} is no hold-out: there are {', '.join(plan.name for plan in plans)}")
    for plan in plans:
        target = run.folder / _HELD_OUT / f"{plan.name}.npz"
        if target.is_file() or (only and plan.name not in only):
            continue
        net, judged = localiser_net(side=run.side), np.flatnonzero(plan.judged)
        maps = make_maps(run.photos, net, run.folder / "maps", quiet=run.quiet)
        fit(net, maps, np.flatnonzero(~plan.held_out), target.with_suffix(""), run.settings, quiet=run.quiet)
        masks, fills = predict(net, maps, judged)
        files = np.array([run.photos[place].file for place in judged])
        temporary = target.with_name(f".{target.name}")
        with temporary.open("wb") as file:
            np.savez_compressed(file, files=files, masks=np.rint(255 * masks).astype(np.uint8), fills=fills)
        temporary.replace(target)


def train_everything(run: LocaliserRun) -> LocaliserNet:
    """The network trained on all photos of the run, or the one that is kept."""
    net = localiser_net(side=run.side)
    maps = make_maps(run.photos, net, run.folder / "maps", quiet=run.quiet)
    everything = np.arange(len(run.photos))
    fit(net, maps, everything, run.folder / "everything", run.settings, quiet=run.quiet)
    return net


def read_answers(run: LocaliserRun) -> Answers:
    """The kept answers of every hold-out that is done. Raises UsageError where there is none, or one is damaged."""
    place_of = {photo.file: place for place, photo in enumerate(run.photos)}
    places, names, masks, fills = [], [], [], []
    for path in sorted((run.folder / _HELD_OUT).glob("[!.]*.npz")):
        try:
            arrays = read_arrays(path)
            places.append(np.array([place_of[file] for file in arrays["files"].tolist()], np.intp))
            masks.append(arrays["masks"].astype(np.float32) / 255)
            fills.append(arrays["fills"])
        except (ValueError, KeyError) as error:
            raise UsageError(f"{path}: these are no answers for the photos of this run: {error}") from error
        names.append(np.full(len(places[-1]), path.stem))
    if not places:
        raise UsageError(f"{run.folder}: no hold-out is done yet")
    return Answers(np.concatenate(places), np.concatenate(names), np.concatenate(masks), np.concatenate(fills))
