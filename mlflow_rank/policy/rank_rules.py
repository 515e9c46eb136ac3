"""Rules about ranks, which may veto. None rewards a rank above that of random weights, which usually rank highest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mlflow_rank.policy.closed import Flaw, RuleBase
from mlflow_rank.policy.vocabulary import (
    CENTRINGS,
    HIGHEST,
    LEVELS_OF,
    RANKS,
    Bound,
    FirstPromotion,
    Level,
    RankLayers,
    RankMetric,
    Task,
)


class _OfRank(RuleBase):
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


class NoOpenAlarm(RuleBase):
    """The monitor of the training run has no alarm open."""

    kind: Literal["no_open_alarm"]
