"""What changes for consumers by a call: the targets of a model before and after it, and which of them moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit.placements import Move

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session

Targets = Mapping[tuple[str, str], str]  # (model, target as it is written in the registry) → version


def targets_of(session: Session, workspace: str, models: Iterable[str], *, stages: bool) -> Targets:
    """Return which version consumers get for every alias, and for every stage: there the highest version in it.

    Args:
        session: in which to read; what it has not flushed yet is not seen.
        workspace: that the models are in.
        models: their names.
        stages: whether stages are read too; with very many versions that takes time, and aliases do not need it.
    """
    names, found = sorted({name for name in models if name}), {}  # without a name MLflow refuses by itself
    asked, about = _asked(), {"of_workspace": workspace, "of_names": names}
    for name, alias, version in session.execute(asked[0], about):
        found[name, f"alias:{alias}"] = str(version)
    if stages:
        for name, stage, version in session.execute(asked[1], about):
            found[name, f"stage:{stage}"] = str(version)
    return found


@cache
def _asked() -> tuple[Select[Any], Select[Any]]:
    """Return how aliases and stages are asked for, which takes longer to say than to answer: it is said once."""
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL, STAGE_NONE
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelAlias
    from sqlalchemy import bindparam, func, select

    def about(table: Any) -> tuple[Any, Any]:
        return table.workspace == bindparam("of_workspace"), table.name.in_(bindparam("of_names", expanding=True))

    aliases = select(SqlRegisteredModelAlias.name, SqlRegisteredModelAlias.alias, SqlRegisteredModelAlias.version)
    stages = select(SqlModelVersion.name, SqlModelVersion.current_stage, func.max(SqlModelVersion.version)).where(
        *about(SqlModelVersion), SqlModelVersion.current_stage.not_in((STAGE_DELETED_INTERNAL, STAGE_NONE))
    )
    return (
        aliases.where(*about(SqlRegisteredModelAlias)),
        stages.group_by(SqlModelVersion.name, SqlModelVersion.current_stage),
    )


def moves_between(before: Targets, after: Targets) -> Iterator[Move]:
    """Yield what moved, in order.

    >>> before = {("m", "alias:a"): "1", ("m", "alias:b"): "2"}
    >>> [in_words(move) for move in moves_between(before, {("m", "alias:a"): "1"})]
    ['alias:b of m would point at nothing instead of version 2']
    """
    for model, target in sorted({*before, *after}):
        old, new = before.get((model, target)), after.get((model, target))
        if old != new:
            yield Move(model, target, old, new)


def in_words(move: Move) -> str:
    """Return what a move would do to consumers."""
    where = f"version {move.after}" if move.after is not None else "nothing"
    return f"{move.target} of {move.model} would point at {where} instead of " + (
        "nothing" if move.before is None else f"version {move.before}"
    )
