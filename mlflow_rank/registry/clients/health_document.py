"""What a gate says of itself, as values: the document of `health`, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.fields import Read


class Service(Read):
    """How the registry is served."""

    scheme: str
    store: str
    database: str
    server: bool
    authenticated: bool
    workers: int | None = None


class Doors(Read):
    """The table of doors, and the methods of MLflow's store that it does not know."""

    known: int
    undecided: tuple[str, ...] = ()


class GatingPolicy(Read):
    """A policy that may approve, and of what."""

    name: str
    revision: int
    digest: str
    mode: str
    promote: str
    models: tuple[str, ...]
    targets: Literal["any"] | tuple[str, ...]
    ungated_aliases: tuple[str, ...] = ()


class ExemptModels(Read):
    """Models that the gate leaves alone."""

    name: str
    models: tuple[str, ...]


class RulesRead(Read):
    """What the gate goes by, and why it cannot."""

    digest: str
    problems: tuple[str, ...] = ()
    policies: tuple[GatingPolicy, ...] = ()
    exemptions: tuple[ExemptModels, ...] = ()


class EndingKey(Read):
    """A key that ends soon, or has ended."""

    name: str
    key: str
    at: str
    ended: bool


class Trusted(Read):
    """How many keys are trusted, how many names are in each role by a key in force, and which keys end."""

    keys: int
    roles: Mapping[str, int]
    ending: tuple[EndingKey, ...] = ()


class GateKey(Read):
    """The key that decisions are signed with, and why nobody would believe it."""

    present: bool
    problem: str | None = None


class WentBack(Read):
    """An entry that is older than the one before it."""

    number: int
    seconds: float


class LedgerState(Read):
    """The ledger's tables and where it ends."""

    revision: str | None
    prepared: bool
    problem: str | None = None
    size: int | None = None
    at: str | None = None
    back: WentBack | None = None


class TriggersState(Read):
    """The second wall, by `mlflow-rank db`."""

    supported: bool
    stands: bool
    wanted: bool
    gate_open: bool
    lacking: int


class HooksState(Read):
    """Who outside is told."""

    hooks: int
    problem: str | None = None
    without_secret: tuple[str, ...] = ()
    dead: int


class OpenMatters(Read):
    """What is open, counted; the break-glasses that who asks may see are named."""

    break_glass: int
    overdue: int
    expired: int
    flags: int
    named: tuple[str, ...] = ()


class Deviations(Read):
    """Where registry and ledger disagree."""

    count: int
    sentences: tuple[str, ...] = ()


class Canary(Read):
    """What to call a canary, and which moves of it are refused."""

    name: str
    refused: tuple[str, ...]
    governed: bool


class Health(Read):
    """All that a gate says of itself."""

    mlflow_rank: str
    mlflow: str
    now: str
    serving: Service
    doors: Doors
    rules: RulesRead
    trust: Trusted
    gate_key: GateKey
    ledger: LedgerState
    triggers: TriggersState
    webhooks: HooksState
    open: OpenMatters
    deviations: Deviations
    canary: Canary


def read_health(body: Mapping[str, Any]) -> Health:
    """Return what a gate says of itself.

    Raises:
        EvidenceError: this is no such document.
    """
    try:
        return Health.model_validate_json(json.dumps(body))
    except (ValidationError, ValueError) as error:
        got = str(error).partition("\n")[0] if not isinstance(error, ValidationError) else _first(error)
        raise EvidenceError(
            "what the gate says of itself cannot be read", got=got, expected="the health of the same mlflow-rank"
        ) from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
