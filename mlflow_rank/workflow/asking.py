"""Asking for a promotion, and asking no more."""

from __future__ import annotations

from datetime import datetime

from mlflow_rank.evidence.acts import request_statement, withdrawal_statement
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.trust import folded
from mlflow_rank.registry.clients.outlook_document import Matter
from mlflow_rank.workflow.acting import Aimed, Outcome


def ask(aimed: Aimed, *, comment: str, key: PrivateKey | None, now: datetime) -> Outcome:
    """Ask the gate to promote a version; unsigned where there is no key.

    Raises:
        MeasurementError: the server does not answer.
    """
    return aimed.act("request", request_statement(aimed.aim, comment=comment, now=now), key)


def withdraw(aimed: Aimed, *, comment: str, key: PrivateKey | None, now: datetime) -> Outcome:
    """Withdraw what was asked; raises as `ask`."""
    return aimed.act("withdrawal", withdrawal_statement(aimed.aim, comment=comment, now=now), key)


def asked_already(aimed: Aimed) -> Matter | None:
    """Return the open request for this version and target by the same user, or by nobody known."""
    user = aimed.registry.user
    for each in aimed.outlook.open("request", target=aimed.target, version=aimed.version.number):
        if not each.verified or (user is not None and folded(each.by or "") == folded(user)):
            return each
    return None


def is_asked_already(outcome: Outcome) -> bool:
    """Say whether a request was not taken because the same requester, known by the key, has asked before."""
    return outcome.refused is not None and "already asked for" in outcome.refused
