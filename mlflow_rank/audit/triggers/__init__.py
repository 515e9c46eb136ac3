"""The second wall: triggers in the database that refuse what does not come through the gate."""

from __future__ import annotations

from mlflow_rank.audit.triggers.trigger import Found, Trigger
from mlflow_rank.audit.triggers.wall import TriggerState, Wall, check, install, is_breached, lift, remove, restore

__all__ = [
    "Found",
    "Trigger",
    "TriggerState",
    "Wall",
    "check",
    "install",
    "is_breached",
    "lift",
    "remove",
    "restore",
]
