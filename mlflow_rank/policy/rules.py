"""The kinds of rules: one requirement each, about ranks, pilots, or the evidence itself.

No kind rewards a rank above that of random weights, which usually rank highest, and none chooses a layer by rank.
Every rule says by `flaws` what in it makes no sense; with a flaw there is no such rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mlflow_rank.evidence.strict_yaml import PLACED
from mlflow_rank.policy.vocabulary import (
    CENTRINGS,
    ERROR_RATES,
    HIGHEST,
    LEVELS_OF,
    RANKS,
    Bound,
    Digest,
    Domain,
    Duration,
    EvidenceKind,
    FirstPromotion,
    Head,
    Identifier,
    Level,
    PilotLayers,
    PilotMetric,
    RankLayers,
    RankMetric,
    Severity,
    ShotsAsked,
    Task,
)

Flaw = tuple[str, str]  # the field it is about, and what is wrong
Misfit = tuple[tuple[str | int, ...], str]  # the path within a part of a policy, and what is wrong
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Gain = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]  # not 0: random weights are as good as themselves
Count = Annotated[int, Field(ge=1)]
MOST_MARGIN = 0.2  # a champion may be followed by one a fifth worse at most: margins add up from champion to champion


class Closed(BaseModel):
    """What all parts of a policy are: strict, frozen, and without unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


def refuse(misfits: Iterable[Misfit]) -> None:
    """Raise what a validator raises, with all that was found and where; nothing where that is nothing."""
    problems = [(list(path), message) for path, message in misfits]
    if problems:
        words = "; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in problems)
        raise PydanticCustomError(PLACED, "{words}", {"words": words, "problems": problems})


class _Rule(Closed):
    id: Identifier
    """Names the rule in `decide`, waivers and findings."""
    severity: Severity = "block"
    """block: counts in `decide`. warn: is checked and shown, and decides nothing."""
    why: Annotated[str, StringConstraints(max_length=500)] = ""
    """For people: why this is asked."""

    proves: ClassVar[bool] = False  # whether a pass says that the encoder is good for a task: lock of `rank alone`

    def flaws(self) -> Iterator[Flaw]:
        """Yield what makes no sense in this rule."""
        return iter(())

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        refuse(((field,), message) for field, message in self.flaws())
        return self

    def passes_unmeasured(self) -> bool:
        """Say whether the rule can pass without any measured number, as where there is no champion yet."""
        return False


# Ranks: they may veto


class _OfRank(_Rule):
    metric: RankMetric
    level: Level
    """What one row is: a frame, the mean of an utterance's frames, or their sum."""
    layers: RankLayers
    task: Task | None = None
    """With `layers: pilot_best`: whose pilot chose the layer."""

    def flaws(self) -> Iterator[Flaw]:
        """Yield a level that the metric does not have, and a missing or idle `task`."""
        levels = LEVELS_OF.get(self.metric)
        if levels is not None and self.level not in levels:
            yield "level", f"{self.metric} is reported at {' and '.join(levels)} only"
        if self.layers == "pilot_best" and self.task is None:
            yield "task", "is missing: layers: pilot_best needs the task whose pilot chose the layer"
        if self.layers != "pilot_best" and self.task is not None:
            yield "task", "has no meaning here: only layers: pilot_best asks whose pilot chose"

    def centring_flaws(self, centred: bool) -> Iterator[Flaw]:
        """Yield a centring that the metric is not reported in."""
        if centred not in CENTRINGS[self.metric]:
            yield "centred", f"{self.metric} is reported with centred: {str(not centred).lower()} only"


class _RankLimit(_OfRank):
    centred: bool
    """Whether the mean is taken off: a centred rank cannot see collapse onto one vector, another sees little else."""
    bound: Bound
    value: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    unit: Literal["number", "share_of_dim"] = "number"
    """number: as reported. share_of_dim: divided by the layer's dimension D."""

    def flaws(self) -> Iterator[Flaw]:
        """Yield also a share of what is no rank, and a value that nothing can have."""
        yield from super().flaws()
        yield from self.centring_flaws(self.centred)
        if self.unit == "share_of_dim" and self.metric not in RANKS:
            yield "unit", f"{self.metric} is no number of dimensions; use unit: number"
        highest = 1.0 if self.unit == "share_of_dim" else HIGHEST.get(self.metric)
        if highest is not None and self.value > highest:
            yield "value", f"can never be reached: {self.metric} is at most {highest:g} here"


class RankAtLeast(_RankLimit):
    """A floor under the rank (or variance, or spread) of layers: below it the layer has collapsed."""

    kind: Literal["rank_at_least"]

    def flaws(self) -> Iterator[Flaw]:
        """Yield also the end of the interval that would excuse."""
        yield from super().flaws()
        if self.bound == "ci_upper":
            yield "bound", "ci_upper of a floor makes no sense: the less is known, the easier it passes; use ci_lower"


class RankAtMost(_RankLimit):
    """A ceiling over a metric of layers: such as the share of the mean, which nears 1 as rows collapse onto it."""

    kind: Literal["rank_at_most"]

    def flaws(self) -> Iterator[Flaw]:
        """Yield also the end of the interval that would excuse."""
        yield from super().flaws()
        if self.bound == "ci_lower":
            yield "bound", "ci_lower of a ceiling makes no sense: the less is known, the easier it passes; use ci_upper"
        if self.unit == "number" and self.metric in RANKS and self.value < 1.0:
            yield "value", f"can never be reached: {self.metric} is at least 1"


class RankWithinEnvelope(_OfRank):
    """The rank divided by the champion's, under one convention and on the same audio, stays within an envelope."""

    kind: Literal["rank_within_envelope"]
    centred: bool
    bound: Bound
    at_least: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] | None = None
    """The least ratio to the champion, at most 1: a rank above the champion's is never asked for."""
    at_most: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] | None = None
    no_champion: FirstPromotion
    """What this rule says at the first promotion, when there is nobody to compare with."""

    def flaws(self) -> Iterator[Flaw]:
        """Yield also an envelope without a side, and an end of the interval that would excuse a side."""
        yield from super().flaws()
        yield from self.centring_flaws(self.centred)
        if self.at_least is None and self.at_most is None:
            yield "at_least", "is missing: give at_least, at_most or both"
        if self.bound == "ci_upper" and self.at_least is not None:
            yield "bound", "ci_upper makes no sense with at_least: the less is known, the easier it passes"
        if self.bound == "ci_lower" and self.at_most is not None:
            yield "bound", "ci_lower makes no sense with at_most: the less is known, the easier it passes"

    def passes_unmeasured(self) -> bool:
        """Say whether the first promotion passes."""
        return self.no_champion == "pass"


class CentringDisagreement(_OfRank):
    """Centred and uncentred rank of a layer are within a factor: far apart means rows collapse onto a shared vector."""

    kind: Literal["centring_disagreement"]
    bound: Bound
    at_most: Annotated[float, Field(ge=1.0, allow_inf_nan=False)]
    """The largest factor between the two, the larger divided by the smaller."""

    def flaws(self) -> Iterator[Flaw]:
        """Yield also a metric of one centring, and a bound that a ratio of one spectrum does not have."""
        yield from super().flaws()
        if len(CENTRINGS[self.metric]) < 2:
            yield "metric", f"{self.metric} is reported in one centring only"
        if self.bound not in ("point", "corrected"):
            yield "bound", f"{self.bound} of this factor is not known; use point or corrected"


class NoOpenAlarm(_Rule):
    """The monitor of the training run has no alarm open."""

    kind: Literal["no_open_alarm"]


# Pilots: what a layer is good for


class _OfTask(_Rule):
    task: Task
    domain: Domain = "in_domain"


class _OfPilot(_OfTask):
    metric: PilotMetric
    layers: PilotLayers
    head: Head = "ridge"
    shots: ShotsAsked = "all"
    """Training labels per class: all, or a number that was piloted."""

    def flaws(self) -> Iterator[Flaw]:
        """Yield a metric that the task does not have, and a head that does not give the metric."""
        yield from super().flaws()
        fits = {
            "phone": ("balanced_frame_accuracy", "per"),
            "speaker": ("balanced_accuracy", "eer_cosine", "eer_probe"),
        }.get(self.task, ("balanced_accuracy", "macro_f1"))
        if self.metric not in fits:
            yield "metric", f"{self.task} is scored by {' or '.join(fits)}"
        if (self.metric == "eer_cosine") != (self.head == "cosine"):
            yield "head", "eer_cosine is the metric of head: cosine, and of no other"
        if self.head == "ctc" and self.metric != "per":
            yield "head", "a ctc head is scored by per"
        if self.head in ("ctc", "cosine") and self.shots != "all":
            yield "shots", f"head: {self.head} has shots: all only"
        if self.head in ("ctc", "cosine") and self.layers == "weighted_sum":
            yield "layers", f"head: {self.head} has no weighted_sum"

    @property
    def is_error_rate(self) -> bool:
        """Whether less is better."""
        return self.metric in ERROR_RATES

    def bound_flaws(self, bound: Bound, *, good_side: Literal["ci_lower", "ci_upper"]) -> Iterator[Flaw]:
        """Yield a bound that pilots do not have, or whose side would excuse."""
        if bound == "corrected":
            yield "bound", "pilot scores are not corrected for bias; use point or " + good_side
        elif bound not in ("point", good_side):
            yield (
                "bound",
                f"{bound} makes no sense here: the less is known, the easier it passes; use {good_side} or point",
            )


class PilotAtLeast(_OfPilot):
    """A score is at least so much."""

    kind: Literal["pilot_at_least"]
    bound: Bound
    value: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
    proves: ClassVar[bool] = True

    def flaws(self) -> Iterator[Flaw]:
        """Yield also an error rate, and the wrong side."""
        yield from super().flaws()
        if self.is_error_rate:
            yield "metric", f"{self.metric} is an error rate, of which less is better; use kind: pilot_at_most"
        else:
            yield from self.bound_flaws(self.bound, good_side="ci_lower")


class PilotAtMost(_OfPilot):
    """An error rate is at most so much."""

    kind: Literal["pilot_at_most"]
    bound: Bound
    value: Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]
    proves: ClassVar[bool] = True

    def flaws(self) -> Iterator[Flaw]:
        """Yield also a score, and the wrong side."""
        yield from super().flaws()
        if not self.is_error_rate:
            yield "metric", f"{self.metric} is a score, of which more is better; use kind: pilot_at_least"
        else:
            yield from self.bound_flaws(self.bound, good_side="ci_upper")


class _Compared(_OfPilot):
    bound: Bound
    """The end of the difference's 95 % interval on its bad side (ci_lower of a score, ci_upper of an error
    rate), or the point."""
    proves: ClassVar[bool] = True

    def flaws(self) -> Iterator[Flaw]:
        """Yield also the wrong side."""
        yield from super().flaws()
        yield from self.bound_flaws(self.bound, good_side="ci_upper" if self.is_error_rate else "ci_lower")


class PilotNotWorse(_Compared):
    """The score is not worse than the champion's by more than a margin, paired on the same test items."""

    kind: Literal["pilot_not_worse"]
    margin: Annotated[float, Field(ge=0.0, le=MOST_MARGIN, allow_inf_nan=False)]
    no_champion: FirstPromotion
    """What this rule says at the first promotion, when there is nobody to compare with."""

    def passes_unmeasured(self) -> bool:
        """Say whether the first promotion passes."""
        return self.no_champion == "pass"


class PilotAboveControl(_Compared):
    """The score beats the same architecture with random weights by at least so much."""

    kind: Literal["pilot_above_control"]
    by: Gain


class PilotAboveLogMel(_Compared):
    """The score beats log-mel features through the same head by at least so much."""

    kind: Literal["pilot_above_log_mel"]
    by: Gain


class DomainDropAtMost(_OfPilot):
    """The score loses at most so much from in domain to out of domain. Proves nothing alone: nothing loses nothing."""

    kind: Literal["domain_drop_at_most"]
    domain: Literal["out_of_domain"] = "out_of_domain"
    bound: Bound
    value: Share

    def flaws(self) -> Iterator[Flaw]:
        """Yield also the wrong side: of the loss, whichever way the metric runs."""
        yield from super().flaws()
        yield from self.bound_flaws(self.bound, good_side="ci_upper")


class WorstGroupAtLeast(_OfPilot):
    """The test group (speaker, device) with the worst score still reaches so much."""

    kind: Literal["worst_group_at_least"]
    value: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
    proves: ClassVar[bool] = True

    def flaws(self) -> Iterator[Flaw]:
        """Yield also an error rate."""
        yield from super().flaws()
        if self.is_error_rate:
            yield "metric", f"{self.metric} is an error rate: a floor under its worst group makes no sense"


class PilotSizeAtLeast(_OfTask):
    """So many items and groups (speakers, devices) were tested: they limit what can be told apart from luck."""

    kind: Literal["pilot_size_at_least"]
    items: Count | None = None
    groups: Count | None = None

    def flaws(self) -> Iterator[Flaw]:
        """Yield a rule that asks for nothing."""
        if self.items is None and self.groups is None:
            yield "items", "is missing: give items, groups or both"


# The evidence itself


class MeasurementSizeAtLeast(_Rule):
    """Ranks were measured on so much audio."""

    kind: Literal["measurement_size_at_least"]
    utterances: Count | None = None
    speakers: Count | None = None
    minutes: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    rows_per_dim: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    """N/D of every layer at `level`: below 4 a rank is not corrected, below 1 it is not known."""
    level: Level | None = None

    def flaws(self) -> Iterator[Flaw]:
        """Yield a rule that asks for nothing, and N/D without a level."""
        if (self.utterances, self.speakers, self.minutes, self.rows_per_dim) == (None, None, None, None):
            yield "utterances", "is missing: give one of utterances, speakers, minutes and rows_per_dim"
        if (self.rows_per_dim is None) != (self.level is None):
            yield ("level", "and rows_per_dim belong together")


class EvidenceAgeAtMost(_Rule):
    """Evidence of a kind is at most so old. The policy's `evidence.max_age` holds besides."""

    kind: Literal["evidence_age_at_most"]
    of: EvidenceKind
    age: Duration


class CorpusAllowed(_Rule):
    """The audio is one of the corpora that are allowed, known by the digest of its sound."""

    kind: Literal["corpus_allowed"]
    of: Literal["measurement", "pilot"]
    task: Task | None = None
    domain: Domain | None = None
    digests: Annotated[tuple[Digest, ...], Field(min_length=1)]

    def flaws(self) -> Iterator[Flaw]:
        """Yield a task or domain of a measurement, which has none, and their absence from a pilot."""
        asked = self.of == "pilot"
        for name, value in (("task", self.task), ("domain", self.domain)):
            if asked and value is None:
                yield name, f"is missing: a pilot's corpora are known by task and domain (of: {self.of})"
            if not asked and value is not None:
                yield name, "has no meaning for of: measurement"


class DtypeFloat32(_Rule):
    """The encoder ran in float32: other precisions read collapsed spectra wrongly."""

    kind: Literal["dtype_float32"]
    of: Literal["measurement", "pilot"]


class ModelDigestEquals(_Rule):
    """The model's files are exactly these: for a policy about one release."""

    kind: Literal["model_digest_equals"]
    digest: Digest


PROMOTION_RULES = (
    RankAtLeast | RankAtMost | RankWithinEnvelope | CentringDisagreement | NoOpenAlarm
    | PilotAtLeast | PilotAtMost | PilotNotWorse | PilotAboveControl | PilotAboveLogMel | DomainDropAtMost
    | WorstGroupAtLeast | PilotSizeAtLeast
    | MeasurementSizeAtLeast | EvidenceAgeAtMost | CorpusAllowed | DtypeFloat32 | ModelDigestEquals
)  # fmt: skip
WATCH_RULES = (
    RankAtLeast | RankAtMost | RankWithinEnvelope | CentringDisagreement | NoOpenAlarm
    | MeasurementSizeAtLeast | EvidenceAgeAtMost | CorpusAllowed | DtypeFloat32 | ModelDigestEquals
)  # fmt: skip
Rule = Annotated[PROMOTION_RULES, Field(discriminator="kind")]
WatchRule = Annotated[WATCH_RULES, Field(discriminator="kind")]
