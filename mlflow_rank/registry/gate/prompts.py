"""Prompts, which MLflow keeps as registered models: the gate leaves them alone, if that is what they really are."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session


def is_really_a_prompt(session: Session, workspace: str, model: str) -> bool:
    """Say whether a registered model is a prompt: by its tag, and because no version of it has files.

    The tag alone is no proof: anybody may set it on an encoder, move an alias, and take it away again.
    """
    tag, with_files = _asked()
    about = {"of_workspace": workspace, "of_model": model}
    if str(session.execute(tag, about).scalar_one_or_none()).lower() != "true":
        return False
    return bool(session.execute(with_files, about).scalar_one() == 0)


@cache
def _asked() -> tuple[Select[Any], Select[Any]]:
    """Return how the tag, and the number of versions with files, are asked for: said once, as `moves` does."""
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS, IS_PROMPT_TAG_KEY
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelTag
    from sqlalchemy import bindparam, func, or_, select

    def about(table: Any) -> tuple[Any, Any]:
        return table.workspace == bindparam("of_workspace"), table.name == bindparam("of_model")

    tag = select(SqlRegisteredModelTag.value).where(
        *about(SqlRegisteredModelTag), SqlRegisteredModelTag.key == IS_PROMPT_TAG_KEY
    )
    with_files = select(func.count()).where(
        *about(SqlModelVersion),
        SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL,
        or_(SqlModelVersion.source.is_(None), SqlModelVersion.source.not_in(_PROMPT_SOURCE_PLACEHOLDERS)),
    )
    return tag, with_files
