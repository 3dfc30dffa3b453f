"""The study of simulated tests for an evaluated run: `handlens evaluate RUN --evidence`.

On disk, in the run's folder:

    evaluation/evidence.json            every figure; `temperature_with_evidence` is what a bundle would store
    evaluation/evidence.md              the same as tables
    evaluation/plots/evidence-*.svg     accuracy against the number of tests, also as PNG
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlens._version import __version__
from handlens.dataset.files import write_atomically
from handlens.evaluation.calibration import fit_temperature
from handlens.evaluation.describe import restricted
from handlens.evaluation.evaluate import read_report
from handlens.evaluation.evidence_plots import accuracy_by_tests
from handlens.evaluation.figures import write_figures
from handlens.evaluation.protocol import HeldOut
from handlens.evaluation.tables import percent, table
from handlens.evaluation.with_evidence import FOLLOWED, RANKS, TEMPERED_DRAWS, AtRank, Study, study
from handlens.field_tests import MISTAKE
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.training.run import BadRunError, Run
from handlens.training.samples import Sample, read_samples, with_split

__all__ = ["evaluate_evidence", "evidence_markdown", "read_held_out"]

PUBLISHED: Final = (
    "The 90.6 % published for photo and hardness together (Zeng et al., Minerals 2021, 11, 506: 36 minerals) took the "
    "hardness of every test photo from a table by its true label, without error: part of the answer came with the "
    "question. Here a hardness has an error, one in ten or twenty is any number, and the photos are of photographers "
    "that training did not see. The two are not comparable."
)
"""So in the paper's code: `mineral_dataset_hardness` in load_data.py of zengxiang68/Mineral-Identification."""
_AMONG: Final = "ten labels among all"
_ABOUT: Final = (
    "Nobody did these tests: the specimens, their errors and mistakes are drawn from the knowledge base and from the "
    "stated error models, which also weigh the answers. So the figures say what tests are worth if these models are "
    "true of the user, not what a user was seen to reach."
)


def evaluate_evidence(run: Run, *, draws: int = 20, seed: int = 0, quiet: bool = False) -> dict[str, Any]:
    """Simulates tests for the held-out photos of an evaluated run, writes the report into its folder and returns it.

    The protocols are leave-one-fold-out where the run has it, else grouped; of a model of more labels than the origin's
    ten, also these chosen among all. Raises BadRunError where the run is not
    evaluated or its photos have changed.
    """
    minerals = KnowledgeBase.load()
    basis = read_report(run)["answers_from"]
    way = basis.split(", ")[1]
    protocols = {name: found for name, found in read_held_out(run).items() if name.endswith(way)}
    if (wider := protocols.get(f"all labels, {way}")) is not None and set(ORIGIN_TEN) < set(wider.labels):
        protocols[f"{_AMONG}, {way}"] = restricted(wider, ORIGIN_TEN)
    samples = with_split(read_samples(run.source), "train")
    unread = {name for name, *_ in run.record["failures"]}
    studies = {
        name: study(
            held,
            _groups(run, name, held, [sample for sample in samples if sample.file not in unread]),
            minerals,
            draws=draws,
            seed=seed,
            quiet=quiet,
        )
        for name, held in protocols.items()
    }
    report: dict[str, Any] = {
        "handlens": __version__,
        "network": run.settings.network,
        "draws": draws,
        "seed": seed,
        "weighed_with_mistakes": MISTAKE,
        "published": PUBLISHED,
        "temperature_with_evidence": round(next(iter(studies[basis].rates.values())).temperature, 6),
        "temperature_from": basis,
        "protocols": {name: _figures(found) for name, found in studies.items()},
    }
    folder = run.folder / "evaluation"
    figures = {
        f"evidence-{name.split(', ')[0].replace(' ', '-')}": accuracy_by_tests(found, name.split(", ")[0].capitalize())
        for name, found in studies.items()
    }
    write_figures(folder / "plots", figures)
    write_atomically(folder / "evidence.md", evidence_markdown(report))
    write_atomically(folder / "evidence.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def read_held_out(run: Run) -> dict[str, HeldOut]:
    """The held-out predictions of an evaluated run by protocol, each fold's temperature fitted on the others.

    Raises BadRunError.
    """
    path = run.folder / "evaluation" / "held_out.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = dict.fromkeys(key.rsplit("/", 1)[0] for key in arrays.files)
            return {name: _held_out(arrays, name) for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadRunError(f"{path}: cannot be read: run handlens evaluate again ({error})") from error


def _held_out(arrays: Mapping[str, NDArray[Any]], name: str) -> HeldOut:
    labels, logits, truth, folds, places = (
        arrays[f"{name}/{part}"] for part in ("labels", "logits", "truth", "folds", "places")
    )
    temperatures = np.ones(len(truth))
    for fold in np.unique(folds):
        here = folds == fold
        temperatures[here] = fit_temperature(logits[~here], truth[~here])
    return HeldOut(tuple(labels.tolist()), logits, truth, folds, places, temperatures)


def _groups(run: Run, name: str, held: HeldOut, samples: Sequence[Sample]) -> NDArray[np.str_]:
    """The group of each held-out photo. Raises BadRunError where the listing is no longer that of the evaluation."""
    if name.startswith("ten labels") and not name.startswith(_AMONG):
        samples = [sample for sample in samples if sample.label in ORIGIN_TEN]
    labels = [held.labels[column] for column in held.truth]
    found = [samples[place] for place in held.places] if held.places.max() < len(samples) else []
    if [sample.label for sample in found] != labels:
        raise BadRunError(f"{run.folder}: the photos of {run.source} have changed since: run handlens train again")
    return np.array([sample.group for sample in found])


def _figures(found: Study) -> dict[str, Any]:
    return {
        "photos": found.photos,
        "groups": found.groups,
        "labels": found.labels,
        "not_known": {test: round(share, 4) for test, share in found.not_known.items()},
        "mistakes": {
            f"{rate:g}": {
                "temperature_with_evidence": round(at.temperature, 6),
                "chosen": {
                    strategy: {test or "none": round(share, 4) for test, share in counts.items()}
                    for strategy, counts in at.chosen.items()
                },
            }
            | {rank: _at_rank(at.ranks[rank]) for rank in RANKS}
            for rate, at in found.rates.items()
        },
    }


def _at_rank(found: AtRank) -> dict[str, Any]:
    return {
        "strategies": {
            strategy: _rounded(asdict(scores)) | {"temperature": _rounded(asdict(found.tempered[strategy]))}
            for strategy, scores in found.scores.items()
        },
        "differences": {f"{one} - {other}": _rounded(asdict(d)) for (one, other), d in found.differences.items()},
    }


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: [round(one, 4) for one in value] if isinstance(value, tuple) else round(value, 4)
        for key, value in values.items()
    }


def evidence_markdown(report: Mapping[str, Any]) -> str:
    """All tables; shares are in percent, ECE with three decimals."""
    parts = [
        "# Simulated field tests",
        f"{report['network']}, {report['draws']} simulated specimens a photo, seed {report['seed']}; Handlens "
        f"{report['handlens']}. Answers are weighed as if {100 * report['weighed_with_mistakes']:g} % of the tests "
        "went wrong, whatever the simulated share. Intervals are 95 %, over groups of photos of one specimen.",
        _ABOUT,
        PUBLISHED,
        "`best`: the test that Handlens recommends, after each answer; `no balance`: to one who cannot measure a "
        "specific gravity; `most bits`: the most information, whatever the effort; `random`: any test not yet done; "
        "the others: these tests, in this order. `errors removed`: of those that the photo alone makes. Temperatures "
        "are fitted on other folds than they are judged on, with the first "
        f"{TEMPERED_DRAWS} specimens of each photo: `photo` without evidence, `own` with this kind of evidence, "
        "`shared` with all kinds in the table but the first.",
    ]
    for name, found in report["protocols"].items():
        parts += _protocol(name, found)
    parts += [
        "## The temperature with evidence",
        f"For a bundle: {report['temperature_with_evidence']:.3f}, fitted on {report['temperature_from']} with the "
        "evidence of one who follows the advice or has a kit, on all folds.",
    ]
    return "\n\n".join(parts) + "\n"


def _protocol(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name[0].upper()}{name[1:]}"
    missing = [f"{test} {percent(share)} %" for test, share in found["not_known"].items() if share > 0]
    yield (
        f"{found['photos']} photos of {found['groups']} groups, {found['labels']} labels. Not known of the true "
        f"mineral, so the test says nothing: {', '.join(missing) or 'nothing'}."
    )
    for rate, at in found["mistakes"].items():
        wrong = f"{100 * float(rate):g} % mistakes"
        for rank in RANKS:
            yield f"### {'At species rank' if rank == 'species' else 'Flat'}, {wrong}"
            yield _scores_table(at[rank]["strategies"])
            yield table(
                ("difference in accuracy, points", "", "95 % interval"),
                [
                    (pair.replace(" - ", " over "), percent(d["share"]), _interval((d["low"], d["high"])))
                    for pair, d in at[rank]["differences"].items()
                ],
            )
        yield f"### The temperature, at species rank, {wrong}"
        yield _temperature_table(at["species"]["strategies"])
        yield "Recommended first: " + ", ".join(
            f"{test} {percent(share)} %" for test, share in at["chosen"]["best x1"].items() if share >= 0.005
        )


def _scores_table(strategies: Mapping[str, Any]) -> str:
    return table(
        ("known", "top-1", "95 % interval", "errors removed", "95 % interval", "balanced", "ECE"),
        [
            (
                strategy,
                percent(row["top1"]),
                _interval(row["top1_interval"]),
                percent(row["removed"]),
                _interval(row["removed_interval"]),
                percent(row["balanced"]),
                f"{row['ece']:.3f}",
            )
            for strategy, row in strategies.items()
        ],
    )


def _temperature_table(strategies: Mapping[str, Any]) -> str:
    """ECE and NLL with the photo's temperature, with one of its own, and with one for all kinds of evidence."""
    rows = []
    for strategy in ("image", *FOLLOWED):
        found = strategies[strategy]["temperature"]
        ways = ("before", "own", "shared")
        rows.append(
            (
                strategy,
                *(f"{found[f'temperature_{way}']:.2f}" for way in ways),
                *(f"{found[f'ece_{way}']:.3f}" for way in ways),
                *(f"{found[f'nll_{way}']:.3f}" for way in ways),
            )
        )
    heads = [f"{figure} {way}" for figure in ("T", "ECE", "NLL") for way in ("photo", "own", "shared")]
    return table(("known", *heads), rows)


def _interval(ends: Sequence[float]) -> str:
    return f"{percent(ends[0])} to {percent(ends[1])}"
