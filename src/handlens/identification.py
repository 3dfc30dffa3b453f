"""The answer for one specimen, and the JSON object that every door makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from handlens.decision import Candidate, Decision

if TYPE_CHECKING:
    from handlens.evidence import Contradiction, Evidence

__all__ = ["NO_SPECIMEN", "SEVERAL_SPECIMENS", "Hazard", "Identification", "Suggestion"]

NO_SPECIMEN: Final = "no-specimen"
SEVERAL_SPECIMENS: Final = "several-specimens"
"""The warning that the photo hardly shows a mineral specimen."""
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Hazard:
    """A mineral and what is dangerous about it, words of `handlens.minerals.properties.WORDS["hazards"]`."""

    mineral: str
    hazards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The test to do next, by its name, and in a sentence."""

    test: str
    text: str


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one photo, or for several of one specimen.

    `photo`: the name of the photo, the first one's where there are several. `candidates`: the most probable labels,
    best first, cut to `top`; before the cut their probabilities sum to 1. `prediction_set`: labels of the 90 % set,
    best first. `unknown_score`: 0 to 1, higher = less likely any label. `model`: the name of the bundle.

    `photos`: the names of all photos where there are several. `evidence`: what was given, and `contradictions`: what of
    it does not fit a mineral that the photo speaks for. `next_test`: where the answer is not sure and a test would
    help. `hazards`: of the decision, the candidates, the minerals that contradictions and the next test name, and the
    first nine of the prediction set, which are all that a door shows of it. `specimen`: the id passed in. `warnings`:
    words for what makes the answer doubtful: NO_SPECIMEN, SEVERAL_SPECIMENS.
    """

    photo: str
    decision: Decision
    candidates: tuple[Candidate, ...]
    prediction_set: tuple[str, ...]
    unknown_score: float
    model: str
    photos: tuple[str, ...] = ()
    evidence: Evidence | None = None
    contradictions: tuple[Contradiction, ...] = ()
    next_test: Suggestion | None = None
    hazards: tuple[Hazard, ...] = ()
    specimen: str | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of every door, numbers rounded to 6 decimals.

        What there is nothing to say of is left out; several photos are `photos` in place of `photo`.
        """
        answer: dict[str, Any] = {"photos": list(self.photos)} if self.photos else {"photo": self.photo}
        answer |= {
            "decision": {
                "name": self.decision.name,
                "rank": self.decision.rank,
                "probability": round(self.decision.probability, _DIGITS),
            },
            "candidates": [
                {"name": candidate.name, "probability": round(candidate.probability, _DIGITS)}
                for candidate in self.candidates
            ],
            "prediction_set": list(self.prediction_set),
            "unknown_score": round(self.unknown_score, _DIGITS),
            "model": self.model,
        }
        if self.evidence:
            answer["evidence"] = self.evidence.as_dict()
        if self.contradictions:
            answer["contradictions"] = [one.as_dict() for one in self.contradictions]
        if self.next_test is not None:
            answer["next_test"] = {"test": self.next_test.test, "text": self.next_test.text}
        if self.hazards:
            answer["hazards"] = [{"mineral": one.mineral, "hazards": list(one.hazards)} for one in self.hazards]
        if self.warnings:
            answer["warnings"] = list(self.warnings)
        if self.specimen is not None:
            answer["specimen"] = self.specimen
        return answer
