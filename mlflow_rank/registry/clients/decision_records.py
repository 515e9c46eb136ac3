"""Where a consumer reads the record from: over HTTP with MLflow's own credentials, or from the database itself.

Nothing that is read here is believed for where it comes from; what counts is the signature in a decision's envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.clients.over_http import asked
from mlflow_rank.registry.gate.records import GATED, Placed, entry_of, placed

_ASK = "a registry behind the gate: `mlflow-rank server`, or its database"


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
        answer = asked(self.uri, path, what="the record of decisions cannot be read", expected=_ASK)
        if answer.status in (404, 410) and "message" in answer.body:
            return None
        if answer.status != 200:
            raise EvidenceError("the record of decisions cannot be read", got=answer.in_words, expected=_ASK)
        return answer.body


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


def _workspace() -> str:
    from mlflow.utils.workspace_context import get_request_workspace

    return str(get_request_workspace() or "default")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
