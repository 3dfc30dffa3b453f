"""The JSON answers of the service → the classes of the Python door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from handlens.client.errors import BadAnswerError, error_of_problem
from handlens.decision import Candidate, Decision
from handlens.errors import HandlensError
from handlens.evidence import Contradiction, Evidence
from handlens.identification import Hazard, Identification, Suggestion
from handlens.open_set import Novelty
from handlens.photo import Crop
from handlens.references import Reference

__all__ = ["Answer", "HeatMap", "answer_of", "identification_of", "outcome_of"]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Which part of the photo the first candidate rests on; see `handlens.explain.Explanation`.

    `heat`: rows of cells over `box`, which is in pixels of the upright, rotated photo. `nearest`: the reference
    specimens that the photo looks most like.
    """

    label: str
    probability: float
    box: Crop | None
    heat: tuple[tuple[float, ...], ...]
    nearest: tuple[Reference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of the service."""
        return {
            "label": self.label,
            "probability": self.probability,
            "box": None if self.box is None else list(astuple(self.box)),
            "heat": [list(row) for row in self.heat],
        } | ({"nearest": [one.as_dict() for one in self.nearest]} if self.nearest else {})


@dataclass(frozen=True, slots=True)
class Answer(Identification):
    """An Identification with what was asked for beside it.

    `scores`: the probability of every label before any evidence, and `novelty`, where the model can tell it, both for
    `Client.reweigh`; `explanation`: the heat map.
    Numbers are rounded to 6 decimals, scores to 9 significant digits.
    """

    scores: Mapping[str, float] | None = None
    explanation: HeatMap | None = None
    novelty: Novelty | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of the service."""
        # No bare super(): a dataclass with slots is another class than the one that was written.
        answer = Identification.as_dict(self)
        if self.scores is not None:
            answer["scores"] = dict(self.scores)
        if self.novelty is not None:
            answer["novelty"] = self.novelty.as_dict()
        if self.explanation is not None:
            answer["explanation"] = self.explanation.as_dict()
        return answer


def identification_of(document: Any) -> Identification:
    """An answer of `/v1/reweigh`. Raises BadAnswerError."""
    try:
        return Identification(**_parts(document))
    except (LookupError, TypeError, ValueError, AttributeError, HandlensError) as error:
        raise _unreadable() from error


def answer_of(document: Any, specimen: str | None) -> Answer:
    """An answer of `/v1/identify`; `specimen`: the id passed through. Raises BadAnswerError."""
    try:
        scores, explanation, novelty = (document.get(key) for key in ("scores", "explanation", "novelty"))
        answer = Answer(
            **_parts(document),
            scores=None if scores is None else {str(label): float(score) for label, score in scores.items()},
            explanation=None if explanation is None else _heat_map(explanation),
            novelty=None if novelty is None else Novelty(float(novelty["far"]), float(novelty["near"])),
        )
    except (LookupError, TypeError, ValueError, AttributeError, HandlensError) as error:
        raise _unreadable() from error
    return answer if specimen is None else replace(answer, specimen=specimen)


def outcome_of(line: Any) -> Identification | HandlensError:
    """A line of a batch: the answer, or the photo's error. Raises BadAnswerError."""
    try:
        error = line.get("error")
        if error is not None:
            return error_of_problem({"code": error["type"], "detail": error["detail"], "photo": line["photo"]})
    except (LookupError, TypeError, AttributeError) as broken:
        raise _unreadable() from broken
    return identification_of(line)


def _unreadable() -> BadAnswerError:
    return BadAnswerError("The answer is not one that this version of the client can read.")


def _parts(document: Any) -> dict[str, Any]:
    """The fields of an Identification. Keys of the document that are not known here are passed over."""
    photos = tuple(map(str, document.get("photos", ())))
    decision, next_test = document["decision"], document.get("next_test")
    return {
        "photo": photos[0] if photos else str(document["photo"]),
        "photos": photos,
        "decision": Decision(str(decision["name"]), decision["rank"], float(decision["probability"])),
        "candidates": tuple(Candidate(str(one["name"]), float(one["probability"])) for one in document["candidates"]),
        "prediction_set": tuple(map(str, document["prediction_set"])),
        "unknown_score": float(document["unknown_score"]),
        "model": str(document["model"]),
        "evidence": Evidence.of(document["evidence"]) if "evidence" in document else None,
        "contradictions": tuple(
            Contradiction(one["test"], one["observed"], one["mineral"], one["text"])
            for one in document.get("contradictions", ())
        ),
        "next_test": None if next_test is None else Suggestion(next_test["test"], next_test["text"]),
        "hazards": tuple(Hazard(one["mineral"], tuple(one["hazards"])) for one in document.get("hazards", ())),
        "specimen": document.get("specimen"),
        "warnings": tuple(map(str, document.get("warnings", ()))),
    }


def _heat_map(document: Any) -> HeatMap:
    box = document["box"]
    return HeatMap(
        label=str(document["label"]),
        probability=float(document["probability"]),
        box=None if box is None else Crop(*box),
        heat=tuple(tuple(map(float, row)) for row in document["heat"]),
        nearest=tuple(
            Reference(str(one["label"]), str(one["source"]), float(one["similarity"]))
            for one in document.get("nearest") or ()
        ),
    )
