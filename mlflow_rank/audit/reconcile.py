"""Where the registry disagrees with the ledger: what a plain database client did, or a server without the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.placements import Key
from mlflow_rank.policy.targets import canonical_target


@dataclass(frozen=True, slots=True)
class Finding:
    """A target that resolves to something else than the ledger explains; None is nothing."""

    workspace: str
    model: str
    target: str
    ledger: str | None
    registry: str | None

    @property
    def sentence(self) -> str:
        """Say it."""
        if self.registry is None:
            return f"{self.target} of {self.model} is gone, and by the ledger it is version {self.ledger}"
        if self.ledger is None:
            return f"{self.target} of {self.model} is version {self.registry}, and nothing in the ledger put it there"
        return f"{self.target} of {self.model} is version {self.registry}, and by the ledger version {self.ledger}"

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "workspace": self.workspace,
            "model": self.model,
            "target": self.target,
            "ledger": self.ledger,
            "registry": self.registry,
            "sentence": self.sentence,
        }

    def record(self) -> Record:
        """Return it as the ledger records it."""
        body = {name: value for name, value in self.document().items() if name not in ("workspace", "model")}
        return Record("finding", self.workspace, self.model, self.registry, self.target, body)


def reconcile(
    placements_of_ledger: Mapping[Key, str],
    placements_of_registry: Iterable[tuple[Key, str]],
    protected: Callable[[str, str, str], bool],
) -> list[Finding]:
    """Return every protected target that resolves to something else than the ledger says, in order.

    Args:
        placements_of_ledger: versions by workspace, model and target, targets in their only form.
        placements_of_registry: the same from the registry, targets as they stand there; `alias:Champion` counts as
            `alias:champion`, and where both are there, each is compared.
        protected: whether a policy governs a target of a model; an alias that has no form that we accept, such as one
            with letters that look like others, is asked about as it stands.
    """
    found: set[Finding] = set()
    seen: set[Key] = set()
    for (workspace, model, target), version in placements_of_registry:
        key = (workspace, model, _form(target))
        seen.add(key)
        expected = placements_of_ledger.get(key)
        if expected != version and protected(*key):
            found.add(Finding(*key, expected, version))
    for key, version in placements_of_ledger.items():
        if key not in seen and protected(*key):
            found.add(Finding(*key, version, None))
    return sorted(found, key=lambda each: (each.workspace, each.model, each.target, each.registry or ""))


def _form(target: str) -> str:
    try:
        return canonical_target(target)
    except ValueError:
        return target
