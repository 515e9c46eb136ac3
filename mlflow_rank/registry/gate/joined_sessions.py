"""One transaction around a call of MLflow's store: the sessions that its methods open join the one of the gate.

Outside of it, a session that is about to change an alias or a stage is stopped: no method of the store, also none that
nobody has thought of, changes a target without going through a door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MakeSession = Callable[..., AbstractContextManager["Session"]]
_OPEN: ContextVar[tuple[JoinedSessions, Session] | None] = ContextVar("mlflow_rank_transaction", default=None)


class JoinedSessions:
    """Stands in for the `ManagedSessionMaker` of a store."""

    def __init__(self, original: MakeSession) -> None:
        self.original = original

    @contextmanager
    def __call__(self, read_only: bool = True) -> Iterator[Session]:
        """Open a session as MLflow would, or join the one that is open."""
        open_here = _OPEN.get()
        if open_here is not None and open_here[0] is self:
            yield open_here[1]
            open_here[1].flush()
            return
        with _in_plain_words(only_when_lost=True), self.original(read_only=read_only) as session:
            if not read_only:
                _stop_unguarded_moves(session)
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that all sessions opened within join; it commits once, at the end, or not at all.

        Raises:
            MlflowException: the database refused or cannot be reached (503), in words without SQL; nothing has changed.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.original(read_only=False) as session:
                token = _OPEN.set((self, session))
                try:
                    yield session
                    ledger.release(session)  # whatever was appended or not: what is committed has the gate shut
                finally:
                    _OPEN.reset(token)
        except MlflowException as error:
            cause = error.__cause__
            if not isinstance(cause, SQLAlchemyError | LedgerError):
                raise
            said = f"the registry's database did not take the change ({type(cause).__name__})"
            raise MlflowException(f"{said}; nothing was changed, try again", TEMPORARILY_UNAVAILABLE) from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session of its own, for what the gate wants to know before it decides.

        Raises:
            MlflowException: the database cannot be reached (503), in words without SQL.
        """
        with _in_plain_words(), self.original(read_only=True) as session:
            yield session


@contextmanager
def _in_plain_words(*, only_when_lost: bool = False) -> Iterator[None]:
    """Say without SQL that the database failed, under MLflow's code for it: 503 where it cannot be reached.

    What MLflow's own methods say of a wrong call stays MLflow's (`only_when_lost`).
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        cause = error.__cause__
        if not isinstance(cause, OperationalError if only_when_lost else SQLAlchemyError):
            raise
        said = f"the registry's database did not do what was asked ({type(cause).__name__}); try again"
        raise MlflowException(said, ErrorCode.Value(error.error_code)) from error


def _stop_unguarded_moves(session: Session) -> None:
    from sqlalchemy import event

    event.listen(session, "before_flush", _refuse_moves)


def _refuse_moves(session: Session, _context: Any, _instances: Any) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
    from sqlalchemy import inspect

    changed = [*session.new, *session.dirty, *session.deleted]
    if any(isinstance(each, SqlRegisteredModelAlias) for each in changed) or any(
        isinstance(each, SqlModelVersion) and inspect(each).attrs.current_stage.history.has_changes()
        for each in session.dirty
    ):
        raise MlflowException(
            "Refused: this call would move an alias or a stage past the gate; update mlflow_rank", PERMISSION_DENIED
        )
