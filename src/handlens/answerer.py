"""From one specimen's scores and evidence to its Identification: no photo and no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final, get_args

import numpy as np
from numpy.typing import NDArray

from handlens.bundle import Bundle
from handlens.decision import (
    UNKNOWN,
    Candidate,
    Decision,
    Taxonomy,
    decide,
    prediction_set,
    softmax,
    unknown_score,
)
from handlens.errors import HandlensError, UsageError
from handlens.identification import NO_SPECIMEN, SEVERAL_SPECIMENS, Hazard, Identification, Suggestion
from handlens.minerals import KnowledgeBase, Language
from handlens.open_set import Novelty

if TYPE_CHECKING:
    from handlens.evidence import Contradiction, Evidence, FieldEvidence
    from handlens.next_test import Advice, NextTest

__all__ = ["DEFAULT_TOP", "ORIGIN_TEN", "Answerer", "UnknownLabelError", "check"]

DEFAULT_TOP: Final = 5
ORIGIN_TEN: Final = (
    "copper",
    "pyromorphite",
    "amethyst",
    "malachite",
    "azurite",
    "wulfenite",
    "pyrite",
    "quartz",
    "fluorite",
    "calcite",
)
"""The ten labels of the project this one began as, reserved under the name `origin-ten`."""
_SURE: Final = 0.8
"""From this probability of the decision on no further test is advised."""
_NO_SPECIMEN: Final = 0.5
"""From this probability on that a photo shows no specimen a warning is given, and no test advised."""
_LEAST_SCORE: Final = 1e-300
"""In place of a probability of 0, which has no logarithm."""
_SET_NAMES_SHOWN: Final = 9
"""The doors show no more of a prediction set than that."""
_LANGUAGES: Final = get_args(Language)


class UnknownLabelError(HandlensError):
    """A name is none of the bundle's labels (`unknown-label`)."""

    code = "unknown-label"


class Answerer:
    """A bundle's labels with the knowledge base; may be shared between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.minerals = KnowledgeBase.load()
        self.taxonomy = Taxonomy.of(bundle.labels, self.minerals)
        self._making = Lock()
        self._made: tuple[FieldEvidence, Advice] | None = None

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities of all labels, in the bundle's order."""
        return softmax(logits, self.bundle.temperature)

    def check_thorough(self, thorough: bool) -> None:
        """Raises UsageError where it is asked for and the bundle has no more views than its network takes."""
        if thorough and self.bundle.thorough is None:
            raise UsageError(f"the bundle {self.bundle.name} has no more views for a thorough look")

    def label_indices(self, among: Sequence[str] | None) -> list[int] | None:
        """Places of the labels named in `among`, without repeats, or None for all of them.

        Synonyms and Spanish names are understood; `origin-ten` stands for ORIGIN_TEN. Raises UnknownLabelError for a
        name that is no label of this bundle, UsageError for no name at all.
        """
        if among is None:
            return None
        places = {label: index for index, label in enumerate(self.bundle.labels)}
        given_names = (among,) if isinstance(among, str) else among
        names = [name for given in given_names for name in (ORIGIN_TEN if given == "origin-ten" else (given,))]
        if not names:
            raise UsageError("no label is named to choose among")
        indices = dict.fromkeys(places[self._label(name, places.keys())] for name in names)
        return list(indices)

    def _label(self, name: str, labels: Iterable[str]) -> str:
        if name in labels:
            return name
        known = self.minerals.find(name).name
        if known not in labels:
            raise UnknownLabelError(f"{known!r} is a mineral, but no label of the bundle {self.bundle.name}")
        return known

    def answer(
        self,
        photo: str | Sequence[str],
        logits: NDArray[np.floating],
        *,
        top: int = DEFAULT_TOP,
        chosen: Sequence[int] | None = None,
        novelty: Novelty | None = None,
        evidence: Evidence | None = None,
        lang: Language = "en",
        specimen: str | None = None,
        several: bool = False,
    ) -> Identification:
        """The Identification of one specimen from its logits (labels,): the same arithmetic for every door.

        `photo`: the name of the photo, or those of all. `chosen`: places of the labels to choose from
        (`label_indices`); the unknown score does not depend on it. `novelty`: how far the photos are from all labels,
        where the bundle can tell; without it the unknown score is what the best label lacks. `several`: whether some
        photo shows several specimens, which is warned of. The rest is as in `identify`.
        """
        check(top, lang)
        names = (photo,) if isinstance(photo, str) else tuple(photo)
        labels, everything = self.bundle.labels, self.probabilities(logits)
        probabilities = everything
        if chosen is not None:
            # Of a softmax over fewer labels, so that the ratios stay even where all of them are tiny.
            probabilities = np.zeros_like(everything)
            probabilities[list(chosen)] = self.probabilities(logits[list(chosen)])
        allowed = range(len(labels)) if chosen is None else chosen
        kept = 1.0
        contradictions: tuple[Contradiction, ...] = ()
        if evidence:
            field_evidence, _ = self._tables()
            weighed = field_evidence.weigh(everything, evidence)
            # Weighing what was cut is cutting what was weighed, without losing what is tiny.
            restricted = weighed if chosen is None else field_evidence.weigh(probabilities, evidence)
            everything, probabilities, kept = weighed.probabilities, restricted.probabilities, weighed.kept
            contradictions = tuple(
                self._told(one, lang) for one in weighed.contradictions if labels.index(one.mineral) in allowed
            )
        order = sorted(allowed, key=lambda index: -probabilities[index])
        members = [index for index in prediction_set(everything, self.bundle.set_quantile) if index in allowed]
        # A photo of a mineral that is no label cannot be told surely enough to withhold a name; one of no specimen can.
        odd = novelty is not None and novelty.far >= _NO_SPECIMEN
        if novelty is not None and evidence:  # what was scratched and weighed is a specimen, however odd its photo
            novelty = Novelty(0.0, novelty.near)
        far = novelty.far if novelty is not None else 0.0
        decision = decide(probabilities * kept * (1 - far), self.taxonomy, self.bundle.thresholds)
        candidates = tuple(Candidate(labels[index], float(probabilities[index])) for index in order[:top])
        next_test = None if far >= _NO_SPECIMEN else self._next_test(decision, probabilities, evidence)
        return Identification(
            photo=names[0],
            decision=decision,
            candidates=candidates,
            prediction_set=tuple(labels[index] for index in members),
            unknown_score=unknown_score(everything, kept, novelty),
            model=self.bundle.name,
            photos=names if len(names) > 1 else (),
            evidence=evidence or None,
            contradictions=contradictions,
            next_test=None if next_test is None else self._suggestion(next_test, lang),
            hazards=self._hazards(
                decision.name,
                *(one.name for one in candidates),
                *(one.mineral for one in contradictions),
                *(name for side in (next_test.sides if next_test else ()) for name in side.minerals),
                *(labels[index] for index in members[:_SET_NAMES_SHOWN]),
            ),
            specimen=specimen,
            warnings=(NO_SPECIMEN,) if odd else (SEVERAL_SPECIMENS,) if several else (),
        )

    def reweigh(
        self,
        photo: str | Sequence[str],
        scores: NDArray[np.float64],
        *,
        novelty: Novelty | None = None,
        top: int = DEFAULT_TOP,
        among: Sequence[str] | None = None,
        evidence: Evidence | None = None,
        lang: Language = "en",
        several: bool = False,
    ) -> Identification:
        """The answer of `identify` from the probabilities (labels,) that the photos gave before any evidence.

        Parameters and errors are those of `answer` and `label_indices`.
        """
        logits = self.bundle.temperature * np.log(np.maximum(scores, _LEAST_SCORE))
        chosen = self.label_indices(among)
        return self.answer(
            photo,
            logits,
            top=top,
            chosen=chosen,
            novelty=novelty,
            evidence=evidence,
            lang=lang,
            several=several,
        )

    def _tables(self) -> tuple[FieldEvidence, Advice]:
        """What weighs evidence and what advises, made with the first use: a sure answer without evidence needs none."""
        with self._making:
            if self._made is None:
                from handlens.evidence import FieldEvidence
                from handlens.next_test import Advice

                field_evidence = FieldEvidence(self.bundle.labels, self.minerals)
                advice = Advice(field_evidence, self.minerals)
                advice.prepare()
                self._made = field_evidence, advice
        return self._made

    def _told(self, contradiction: Contradiction, lang: Language) -> Contradiction:
        from handlens.contradiction_text import told

        return told(contradiction, self.minerals, lang)

    def _next_test(
        self, decision: Decision, probabilities: NDArray[np.float64], evidence: Evidence | None
    ) -> NextTest | None:
        if decision.name != UNKNOWN and decision.probability >= _SURE:
            return None
        _, advice = self._tables()
        return advice.best(probabilities, evidence.names if evidence else ())

    def _suggestion(self, next_test: NextTest, lang: Language) -> Suggestion:
        from handlens.next_test_text import next_test_text

        return Suggestion(next_test.test, next_test_text(next_test, self.minerals, lang))

    def _hazards(self, *shown: str) -> tuple[Hazard, ...]:
        """Of these names, each once: a name is not shown without its warning."""
        known = {name: self.minerals.properties(name).hazards for name in shown if name in self.minerals}
        return tuple(Hazard(name, hazards) for name, hazards in known.items() if hazards)


def check(top: int, lang: Language) -> None:
    """Raises UsageError for a `top` or `lang` that makes no sense."""
    if top < 1:
        raise UsageError(f"top is {top}: it must be 1 or more")
    if lang not in _LANGUAGES:
        raise UsageError(f"lang is {lang!r}: it must be one of {', '.join(_LANGUAGES)}")
