"""What rules read: the evidence that counts for candidate and champion, and one reading for each layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlflow_rank.evidence.contents import LayerKey, Measurement, Pilot
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

    `said` is what was seen, in words.
    """

    passed: bool | None
    said: str = ""
    observed: Observation | None = None
    margin: float | None = None
    layer: LayerKey | None = None
    refusal: Refusal | None = None
    evidence: tuple[str, ...] = ()
    bound: float | str | None = None

    @classmethod
    def unknown(cls, cause: Cause, detail: str, *, layer: LayerKey | None = None) -> Reading:
        """Return a reading without an answer."""
        return cls(None, refusal=Refusal(cause, detail), layer=layer)

    @classmethod
    def held(
        cls, observed: Observation, bound: float, *, at_least: bool, said: str, layer: LayerKey | None = None
    ) -> Reading:
        """Return a reading of a number that was held against a bound, which itself passes."""
        value = float(observed.value)
        if not abs(value) <= LARGEST:
            return cls.unknown(Cause.NOT_MEASURED, f"{said}, which no measurement gives", layer=layer)
        margin = value - bound if at_least else bound - value
        return cls(margin >= 0.0, said, observed, margin, layer, bound=bound)

    def of(self, *statements: Presented) -> Reading:
        """Return the reading with the statements that it was read from."""
        return replace(self, evidence=tuple(sorted({each.digest for each in statements})))


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
