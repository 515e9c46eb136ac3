"""Going back to a version that was approved before."""

from __future__ import annotations

from datetime import datetime

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.acts import rollback_statement
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.workflow.acting import Aimed, GatedRegistry, Outcome
from mlflow_rank.workflow.addresses import Named
from mlflow_rank.workflow.deciding import asked_target


def former(registry: GatedRegistry, model: str, target: str, version: str | None) -> Aimed:
    """Return the version to go back to: the one that is named, else the newest that was approved before this one.

    Raises:
        UsageError: there is nothing to go back to, or nothing says what is placed now.
    """
    asked = asked_target(target)
    if version is not None:
        return registry.aimed(Named(model, version), asked)
    placed = registry.outlook(model).at(asked)
    if placed is None:
        raise UsageError(
            f"nothing is placed at {asked} of {model}", got="no version to go back from", expected="--version NUMBER"
        )
    now = registry.aimed(Named(model, placed.version), asked)
    before = [each.version for each in now.version.formerly if each.version != placed.version]
    if not before:
        raise UsageError(
            f"there is no version to go back to at {asked} of {model}",
            got=f"version {placed.version}, and no other that was approved for it",
            expected="a version that a recorded decision once placed there",
            remedy="approve another version; in an emergency, see mlflow-rank break-glass --help",
        )
    return registry.aimed(Named(model, before[0]), asked)


def roll_back(aimed: Aimed, *, reason: str, key: PrivateKey, now: datetime) -> Outcome:
    """Ask the gate to go back to this version.

    Raises:
        UsageError: the reason is empty.
        MeasurementError: the server does not answer.
    """
    if not reason.strip():
        raise UsageError("a rollback needs a reason", got="nothing", expected="why, in a sentence")
    return aimed.act("rollback", rollback_statement(aimed.aim, reason=reason, now=now), key)
