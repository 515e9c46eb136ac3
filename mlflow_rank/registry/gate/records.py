"""Where a consumer reads the record from: over HTTP with MLflow's own credentials, or from the database itself.

Nothing that is read here is believed for where it comes from; what counts is the signature in a decision's envelope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.gate.basis import BREAK_GLASS

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from mlflow_rank.audit.entry import Entry

API = "/mlflow-rank/api/v1"
GATED = "rank+"
_ASK = "a registry behind the gate: `mlflow-rank server`, or its database"


@dataclass(frozen=True, slots=True)
class Placed:
    """A version at a target of a model, and the id of the decision that put it there; None where there was none."""

    target: str
    version: str
    decision: str | None


class Records(Protocol):
    """What the ledger says of a model."""

    def placements(self, model: str) -> list[Placed]:
        """Return what is placed at the targets of a model."""
        ...

    def envelope(self, decision: str) -> bytes | None:
        """Return the signed envelope of a decision; None where the ledger has none."""
        ...


def records_at(uri: str) -> Records:
    """Return the records behind a registry URI, with or without the gate's prefix.

    Raises:
        EvidenceError: no record can lie there.
    """
    plain = uri.removeprefix(GATED)
    scheme = urlsplit(plain).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        return RecordsOverHttp(plain)
    if scheme in ("sqlite", "postgresql", "postgres", "mysql", "mssql"):
        return RecordsInDatabase(plain)
    raise EvidenceError("no decisions are recorded there", got=f"{scheme or 'a directory'}", expected=_ASK)


@dataclass(frozen=True, slots=True)
class RecordsOverHttp:
    """The routes of `record_routes`, asked as MLflow's client asks: same credentials, workspace and certificates."""

    uri: str

    def placements(self, model: str) -> list[Placed]:
        """Return what is placed at the targets of a model.

        Raises:
            EvidenceError: the server has no record, or does not let it be read.
        """
        said = self._asked(f"placements/{quote(model, safe='')}")
        listed = (said or {}).get("placements")
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            return []
        return [
            Placed(str(each.get("target")), str(each.get("version")), _text(each.get("decision"))) for each in listed
        ]

    def envelope(self, decision: str) -> bytes | None:
        """Return the signed envelope of a decision; None where the ledger has none.

        Raises:
            EvidenceError: as `placements`.
        """
        envelope = _text((self._asked(f"decisions/{quote(decision, safe='')}") or {}).get("envelope"))
        return None if envelope is None else envelope.encode()

    def _asked(self, path: str) -> Mapping[str, Any] | None:
        """Return what the server says, None where it says that there is no such thing."""
        from mlflow.exceptions import MlflowException
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        try:
            answer = http_request(
                get_default_host_creds(self.uri), f"{API}/{path}", "GET", max_retries=1, raise_on_status=False
            )
            said = json.loads(answer.content)
        except (MlflowException, ValueError) as error:
            lines = str(error).splitlines() or ["no reason given"]
            raise EvidenceError("the record of decisions cannot be read", got=lines[0][:300], expected=_ASK) from error
        if answer.status_code in (404, 410) and isinstance(said, dict) and "message" in said:
            return None
        if answer.status_code != 200 or not isinstance(said, dict):
            got = f"HTTP {answer.status_code}: {answer.text[:200]}"
            raise EvidenceError("the record of decisions cannot be read", got=got, expected=_ASK)
        return said


@dataclass(frozen=True, slots=True)
class RecordsInDatabase:
    """The ledger's own tables, for whoever may read the database."""

    uri: str

    def placements(self, model: str) -> list[Placed]:
        """Return what is placed at the targets of a model.

        Raises:
            EvidenceError: there is no ledger in this database.
        """
        return list(self._read(lambda connection: placed(connection, _workspace(), model)))

    def envelope(self, decision: str) -> bytes | None:
        """Return the signed envelope of a decision; None where the ledger has none.

        Raises:
            EvidenceError: there is no ledger in this database.
        """
        entry = self._read(lambda connection: entry_of(connection, decision))
        envelope = None if entry is None or entry.is_erased else _text(entry.content.get("envelope"))
        return None if envelope is None else envelope.encode()

    def _read(self, question: Any) -> Any:
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with create_engine(self.uri, poolclass=NullPool).connect() as connection:
                return question(connection)
        except SQLAlchemyError as error:
            got = f"{type(error).__name__} in a database without a ledger, or that cannot be read"
            raise EvidenceError("the record of decisions cannot be read", got=got, expected=_ASK) from error


def entry_of(connection: Connection | Session, basis: str) -> Entry | None:
    """Return the entry of a decision by its id, or of a break-glass (`bg-…`); None where there is none."""
    from mlflow_rank.audit import ledger

    return ledger.find(connection, "break_glass" if basis.startswith(BREAK_GLASS) else "decision", basis)


def placed(connection: Connection | Session, workspace: str, model: str) -> list[Placed]:
    """Return what the ledger put at the targets of a model, by target."""
    from mlflow_rank.audit import ledger

    found = ledger.placements(connection, workspace=workspace, model=model)
    return [Placed(each.target, each.version, each.decision) for each in found]


def _workspace() -> str:
    from mlflow.utils.workspace_context import get_request_workspace

    return str(get_request_workspace() or "default")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
