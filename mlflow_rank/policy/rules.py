"""All kinds of rules: those that a promotion policy may ask, and those that a watch policy may."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlflow_rank.policy.evidence_rules import (
    CorpusAllowed,
    DtypeFloat32,
    EvidenceAgeAtMost,
    MeasurementSizeAtLeast,
    ModelDigestEquals,
)
from mlflow_rank.policy.pilot_rules import (
    DomainDropAtMost,
    PilotAboveControl,
    PilotAboveLogMel,
    PilotAtLeast,
    PilotAtMost,
    PilotNotWorse,
    PilotSizeAtLeast,
    WorstGroupAtLeast,
)
from mlflow_rank.policy.rank_rules import (
    CentringDisagreement,
    NoOpenAlarm,
    RankAtLeast,
    RankAtMost,
    RankWithinEnvelope,
)

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
