"""Prompts, which MLflow keeps as registered models: the gate leaves them alone, if that is what they really are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def is_really_a_prompt(session: Session, workspace: str, model: str) -> bool:
    """Say whether a registered model is a prompt: by its tag, and because no version of it has files.

    The tag alone is no proof: anybody may set it on an encoder, move an alias, and take it away again.
    """
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS, IS_PROMPT_TAG_KEY
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModelTag
    from sqlalchemy import func, or_, select

    tag = select(SqlRegisteredModelTag.value).where(
        SqlRegisteredModelTag.workspace == workspace,
        SqlRegisteredModelTag.name == model,
        SqlRegisteredModelTag.key == IS_PROMPT_TAG_KEY,
    )
    if str(session.execute(tag).scalar_one_or_none()).lower() != "true":
        return False
    with_files = select(func.count()).where(
        SqlModelVersion.workspace == workspace,
        SqlModelVersion.name == model,
        SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL,
        or_(SqlModelVersion.source.is_(None), SqlModelVersion.source.not_in(_PROMPT_SOURCE_PLACEHOLDERS)),
    )
    return session.execute(with_files).scalar_one() == 0
