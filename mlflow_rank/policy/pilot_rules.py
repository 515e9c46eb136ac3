"""Rules about pilots: what a layer is good for. Without one of them that passed, nothing is approved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlflow_rank.policy.closed import Flaw, RuleBase
from mlflow_rank.policy.vocabulary import (
    ERROR_RATES,
    Bound,
    Domain,
    FirstPromotion,
    Head,
    PilotLayers,
    PilotMetric,
    ShotsAsked,
    Task,
)

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Gain = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]  # not 0: random weights are as good as themselves
Count = Annotated[int, Field(ge=1)]
MOST_MARGIN = 0.2  # a champion may be followed by one a fifth worse at most: margins add up from champion to champion


class _OfTask(RuleBase):
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
