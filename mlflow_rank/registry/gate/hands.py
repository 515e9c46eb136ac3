"""MLflow's own methods, for what the gate does by itself: they change things without asking the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hands:
    """How the gate moves a target, and writes and deletes a tag of a version.

    Args:
        place: model, version, target: the target then points at this version, and a stage holds no other.
        set_tag: model, version, key, value.
        delete_tag: model, version, key; does nothing where there is no such tag.
        moved: model, version, target: tells MLflow's own webhooks, after the transaction.
    """

    place: Callable[[str, str, str], object]
    set_tag: Callable[[str, str, str, str], object]
    delete_tag: Callable[[str, str, str], object]
    moved: Callable[[str, str, str], object]
