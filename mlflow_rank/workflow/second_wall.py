"""The second wall of a registry, named by its address: to look at it, put it up, or take it down."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_rank.audit.triggers import TriggerState, Wall


def wall_of(registry_uri: str | None) -> Wall:
    """Return how the wall of a registry stands.

    Args:
        registry_uri: its database, with or without `rank+` in front.

    Raises:
        UsageError: it names no database, or there are no triggers for databases of its kind.
        LedgerError: the database cannot be read, or there is no ledger in it.
    """
    from mlflow_rank.audit import triggers
    from mlflow_rank.audit.database import at_one_moment, opened

    with opened(_named(registry_uri)) as engine, at_one_moment(engine) as connection:
        return triggers.check(connection)


def put_up(registry_uri: str | None, actor: str, *, now: datetime) -> tuple[Sequence[TriggerState], Wall]:
    """Install the triggers in the database of a registry; return which there were before, and how it stands.

    Args:
        registry_uri: see `wall_of`.
        actor: who does it; recorded.
        now: what time it is.

    Raises:
        UsageError: see `wall_of`.
        LedgerError: see `wall_of`; also where MLflow's registry is not in the database.
    """
    from mlflow_rank.audit import triggers
    from mlflow_rank.audit.database import opened

    with opened(_named(registry_uri), writes=True) as engine, engine.begin() as connection:
        before = triggers.install(connection, actor, at=now)
        return before, triggers.check(connection)


def take_down(registry_uri: str | None, actor: str, *, now: datetime) -> tuple[Sequence[TriggerState], Wall]:
    """Remove the triggers; otherwise as `put_up`."""
    from mlflow_rank.audit import triggers
    from mlflow_rank.audit.database import opened

    with opened(_named(registry_uri), writes=True) as engine, engine.begin() as connection:
        before = triggers.remove(connection, actor, at=now)
        return before, triggers.check(connection)


def _named(registry_uri: str | None) -> str:
    if not registry_uri:
        raise UsageError(
            "no registry is named",
            expected="--registry-uri URI, or MLFLOW_RANK_DATABASE or MLFLOW_REGISTRY_URI in the environment",
            remedy="name the database of the gated server, such as --registry-uri sqlite:///mlflow.db",
        )
    return registry_uri
