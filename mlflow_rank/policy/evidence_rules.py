"""Rules about the evidence itself: how much, how old, of which audio, in which precision, of which bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mlflow_rank.policy.closed import Flaw, RuleBase
from mlflow_rank.policy.vocabulary import Digest, Domain, Duration, EvidenceKind, Level, Task

Count = Annotated[int, Field(ge=1)]


class MeasurementSizeAtLeast(RuleBase):
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


class EvidenceAgeAtMost(RuleBase):
    """Evidence of a kind is at most so old. The policy's `evidence.max_age` holds besides."""

    kind: Literal["evidence_age_at_most"]
    of: EvidenceKind
    age: Duration


class CorpusAllowed(RuleBase):
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


class DtypeFloat32(RuleBase):
    """The encoder ran in float32: other precisions read collapsed spectra wrongly."""

    kind: Literal["dtype_float32"]
    of: Literal["measurement", "pilot"]


class ModelDigestEquals(RuleBase):
    """The model's files are exactly these: for a policy about one release."""

    kind: Literal["model_digest_equals"]
    digest: Digest
