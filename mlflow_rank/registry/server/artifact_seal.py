"""The seal: files of a version that a protected target points at are neither written to nor deleted through the server.

What is sealed is asked of the database at every write, never remembered: a server has several workers. One query finds
the placements of the ledger with the addresses of their versions; everything else is comparing names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, Row, cast, column, func, select, table

from mlflow_rank.audit.tables import placements_table
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.gate.actor import ANONYMOUS, Actor, actor_here, origin_here
from mlflow_rank.registry.server.artifact_places import Place, place_of
from mlflow_rank.registry.server.artifact_routes import destination_of_server, workspace_here

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException
    from sqlalchemy import Select

    from mlflow_rank.registry.gate.gate import Gate

DOOR = "artifact_proxy"
SENTENCE = (
    "these files belong to a model version that a protected alias or stage points at, and stay as they were approved; "
    "log the changed files as a new version"
)
UNKNOWN_ROUTE = "this version of MLflow has a way to write artifacts that the seal does not know; update mlflow_rank"
_versions = table(
    "model_versions", column("workspace"), column("name"), column("version"), column("storage_location"),
    column("source"),
)  # fmt: skip  # MLflow's own


@dataclass(frozen=True, slots=True)
class Held:
    """A version that is placed at a target, and the address of its files."""

    workspace: str
    model: str
    target: str
    version: str
    address: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that would write: by whom, from where, what it asked for, in which workspace (None: none in use)."""

    actor: Actor
    origin: Mapping[str, object]
    asked: Mapping[str, object]
    workspace: str | None

    @classmethod
    def here(cls) -> Attempt:
        """Return the request at hand, of Flask's."""
        from flask import request

        return cls(actor_here(), origin_here(), {"method": request.method, "path": request.path}, workspace_here())

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Attempt:
        """Return a request that only the ASGI server has seen; basic-auth leaves the user's name in its state."""
        user = scope.get("state", {}).get("username")
        agent = dict(scope.get("headers") or ()).get(b"user-agent", b"")
        asked = {"method": scope["method"], "path": scope["path"]}
        origin = {
            "by": "http",
            "address": (scope.get("client") or (None,))[0],
            "request": f"{scope['method']} {scope['path']}"[:300],
            "program": agent.decode("latin-1")[:300],
        }
        actor = Actor(str(user), verified=True) if user else Actor(ANONYMOUS, verified=False)
        return cls(actor, origin, asked, workspace_here())


@dataclass(frozen=True, slots=True)
class ArtifactSeal:
    """Says whether places are sealed; `gate` returns the gate of this server's registry."""

    gate: Callable[[], Gate]

    def check(self, places: Iterable[Place], attempt: Attempt) -> None:
        """Let a write pass, or refuse it and record that.

        Raises:
            MlflowException: a place is sealed (403), or nobody can tell now (503).
        """
        asked = tuple(places)
        held = self._holder(asked) if asked else None
        if held is not None:
            self._refuse(SENTENCE, attempt, held)

    def refuse_unknown(self, attempt: Attempt) -> None:
        """Refuse a way to write that is in no table.

        Raises:
            MlflowException: always (403).
        """
        self._refuse(UNKNOWN_ROUTE, attempt, None)

    def _holder(self, places: Collection[Place]) -> Held | None:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        gate = self.gate()
        try:
            with gate.sessions.reading() as session:
                rows = session.execute(_placed()).all()
        except (MlflowException, SQLAlchemyError) as error:
            raise _cannot_tell() from error
        overlapping = list(_held_at(rows, places))
        if not overlapping:
            return None
        rules = gate.rules()
        policies = [policy for _, policy in rules.policies]
        return next((held for held in overlapping if rules.problems or is_protected(policies, held)), None)

    def _refuse(self, sentence: str, attempt: Attempt, held: Held | None) -> None:
        from mlflow_rank.registry.gate.call import Call

        models = () if held is None else (held.model,)
        workspace = held.workspace if held is not None else attempt.workspace or "default"
        version = None if held is None else held.version
        call = Call(DOOR, workspace, models, attempt.asked, attempt.actor, attempt.origin, version)
        self.gate().refuse(call, sentence, target=None if held is None else held.target)


def is_protected(policies: Sequence[Policy], held: Held) -> bool:
    """Say whether a placement is protected: some policy enforces it, or none leaves it alone."""
    stands = standing(policies, held.model, held.target)
    if stands.left_alone:
        return False
    return stands.kind != "governed" or any(policy.mode == "enforce" for policy in stands.policies)


def _placed() -> Select[Any]:
    """Return the query for everything that is placed, with the addresses of the files."""
    placed, versions = placements_table.c, _versions.c
    address = func.coalesce(versions.storage_location, versions.source)
    joined = placements_table.join(
        _versions,
        (versions.workspace == placed.workspace)
        & (versions.name == placed.model)
        & (versions.version == cast(placed.version, Integer)),
    )
    return select(placed.workspace, placed.model, placed.target, placed.version, address).select_from(joined)


def _held_at(rows: Iterable[Row[Any]], places: Collection[Place]) -> Iterator[Held]:
    """Yield what is placed whose files lie at one of the places, in it or around it."""
    destination, with_workspaces = destination_of_server(), workspace_here() is not None
    for workspace, model, target, version, address in map(tuple, rows):
        if not address:
            continue
        lies_at = place_of(address, destination=destination, workspace=workspace if with_workspaces else None)
        if any(place.overlaps(lies_at) for place in places):
            yield Held(workspace, model, target, version, address)


def _cannot_tell() -> MlflowException:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    said = "whether these files are in use cannot be told now, so nothing was written; try again"
    return MlflowException(said, TEMPORARILY_UNAVAILABLE)
