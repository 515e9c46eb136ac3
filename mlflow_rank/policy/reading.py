"""What rules read: the evidence that counts for candidate and champion, and one reading for each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from mlflow_rank.evidence.fields import LayerKey
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import Admitted, Refusal, admit
from mlflow_rank.policy.case import Case, Champion, NoChampion
from mlflow_rank.policy.model import EvidenceTerms
from mlflow_rank.policy.outcomes import Cause, Observation
from mlflow_rank.policy.vocabulary import FirstPromotion

FOREVER = "99999w"
LARGEST = 1e15  # of a number that is held against a bound: its margin can still be written as canonical JSON


@dataclass(frozen=True, slots=True)
class Reading:
    """A rule read from one statement for one layer: it passed or failed with a margin, or `refusal` says why neither.

    `said` is what was seen, in words. Of several layers it is the worst one, and `layers` how many passed and were
    asked.
    """

    passed: bool | None
    said: str = ""
    observed: Observation | None = None
    margin: float | None = None
    layer: LayerKey | None = None
    refusal: Refusal | None = None
    evidence: tuple[str, ...] = ()
    bound: float | str | None = None
    layers: tuple[int, int] | None = None

    @classmethod
    def unknown(cls, cause: Cause, detail: str) -> Reading:
        """Return a reading without an answer."""
        return cls(None, refusal=Refusal(cause, detail))

    @classmethod
    def held(cls, observed: Observation, bound: float, *, at_least: bool, said: str) -> Reading:
        """Return a reading of a number that was held against a bound, which itself passes."""
        value = float(observed.value)
        if not abs(value) <= LARGEST:
            return cls.unknown(Cause.NOT_MEASURED, f"{said}, which no measurement gives")
        margin = value - bound if at_least else bound - value
        return cls(margin >= 0.0, said, observed, margin, bound=bound)

    def of(self, *statements: Presented) -> Reading:
        """Return the reading with the statements that it was read from."""
        return replace(self, evidence=tuple(sorted({each.digest for each in statements})))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a number must lie between, both ends passing."""

    at_least: float = -math.inf
    at_most: float = math.inf


def worst_layer(
    layers: Sequence[LayerKey],
    known: Mapping[Any, float],
    limits: Limits,
    *,
    why: Callable[[Any], Refusal],
    words: Callable[[Any, float], tuple[str, Observation]],
    statements: Sequence[Presented],
) -> Reading:
    """Return the reading of the layer that passes least: a failure before an unknown, an unknown before a pass.

    Only for that layer words are made: a gate reads thousands of numbers in the time that it has.

    Args:
        layers: one or more.
        known: the numbers of layers, of those where they are known.
        limits: that every number is held against.
        why: why the number of a layer is not known.
        words: of a layer and its number: what was seen, in words and as an observation.
        statements: that the numbers were read from.
    """
    held = list(map(known.get, layers))
    numbers = _usable(held)
    lowest, highest = limits.at_least, limits.at_most
    low, high = (min(numbers), max(numbers)) if numbers else (highest, lowest)
    below, above = low - lowest, highest - high
    passes = below >= 0.0 and above >= 0.0
    passed = len(numbers) if passes else len([number for number in numbers if lowest <= number <= highest])
    evidence, counted = tuple(sorted({each.digest for each in statements})), (passed, len(layers))
    if passes and len(numbers) < len(layers):
        layer = next(layer for layer, number in zip(layers, held, strict=True) if number not in numbers)
        refusal = why(layer) if layer not in known else Refusal(Cause.NOT_MEASURED, "its number is beyond measure")
        return Reading(None, layer=layer, refusal=refusal, evidence=evidence, layers=counted)
    number, margin, bound = (low, below, lowest) if below <= above else (high, above, highest)
    layer = layers[held.index(number)]
    said, observed = words(layer, number)
    return Reading(margin >= 0.0, said, observed, margin, layer, None, evidence, bound, counted)


def _usable(held: list[float | None]) -> list[float]:
    """Return the numbers that can be held against a bound; all at once in the usual case, where all of them can."""
    if None not in held:
        numbers = cast("list[float]", held)
        if math.isfinite(sum(numbers)) and min(numbers) >= -LARGEST and max(numbers) <= LARGEST:
            return numbers
    return [number for number in held if number is not None and -LARGEST <= number <= LARGEST]


def without_champion(case: Case, first: FirstPromotion) -> Reading | None:
    """Return what a rule that compares with the champion says where there is none; None where there is one."""
    if isinstance(case.champion, Champion):
        return None
    if isinstance(case.champion, NoChampion):
        return Reading(first == "pass", f"first promotion, no champion to compare with: the policy says {first}")
    return Reading.unknown(Cause.CHAMPION_UNKNOWN, "nobody has looked who is champion now")


@dataclass(slots=True)
class View:
    """A case seen by one policy: only evidence that counts under its terms is handed out."""

    case: Case
    terms: EvidenceTerms
    unsigned_counts: bool
    now: datetime
    _admitted: dict[tuple[str, str], Admitted] = field(default_factory=dict)

    def admitted(self, kind: str) -> Admitted:
        """Return the candidate's evidence of a kind."""
        return self._of("candidate", kind, self.case.evidence, self.case.request.candidate.digest, self.terms)

    def champions(self, kind: str) -> Admitted:
        """Return the champion's evidence of a kind, however old: it was fresh when the champion was promoted."""
        champion = self.case.champion
        if not isinstance(champion, Champion):
            return Admitted(())
        ageless = self.terms.model_copy(update={"max_age": FOREVER})
        return self._of("champion", kind, champion.evidence, champion.digest, ageless)

    def measurements(self) -> list[tuple[Presented, Measurement]]:
        """Return the candidate's measurements that count."""
        return [
            (each, each.content)
            for each in self.admitted("measurement").statements
            if isinstance(each.content, Measurement)
        ]

    def pilots(self, task: str) -> list[tuple[Presented, Pilot]]:
        """Return the candidate's pilots of a task that count."""
        return [
            (each, each.content)
            for each in self.admitted("pilot").statements
            if isinstance(each.content, Pilot) and task in each.content.tasks
        ]

    def why_no_pilot(self, task: str) -> Reading:
        """Return why no pilot of a task can be read."""
        admitted = self.admitted("pilot")
        if admitted.statements:
            return Reading.unknown(Cause.NOT_IN_EVIDENCE, f"the pilots presented are not of the task {task}")
        why = admitted.why_none("pilot")
        return Reading.unknown(why.cause, why.detail)

    def why_no_measurement(self) -> Reading:
        """Return why no measurement can be read."""
        why = self.admitted("measurement").why_none("measurement")
        return Reading.unknown(why.cause, why.detail)

    def _of(self, who: str, kind: str, presented: Sequence[Presented], subject: str, terms: EvidenceTerms) -> Admitted:
        if (who, kind) not in self._admitted:
            self._admitted[who, kind] = admit(
                presented, kind, subject=subject, terms=terms, unsigned_counts=self.unsigned_counts, now=self.now
            )
        return self._admitted[who, kind]


def numbered_layers(
    asked: str | Sequence[int], there: Collection[int], *, every: bool, last: bool
) -> list[int] | Refusal:
    """Return the layers that `all`, `last` or a list names, or why evidence does not have them.

    Args:
        asked: what the rule says.
        there: the layers in the evidence.
        every: whether these are all that the encoder has: choosing good ones to measure is no way to pass `all`.
        last: whether the highest of these is the encoder's last.
    """
    if not there:
        return Refusal(Cause.NOT_IN_EVIDENCE, "the evidence has no layer with this number")
    if asked == "all":
        return sorted(there) if every else Refusal(Cause.NOT_IN_EVIDENCE, f"only layers {_listed(there)} are in it")
    if asked == "last":
        return [max(there)] if last else Refusal(Cause.NOT_IN_EVIDENCE, f"only layers {_listed(there)} are in it")
    return sorted(int(layer) for layer in asked)


def _listed(layers: Iterable[int]) -> str:
    return ", ".join(str(layer) for layer in sorted(layers))
