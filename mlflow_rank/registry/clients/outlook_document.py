"""How a model stands at the gate, as the gate says it: what is placed, what is open, and what a version still lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.fields import Read
from mlflow_rank.registry.gate.basis import BREAK_GLASS

Answer = Literal["free", "shut", "uncovered", "approved", "refused", "missing"]
"""What the gate would say now: nobody is asked; its rules cannot be read; no policy covers it; yes; no; not yet."""


class Placement(Read):
    """What a target points at, since when, by whom, on which decision (`bg-…`: a break-glass; None: on none)."""

    target: str
    version: str
    decision: str | None = None
    at: str | None = None
    by: str | None = None
    on_behalf_of: str | None = None

    @property
    def by_break_glass(self) -> bool:
        """Whether it lies there without approval."""
        return self.decision is not None and self.decision.startswith(BREAK_GLASS)


class Matter(Read):
    """Something that is open: a request, a flag, or a break-glass that nobody has reviewed."""

    kind: str
    number: int
    at: str | None = None
    version: str
    target: str
    placed: bool = True
    """Whether the version is at the target now."""
    by: str | None = None
    verified: bool = False
    words: str = ""
    ticket: str | None = None
    expires_at: str | None = None
    review_by: str | None = None
    overdue: bool = False
    statement: str | None = None


class Need(Read):
    """Something that lacks, in a sentence without a full stop, and who can supply it."""

    sentence: str
    who: tuple[str, ...] = ()
    kind: str


class Piece(Read):
    """A statement that was handed in about the version."""

    digest: str
    kind: str
    made_at: str | None = None
    received_at: str | None = None
    signed_by: tuple[str, ...] = ()


class AskedPolicy(Read):
    """A policy that is asked when the version goes to the target."""

    name: str
    revision: int
    digest: str
    mode: str
    promote: str = "manual"


class Former(Read):
    """A version that was approved for the target before."""

    version: str
    decision: str
    at: str


class OfVersion(Read):
    """A version: its bytes, what was handed in, what the policies say of it now, and what lacks."""

    number: str
    files: str | None = None
    evidence_digest: str | None = None
    evidence: tuple[Piece, ...] = ()
    policies: tuple[AskedPolicy, ...] = ()
    decision: Mapping[str, Any] | None = None
    missing: tuple[Need, ...] = ()
    formerly: tuple[Former, ...] = ()


class Stands(Read):
    """Whether policies govern the target of this model, and why."""

    kind: str
    reason: str


class Outlook(Read):
    """How a model stands at the gate, and, where they were asked about, one version and one target of it."""

    workspace: str
    model: str
    problems: tuple[str, ...] = ()
    placements: tuple[Placement, ...] = ()
    matters: tuple[Matter, ...] = ()
    stands: Stands | None = Field(default=None, alias="standing")
    version: OfVersion | None = None

    def at(self, target: str) -> Placement | None:
        """Return what is placed at a target; None where nothing is."""
        return next((each for each in self.placements if each.target == target), None)

    def holds(self, target: str, version: str) -> bool:
        """Say whether a version is placed at a target."""
        placed = self.at(target)
        return placed is not None and placed.version == version

    def document(self, *, version: str | None = None) -> dict[str, Any]:
        """Return it JSON-ready; where a version is named, without what is placed or open of others."""
        document = self.model_dump(mode="json", by_alias=True)
        for name in ("placements", "matters") if version is not None else ():
            document[name] = [each for each in document[name] if each["version"] == version]
        return document

    def open(self, kind: str, *, target: str | None = None, version: str | None = None) -> list[Matter]:
        """Return what is open of a kind, about a target and a version where they are named."""
        return [
            each
            for each in self.matters
            if each.kind == kind and target in (None, each.target) and version in (None, each.version)
        ]

    @property
    def answer(self) -> Answer:
        """What the gate would say now to the version and the target that were asked about."""
        if self.stands is not None and self.stands.kind in ("ungated", "exempt"):
            return "free"
        if self.problems:
            return "shut"
        if self.stands is not None and self.stands.kind == "uncovered":
            return "uncovered"
        decision = self.version.decision if self.version else None
        if decision is None:
            return "missing"
        if decision.get("verdict") == "approve" or decision.get("enforced") is False:
            return "approved"
        return "missing" if _is_undecided(decision) else "refused"

    @property
    def rejected_by(self) -> tuple[str, ...]:
        """Who rejected it."""
        names = {str(name) for each in self.rulings for name in _part(each, "approvals").get("rejected_by") or ()}
        return tuple(sorted(names))

    @property
    def rulings(self) -> list[Mapping[str, Any]]:
        """What each policy says of the version now, as a decision's document has it."""
        decision = self.version.decision if self.version else None
        return _rulings(decision or {})

    @property
    def automatic(self) -> bool:
        """Whether the gate itself moves the target as soon as nothing lacks and somebody has asked."""
        policies = self.version.policies if self.version else ()
        return bool(policies) and all(each.promote == "automatic" for each in policies)


def read_outlook(document: object) -> Outlook:
    """Read what a gate says.

    Raises:
        EvidenceError: it is no such document.
    """
    try:
        return Outlook.model_validate_json(json.dumps(document), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceError(
            "what the gate says cannot be read",
            got=f"{where}: {first['msg']}",
            expected="a server with this version of mlflow-rank",
        ) from error


def _is_undecided(decision: Mapping[str, Any]) -> bool:
    """Say whether nothing speaks against it; a gate of this version says so itself."""
    said = decision.get("undecided")
    if isinstance(said, bool):
        return said
    rulings = _rulings(decision)
    return bool(rulings) and not any(_speaks_against(each) for each in rulings if not each.get("passes"))


def _speaks_against(ruling: Mapping[str, Any]) -> bool:
    failing = not ruling.get("formula_passes") and any(
        each.get("result") == "fail" and each.get("severity") == "block" for each in ruling.get("findings") or ()
    )
    return failing or bool(_part(ruling, "approvals").get("rejected_by"))


def _rulings(decision: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = decision.get("policies")
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}
