"""A call at a door, as the ledger keeps it: what was asked, by whom, from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow_rank.registry.gate.actor import GATE, Actor, actor_here, origin_here

Arguments = Mapping[str, object]
MOST_CHARACTERS = 2000  # of anything that a caller sent
MOST_OF_A_LIST = 20  # of those


@dataclass(frozen=True, slots=True)
class Call:
    """A call at a door: by which method, with what, on which models, by whom and from where."""

    door: str
    workspace: str
    models: tuple[str, ...]
    arguments: Arguments
    actor: Actor
    origin: Arguments
    version: str | None = None
    stages: bool = True
    """Whether the call may move stages: an alias does not, and reading all stages takes time."""

    @classmethod
    def here(cls, door: str, workspace: str, models: Sequence[str], arguments: Arguments, **more: Any) -> Call:
        """Return the call that is going on."""
        said = {name: recordable(value) for name, value in arguments.items()}
        return cls(door, workspace, tuple(models), said, actor_here(), origin_here(), **more)

    def by_gate(self, door: str, version: str, target: str, *, on_behalf_of: str | None, **arguments: object) -> Call:
        """Return what the gate does by itself about a target in the course of this call."""
        said = {name: recordable(value) for name, value in {"version": version, "target": target, **arguments}.items()}
        actor = Actor(GATE, verified=True, on_behalf_of=on_behalf_of)
        stages = target.startswith("stage:")
        return replace(self, door=door, version=version, arguments=said, actor=actor, stages=stages)

    def body(self, **more: object) -> dict[str, object]:
        """Return what the ledger keeps of it."""
        return {
            "door": self.door,
            "arguments": dict(self.arguments),
            "actor": self.actor.document(),
            "origin": dict(self.origin),
            **more,
        }


def recordable(value: object) -> object:
    """Return what somebody sent as the ledger can hold it: half characters escaped, and long texts cut.

    >>> recordable("a" * 3000) == "a" * 2000 + "…", recordable("\\ud800")
    (True, '\\\\ud800')
    """
    if isinstance(value, list):
        return [recordable(each) for each in value[:MOST_OF_A_LIST]]
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
