"""Which versions MLflow's registry resolves to, read from its tables as they are, without MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Column, Integer, MetaData, String, Table, func, select

if TYPE_CHECKING:
    from sqlalchemy import Connection

_METADATA = MetaData()
_aliases = Table(
    "registered_model_aliases",
    _METADATA,
    Column("workspace", String),
    Column("name", String),
    Column("alias", String),
    Column("version", Integer),
)
_versions = Table(
    "model_versions",
    _METADATA,
    Column("workspace", String),
    Column("name", String),
    Column("version", Integer),
    Column("current_stage", String),
)
STAGES = ("Staging", "Production", "Archived")  # None is where a version lies that was never moved


def placed(connection: Connection) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield every alias and stage with the version that it resolves to: (workspace, model, target), version.

    A stage resolves to the newest version in it, as `models:/NAME/STAGE` does.
    """
    aliases = select(_aliases.c.workspace, _aliases.c.name, _aliases.c.alias, _aliases.c.version)
    for workspace, name, alias, version in connection.execute(aliases):
        yield (workspace, name, f"alias:{alias}"), str(version)
    columns = _versions.c
    stages = (
        select(columns.workspace, columns.name, columns.current_stage, func.max(columns.version))
        .where(columns.current_stage.in_(STAGES))
        .group_by(columns.workspace, columns.name, columns.current_stage)
    )
    for workspace, name, stage, version in connection.execute(stages):
        yield (workspace, name, f"stage:{stage}"), str(version)
