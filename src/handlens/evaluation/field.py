"""The split `field`: other photographers and places than the training data. Measured, never tuned on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import Thresholds
from handlens.decision import UNKNOWN, Taxonomy, decide, softmax
from handlens.evaluation.answers import AnswerSettings, is_right
from handlens.evaluation.describe import at_species, species_of
from handlens.evaluation.metrics import balanced_accuracy, calibration_error, top_k, wilson_interval
from handlens.identifier import ORIGIN_TEN
from handlens.minerals import KnowledgeBase
from handlens.training.samples import BadSamplesError, Sample

__all__ = ["field_figures"]


def field_figures(
    samples: Sequence[Sample],
    logits: NDArray[np.float32],
    labels: Sequence[str],
    settings: AnswerSettings,
    minerals: KnowledgeBase,
) -> dict[str, Any]:
    """Figures for the usable photos: flat and species rank, the ten labels among themselves, and the decisions.

    A photo whose label the model lacks counts at species rank where the tree has its species (rock crystal is quartz),
    else as an unknown. Figures are None where there is no photo for them; those of the ten labels also where the model
    does not know all ten. Raises BadSamplesError where no photo is usable.
    """
    usable = [place for place, sample in enumerate(samples) if sample.usable]
    if not usable:
        raise BadSamplesError("there is no usable photo in the split 'field'")
    samples, logits = [samples[place] for place in usable], logits[usable]
    probabilities = softmax(logits, settings.temperature)
    column = {label: place for place, label in enumerate(labels)}
    flat = [place for place, sample in enumerate(samples) if sample.label in column]
    ten_columns = [column[label] for label in ORIGIN_TEN if label in column]
    whole_ten = len(ten_columns) == len(ORIGIN_TEN)
    ten = [place for place, sample in enumerate(samples) if whole_ten and sample.label in ORIGIN_TEN]
    ten_truth = np.array([ORIGIN_TEN.index(samples[place].label) for place in ten], dtype=np.intp)

    summed, _, species = at_species(probabilities, np.zeros(len(samples), np.intp), labels, minerals)
    of = [species_of(sample.label, minerals) for sample in samples]
    known = [place for place, name in enumerate(of) if name in species]
    return {
        "photos": len(samples),
        "flat": _figures(probabilities[flat], np.array([column[samples[place].label] for place in flat], np.intp)),
        "species": _figures(summed[known], np.array([species.index(of[place]) for place in known], np.intp)),
        "ten labels": _figures(softmax(logits[np.ix_(ten, ten_columns)], settings.temperature), ten_truth)
        if ten
        else None,
        "unknown_photos": len(samples) - len(known),
        "decisions": _decisions(samples, probabilities, labels, settings.thresholds, minerals, known),
    }


def _figures(probabilities: NDArray[np.float64], truth: NDArray[np.intp]) -> dict[str, Any] | None:
    if not len(truth):
        return None
    predicted = probabilities.argmax(axis=1)
    hits = int(np.sum(predicted == truth))
    return {
        "photos": len(truth),
        "top1": round(hits / len(truth), 4),
        "top1_interval": [round(bound, 4) for bound in wilson_interval(hits, len(truth))],
        "top3": round(top_k(probabilities, truth, 3), 4),
        "top5": round(top_k(probabilities, truth, 5), 4),
        "balanced": round(balanced_accuracy(predicted, truth), 4),
        "ece": round(calibration_error(probabilities.max(axis=1), predicted == truth), 4),
    }


def _decisions(
    samples: Sequence[Sample],
    probabilities: NDArray[np.float64],
    labels: Sequence[str],
    thresholds: Thresholds,
    minerals: KnowledgeBase,
    known: Sequence[int],
) -> dict[str, Any]:
    taxonomy = Taxonomy.of(labels, minerals)
    answers = [decide(row, taxonomy, thresholds) for row in probabilities]
    right = [is_right(answer.name, sample.label, minerals) for answer, sample in zip(answers, samples, strict=True)]

    def count(places: Sequence[int], wanted: Callable[[int], bool]) -> int:
        return sum(wanted(place) for place in places)

    unknown = sorted(set(range(len(samples))) - set(known))
    return {
        "known_answered": count(known, lambda place: answers[place].name != UNKNOWN),
        "known_answered_rightly": count(known, lambda place: right[place]),
        "known": len(known),
        "unknown_left_unknown": count(unknown, lambda place: answers[place].name == UNKNOWN),
        "unknown_named_rightly_at_a_wider_rank": count(unknown, lambda place: right[place]),
        "unknown": len(unknown),
    }
