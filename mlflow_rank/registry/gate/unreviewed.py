"""What is kept for a review: the version of a break-glass, under its name, until somebody has looked at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_rank.audit.matters import open_matters
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.gate import TakenBack

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def refuse_unreviewed(session: Session, call: Call) -> None:
    """Refuse a call that takes away what a break-glass is about, which nobody could review then.

    Args:
        session: of the transaction of the call.
        call: that deletes or renames its version, or without one its model.

    Raises:
        TakenBack: a break-glass of it waits for a review.
    """
    open_here = open_matters(
        session.connection(), workspace=call.workspace, model=call.models[0], version=call.version, kind="break_glass"
    )
    for each in open_here:
        said = f"the break-glass of version {each.version} of {each.model} to {each.target} waits for a review"
        raise TakenBack(f"{said}; until then the version is kept, under its name", each.target)
