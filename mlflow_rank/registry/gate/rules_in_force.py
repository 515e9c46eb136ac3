"""What the gate goes by at this moment: policies, trust and its own key, or why none of them can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy.load import Policy


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """Policies with the files that they stand in, whose keys are believed, and the key that decisions are signed with.

    `digest` is of every byte that was read, and of the key's public half: the same digest means the same rules.
    `problems` are sentences; where there is one, the gate is shut.
    """

    digest: str
    policies: tuple[tuple[str, Policy], ...]
    trust: TrustStore
    key: PrivateKey | None
    problems: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """Return what the ledger keeps of them."""
        return {
            "digest": self.digest,
            "policies": [
                {"name": each.metadata.name, "revision": each.metadata.revision, "digest": each.digest, "file": file}
                for file, each in self.policies
            ],
            "problems": list(self.problems),
        }


ReadRules = Callable[[], RulesInForce]
