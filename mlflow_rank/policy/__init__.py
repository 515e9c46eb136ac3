"""What do we ask? Policies, and whether the evidence meets them: no I/O, no clock, no torch, no mlflow.

The way through the folder is

`text → load → PromotionPolicy`, then `decide(policies, case, now) → Approve | Deny`;
which policies must be asked at all, if any, says `standing(policies, model, target)`
"""

from mlflow_rank.policy.case import Candidate, Case, Champion, NoChampion, Request, UnknownChampion
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Approve, Decision, Deny
from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.load import load_policy
from mlflow_rank.policy.model import PromotionPolicy, WatchPolicy
from mlflow_rank.policy.outcomes import Cause, Finding
from mlflow_rank.policy.scope import Standing, standing
from mlflow_rank.policy.watch import Watched, watch

__all__ = [
    "Approve",
    "Candidate",
    "Case",
    "Cause",
    "Champion",
    "Decision",
    "Deny",
    "Exemption",
    "Finding",
    "NoChampion",
    "PromotionPolicy",
    "Request",
    "Standing",
    "UnknownChampion",
    "WatchPolicy",
    "Watched",
    "decide",
    "load_policy",
    "standing",
    "watch",
]
