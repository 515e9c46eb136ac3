"""Breaking the glass, and looking at it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.acts import break_glass_statement, review_statement
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.registry.clients.outlook_document import Matter
from mlflow_rank.workflow.acting import Aimed, GatedRegistry, Outcome
from mlflow_rank.workflow.addresses import Named


@dataclass(frozen=True, slots=True)
class Emergency:
    """Why a version must go where it is not approved, where that is followed up, and for how long.

    Raises:
        UsageError: a reason or a ticket is empty.
    """

    reason: str
    ticket: str
    lasts: timedelta

    def __post_init__(self) -> None:
        if not self.reason.strip() or not self.ticket.strip():
            raise UsageError("breaking the glass needs a reason and a ticket", got="nothing", expected="both")


def break_glass(aimed: Aimed, emergency: Emergency, *, key: PrivateKey, now: datetime) -> Outcome:
    """Ask the gate to place a version without approval.

    Raises:
        MeasurementError: the server does not answer.
    """
    statement = break_glass_statement(
        aimed.aim, reason=emergency.reason, ticket=emergency.ticket, now=now, expires_at=now + emergency.lasts
    )
    return aimed.act("break_glass", statement, key)


def broken_glass(registry: GatedRegistry, model: str, number: int | None) -> tuple[Aimed, Matter]:
    """Return the break-glass that is to be reviewed: the one with this number, else the only one.

    Raises:
        UsageError: there is none, or there are several and none is named.
    """
    unreviewed = registry.outlook(model).open("break_glass")
    found = [each for each in unreviewed if number in (None, each.number)]
    if len(found) != 1:
        raise UsageError(
            f"no break-glass of {model} waits for a review" if not found else f"several of {model} wait for a review",
            got="none" if number is None else f"--number {number}",
            expected=", ".join(f"--number {each.number} (version {each.version})" for each in unreviewed) or "one",
        )
    return registry.aimed(Named(model, found[0].version), found[0].target), found[0]


def review(aimed: Aimed, matter: Matter, *, verdict: str, comment: str, key: PrivateKey, now: datetime) -> Outcome:
    """Say of a break-glass that it was right (`accept`) or not (`reject`).

    Raises:
        UsageError: the comment is empty, or the gate does not say which statement it was.
        MeasurementError: the server does not answer.
    """
    if not comment.strip():
        raise UsageError("a review needs a comment", got="nothing", expected="what was found, in a sentence")
    if matter.statement is None:
        raise UsageError("the statement of this break-glass was erased", got=f"entry {matter.number}", expected="it")
    statement = review_statement(
        aimed.aim, break_glass=matter.statement, verdict=verdict, comment=comment, now=now
    )  # fmt: skip
    return aimed.act("review", statement, key)
