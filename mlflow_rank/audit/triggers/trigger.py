"""What a trigger is here, whichever database it stands in."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "rank_wall_"  # of the names of everything that belongs to the wall
WATCHED = {
    "registered_model_aliases": ("workspace", "name", "alias", "version"),
    "model_versions": ("workspace", "name", "version", "current_stage", "source", "storage_location"),
    "registered_models": ("workspace", "name"),
}
"""MLflow's tables that the wall stands around, and the columns that say what a consumer gets."""
KEPT = ("rank_placements", "rank_matters", "rank_evidence")
"""Our own tables that only the gate writes; the ledger and its head have rules of their own."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger as this version writes it.

    Args:
        name: under which the database knows it.
        table: that it stands at.
        statement: makes it.
        written: what the database says of it afterwards, to be compared with what it says now.
    """

    name: str
    table: str
    statement: str
    written: str


@dataclass(frozen=True, slots=True)
class Found:
    """A trigger of the wall that stands in a database, as the database says."""

    name: str
    table: str
    written: str
