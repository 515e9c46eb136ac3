"""Registered models that the gate leaves alone, as they are no speech encoders, and why."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import StringConstraints, model_validator

from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.policy.closed import Closed, refuse
from mlflow_rank.policy.matching import ModelGlobs, any_matches, model_misfits
from mlflow_rank.policy.model import Metadata


class Exemption(Closed):
    """Models that need no approval. It has no rules, plays no part in a decision, and yields to any PromotionPolicy."""

    apiVersion: Literal["mlflow-rank/v1"]  # noqa: N815 -- the field's name in every such document
    kind: Literal["Exemption"]
    metadata: Metadata
    models: ModelGlobs
    """Names of registered models, with * ? [..] as in file names; none that a PromotionPolicy names is exempt."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]
    """For people: why these models need no approval."""

    @cached_property
    def digest(self) -> str:
        """`sha256:…` of what is exempt, and why: the order of lists and keys makes no difference."""
        return digest_of(self.document())

    def document(self) -> dict[str, Any]:
        """Return the exemption as JSON values, in an order of its own."""
        document = self.model_dump(mode="json")
        document["models"] = sorted(document["models"])
        return document | {"metadata": self.metadata.document()}

    def names(self, model: str) -> bool:
        """Say whether it is about this model; that alone exempts no model: `scope.standing` says which are."""
        return any_matches(self.models, model)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        refuse([*model_misfits(self.models, ("models",)), *self.metadata.misfits()])
        return self
