"""What a signed statement says, whichever kind it is: measurement, pilot, alarms, approval, waiver, or an act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.acts import ACTS, Act
from mlflow_rank.evidence.fields import Digest, Moment, Read, moment_of
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.statement import ALARMS, APPROVAL, MEASUREMENT, PILOT, SLSA_SUMMARY, WAIVER, Statement


def _printable(name: str) -> str:
    if not name.isprintable() or " " in name:  # as in a trust file: invisible letters would make two people of one
        raise ValueError("must be printable and without spaces")
    return name


UserName = Annotated[str, Field(min_length=1, max_length=254), AfterValidator(_printable)]


class Alarm(Read):
    """Something that a monitor saw going wrong in training."""

    id: str
    state: Literal["open", "closed"]
    alarm: str
    """What it is an alarm of: constant_collapse, dimensional_collapse, divergence, disagreement."""
    since_step: int | None = None
    message: str = ""


class Alarms(Read):
    """What the monitor of a training run has to say of this checkpoint; `monitor` names the run."""

    made_at: Moment
    monitor: str
    alarms: tuple[Alarm, ...]
    heard_until: int | None = None
    """The step of the last point that the monitor had judged when it said so; None where it does not say."""


class Approval(Read):
    """A person's word for one promotion, bound to the bytes (the statement's subject), policies and evidence."""

    made_at: Moment
    expires_at: Moment
    verdict: Literal["approve", "reject"]
    comment: str
    model: str
    target: str
    policies: tuple[Digest, ...]
    evidence: Digest
    version: str | None = None
    """Of the registered model, and in which workspace: None where it was given for files in no registry."""
    workspace: str | None = None
    witnessed: UserName | None = None
    """The user who gave it without a key of their own: the word of the gate that signed it, and of nobody else."""


class Waiver(Read):
    """A rule put aside for one model's bytes for a while, with a reason and a ticket."""

    made_at: Moment
    expires_at: Moment
    policy: Digest
    rule: str
    reason: Annotated[str, Field(min_length=1)]
    ticket: Annotated[str, Field(min_length=1)]
    workspace: str | None = None
    """That the registered version is in which the subject names; None where it names none."""


Content = Measurement | Pilot | Alarms | Approval | Waiver | Act
READERS: Mapping[str, type[Content]] = {
    MEASUREMENT: Measurement,
    PILOT: Pilot,
    ALARMS: Alarms,
    APPROVAL: Approval,
    WAIVER: Waiver,
    **ACTS,
}


def contents_of(statement: Statement, *, named: str) -> Content | None:
    """Return what a statement says; None for a predicate that is not ours.

    Raises:
        EvidenceError: a field is missing, of another type, not finite, or two rows claim the same number.
    """
    reader = READERS.get(statement.predicate_type)
    if reader is None:
        return None
    try:
        content = reader.model_validate_json(json.dumps(statement.predicate), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceError(
            f"{named} does not say what a {reader.__name__.lower()} must say",
            got=f"{where}: {first['msg']}" + (f" ({error.error_count()} problems)" if error.error_count() > 1 else ""),
            expected="what this version of mlflow-rank writes",
        ) from error
    if isinstance(content, Measurement):
        _ = content.columns  # a number that is claimed twice is found now, not amid a decision
    if isinstance(content, Pilot):
        _ = content.rows  # as above
    return content


def made_at_of(statement: Statement) -> datetime | None:
    """Return when a statement says that it was made; None where it does not say."""
    field = "timeVerified" if statement.predicate_type == SLSA_SUMMARY else "made_at"
    try:
        return moment_of(statement.predicate.get(field))
    except ValueError:
        return None
