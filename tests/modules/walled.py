"""A registry with something in it, to stand a wall around: MLflow's own tables, a champion, and a ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledgers import accepted, appended, change, new_ledger, refusal
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from sqlalchemy import Engine

from mlflow_rank.audit import triggers

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MODELS = ("registered_models", "registered_model_tags", "registered_model_aliases", "model_versions",
          "model_version_tags")  # fmt: skip


def registry(uri: str | Path) -> Engine:
    """Version 1 of `hubert` is champion and 2 in Production, `wavlm` is empty, and there is a ledger with evidence."""
    engine = new_ledger(uri)
    metadata: Any = SqlRegisteredModel.metadata
    metadata.create_all(engine, tables=[metadata.tables[name] for name in MODELS])
    with engine.begin() as connection:
        for name in ("hubert", "wavlm"):
            connection.exec_driver_sql(f"INSERT INTO registered_models (workspace, name) VALUES ('default', '{name}')")
        for version, stage in ((1, "None"), (2, "Production")):
            connection.exec_driver_sql(
                "INSERT INTO model_versions (workspace, name, version, current_stage, source) "
                f"VALUES ('default', 'hubert', {version}, '{stage}', '/models/{version}')"
            )
        connection.exec_driver_sql(
            "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
            "VALUES ('default', 'hubert', 'champion', 1)"
        )
    appended(engine, change("1", None), refusal())
    accepted(engine, b"measurement of 1", version="1")
    return engine


def walled(uri: str | Path) -> Engine:
    """Likewise, and the wall stands."""
    engine = registry(uri)
    with engine.begin() as connection:
        triggers.install(connection, "ann", at=NOW)
    return engine
