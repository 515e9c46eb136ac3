"""What people ask of a gate, each in a statement of its own: that something happens, not that something is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


class _Asked(Read):
    made_at: Moment
    workspace: Name
    model: Name
    version: Version
    target: str


class PromotionRequest(_Asked):
    """That a version be promoted to a target. It may be unsigned: who asks decides nothing."""

    comment: Annotated[str, Field(max_length=2000)] = ""


class Withdrawal(_Asked):
    """That a request is asked no more."""

    comment: Annotated[str, Field(max_length=2000)] = ""


class Rollback(_Asked):
    """That a target go back to a version that was approved for it before."""

    reason: Words


class BreakGlass(_Asked):
    """That a version be placed without approval, in an emergency and for a while."""

    expires_at: Moment
    reason: Words
    ticket: Words


class Review(_Asked):
    """That somebody has looked at a break-glass afterwards (its statement's digest), and what they think of it."""

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


@dataclass(frozen=True, slots=True)
class Aim:
    """What an act is about: a version with the digest of its files, where it is registered, and a target of its model.

    `target` is in its canonical form.
    """

    workspace: str
    model: str
    version: str
    files: str
    target: str

    def statement(self, kind: str, now: datetime, **more: object) -> Statement:
        """Return the statement of a kind about it; what else the kind says comes by name."""
        about = {"workspace": self.workspace, "model": self.model, "version": self.version, "target": self.target}
        subject = Subject(f"models:/{self.model}/{self.version}", self.files)
        return Statement((subject,), kind, {**made(now), **about, **more})


def request_statement(aim: Aim, *, comment: str, now: datetime) -> Statement:
    """Return the statement that asks for a promotion; the comment may be empty."""
    return aim.statement(REQUEST, now, comment=comment)


def withdrawal_statement(aim: Aim, *, comment: str, now: datetime) -> Statement:
    """Return the statement that withdraws a request; the comment may be empty."""
    return aim.statement(WITHDRAWAL, now, comment=comment)


def rollback_statement(aim: Aim, *, reason: str, now: datetime) -> Statement:
    """Return the statement that asks to go back to a version that was approved before."""
    return aim.statement(ROLLBACK, now, reason=reason)


def break_glass_statement(aim: Aim, *, reason: str, ticket: str, now: datetime, expires_at: datetime) -> Statement:
    """Return the statement that places a version without approval until `expires_at`."""
    return aim.statement(BREAK_GLASS, now, reason=reason, ticket=ticket, expires_at=moment_text(expires_at))


def review_statement(aim: Aim, *, break_glass: str, verdict: str, comment: str, now: datetime) -> Statement:
    """Return what somebody thinks of a break-glass, named by the digest of its statement."""
    return aim.statement(REVIEW, now, break_glass=break_glass, verdict=verdict, comment=comment)
