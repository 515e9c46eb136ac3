"""What people ask of a gate, each in a statement of its own: that something happens, not that something is so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mlflow_rank.evidence.fields import Digest, Moment, Read
from mlflow_rank.evidence.making import made, moment_text
from mlflow_rank.evidence.statement import (
    BREAK_GLASS,
    REQUEST,
    REVIEW,
    ROLLBACK,
    WITHDRAWAL,
    Statement,
    Subject,
)

Words = Annotated[str, Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$")]


class _OfATarget(Read):
    made_at: Moment
    model: Name
    version: Version
    target: str


class PromotionRequest(_OfATarget):
    """That a version be promoted to a target. It may be unsigned: who asks decides nothing."""

    comment: Annotated[str, Field(max_length=2000)] = ""


class Withdrawal(_OfATarget):
    """That a request is asked no more."""

    comment: Annotated[str, Field(max_length=2000)] = ""


class Rollback(_OfATarget):
    """That a target go back to a version that was approved for it before."""

    reason: Words


class BreakGlass(_OfATarget):
    """That a version be placed without approval, in an emergency and for a while."""

    expires_at: Moment
    reason: Words
    ticket: Words


class Review(Read):
    """That somebody has looked at a break-glass afterwards (its statement's digest), and what they think of it."""

    made_at: Moment
    break_glass: Digest
    verdict: Literal["accept", "reject"]
    comment: Words


Act = PromotionRequest | Withdrawal | Rollback | BreakGlass | Review
ACTS: Mapping[str, type[Act]] = {
    REQUEST: PromotionRequest,
    WITHDRAWAL: Withdrawal,
    ROLLBACK: Rollback,
    BREAK_GLASS: BreakGlass,
    REVIEW: Review,
}


def request_statement(files: str, model: str, version: str, target: str, *, comment: str, now: datetime) -> Statement:
    """Return the statement that asks for a promotion.

    Args:
        files: the digest of the version's files.
        model: the registered name.
        version: its number.
        target: in its canonical form.
        comment: why; may be empty.
        now: when it is made.
    """
    return _statement(REQUEST, files, model, version, target, now, comment=comment)


def withdrawal_statement(
    files: str, model: str, version: str, target: str, *, comment: str, now: datetime
) -> Statement:
    """Return the statement that withdraws a request; see `request_statement`."""
    return _statement(WITHDRAWAL, files, model, version, target, now, comment=comment)


def rollback_statement(files: str, model: str, version: str, target: str, *, reason: str, now: datetime) -> Statement:
    """Return the statement that asks to go back to a version; see `request_statement`."""
    return _statement(ROLLBACK, files, model, version, target, now, reason=reason)


def break_glass_statement(
    files: str, model: str, version: str, target: str, *, reason: str, ticket: str, now: datetime, expires_at: datetime
) -> Statement:
    """Return the statement that places a version without approval until `expires_at`; see `request_statement`."""
    more = {"reason": reason, "ticket": ticket, "expires_at": moment_text(expires_at)}
    return _statement(BREAK_GLASS, files, model, version, target, now, **more)


def review_statement(
    files: str, model: str, version: str, *, break_glass: str, verdict: str, comment: str, now: datetime
) -> Statement:
    """Return what somebody thinks of a break-glass, named by the digest of its statement."""
    subject = Subject(f"models:/{model}/{version}", files)
    predicate = {**made(now), "break_glass": break_glass, "verdict": verdict, "comment": comment}
    return Statement((subject,), REVIEW, predicate)


def _statement(
    kind: str, files: str, model: str, version: str, target: str, now: datetime, **more: object
) -> Statement:
    about = {"model": model, "version": version, "target": target}
    return Statement((Subject(f"models:/{model}/{version}", files),), kind, {**made(now), **about, **more})
