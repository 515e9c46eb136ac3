"""MLflow's tables, made once by MLflow and copied from then on: its migrations take seconds for every new database."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

from made_once import made_once

_UTILS = "mlflow.store.db.utils"
_IMPORTERS = (_UTILS, "mlflow.store.model_registry.sqlalchemy_store")  # who call it by the name they imported


def empty_registry() -> Path:
    """The file of an SQLite database with MLflow's tables and nothing in them. Copy it, change nothing in it."""
    return made_once("mlflow.db", lambda path: make_tables(f"sqlite:///{path}"))


def make_tables(uri: str) -> None:
    """Have MLflow make its tables in an empty database, by its migrations; no connection stays open."""
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    getattr(utils._initialize_tables, "by_migrations", utils._initialize_tables)(engine)
    engine.dispose()


def copy_from_now_on() -> None:
    """Have MLflow, if this process has imported it, lay copies into new SQLite files where it would migrate."""
    for name in _IMPORTERS:
        module: Any = sys.modules.get(name)
        makes = getattr(module, "_initialize_tables", None)
        if makes is not None and not hasattr(makes, "by_migrations"):
            module._initialize_tables = _copying(makes)


def _copying(by_migrations: Any) -> Any:
    def initialize(engine: Any) -> None:
        import sqlalchemy

        is_new = engine.dialect.name == "sqlite" and not sqlalchemy.inspect(engine).get_table_names()
        if not is_new or not engine.url.database:
            by_migrations(engine)
            return
        connection = engine.raw_connection()
        try:
            with contextlib.closing(sqlite3.connect(empty_registry())) as template:
                template.backup(connection.driver_connection)
        finally:
            connection.close()

    initialize.by_migrations = by_migrations  # type: ignore[attr-defined]
    return initialize
