"""A version that was approved before, decided once more by itself: what would be said of it today."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.evidence.presented import KINDS_OF_EVIDENCE
from mlflow_rank.policy.case import Candidate, Case, Request
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.registry.gate.basis import Basis
from mlflow_rank.registry.gate.question import presented_of
from mlflow_rank.registry.gate.rules_in_force import RulesInForce

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def reconsidered(session: Session, workspace: str, basis: Basis, rules: RulesInForce, now: datetime) -> Decision:
    """Return what policies say of a version at its target; it is compared with no champion.

    Args:
        session: in which to read.
        workspace: of the model.
        basis: what once let the version go there; the files are taken to be those.
        rules: that are in force now.
        now: the time.
    """
    found = presented_of(session, workspace, basis.model, str(basis.version), rules.trust)
    request = Request(basis.model, basis.version, basis.target, Candidate(basis.files, checked=False))
    case = Case(
        request,
        tuple(each for each in found if each.kind in KINDS_OF_EVIDENCE),
        approvals=tuple(each for each in found if each.kind == "approval"),
        waivers=tuple(each for each in found if each.kind == "waiver"),
    )
    policies = [policy for _, policy in rules.policies if isinstance(policy, PromotionPolicy)]
    return decide(policies, case, now.replace(microsecond=0))
