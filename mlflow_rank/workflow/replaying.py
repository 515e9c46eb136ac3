"""Recorded decisions, decided again by other policies from the evidence that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.presented import each_once
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy import PromotionPolicy
from mlflow_rank.policy.replay import Replayed, recorded, replay
from mlflow_rank.workflow.deciding import present_files
from mlflow_rank.workflow.verifying import decisions_in


def replay_files(
    policies: Sequence[PromotionPolicy], decisions: Sequence[Path], evidence: Sequence[Path], trust: TrustStore
) -> list[Replayed]:
    """Return every decision in the files, decided again.

    Raises:
        UsageError: a file is missing, or there is no decision in any.
        EvidenceError: one of them is no decision.
    """
    kept = each_once((*present_files(decisions, trust), *present_files(evidence, trust)))
    pool = {each.digest: each for each in kept}
    found = {each.digest: recorded(document, pool) for each, document in decisions_in(kept)}
    if not found:
        raise UsageError(
            "there is no decision in these files",
            got=", ".join(str(path) for path in decisions),
            expected="decision.dsse.json, which `mlflow-rank decide --output` writes",
        )
    return replay(policies, list(found.values()))
