"""What must hold of a registry whatever was called, read from its tables alone: no word of the product is taken for it.

Every target that policies govern points at a version that a decision approved, or that somebody placed in an emergency.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from filed import PEOPLE

Placed = Mapping[tuple[str, str], str]  # (model, target) → version
PLACEHOLDER = "dummy-source"  # what MLflow's pages write where a prompt has no files
FREE = ("alias:scratch", "stage:Archived", "stage:None")
EMERGENCY = {name for name, (_, roles) in PEOPLE.items() if "emergency" in roles}


@dataclass(frozen=True)
class Law:
    """The tables of one database, and what the test knows itself: which evidence was good, and who ever said yes.

    `governed` says of a model's name whether policies in force name it.
    """

    tables: sqlite3.Connection
    governed: Callable[[str], bool]
    good: set[str] = field(default_factory=set)
    """Digests of statements that the policy may approve on."""
    consents: set[tuple[str, str]] = field(default_factory=set)
    """Version's address and name, for every yes that was handed in."""

    def rows(self, statement: str, *values: object) -> list[Any]:
        return self.tables.execute(statement, values).fetchall()

    def placed(self, ending: str) -> Placed:
        """What consumers get of the models whose names end so; a stage resolves to the newest version in it."""
        like = f"%{ending}"
        aliases = self.rows(
            "SELECT name, 'alias:' || alias, version FROM registered_model_aliases WHERE name LIKE ?", like
        )
        stages = self.rows(
            "SELECT name, 'stage:' || current_stage, MAX(version) FROM model_versions WHERE name LIKE ? "
            "AND current_stage IN ('Staging', 'Production', 'Archived') GROUP BY name, current_stage",
            like,
        )
        return {(name, target): str(version) for name, target, version in (*aliases, *stages)}

    def holds(self, ending: str) -> None:
        """Fail where a governed target points at anything without a basis, or registry and record differ."""
        placed = self.placed(ending)
        kept = self.rows(
            "SELECT model, target, version, files, decision FROM rank_placements WHERE model LIKE ?", f"%{ending}"
        )
        assert {(model, target): version for model, target, version, _, _ in kept} == placed
        for model, target, version, files, basis in kept:
            if self.governed(model) and target not in FREE and not self._is_prompt(model):
                where = f"{target} of {model} points at version {version}"
                assert basis is not None, f"{where} on nothing"
                assert files is not None, f"{where}, whose files nobody looked at"
                self._explained(where, basis, (model, version, target, files))

    def _explained(self, where: str, basis: str, about: tuple[str, str, str, str]) -> None:
        kind = "break_glass" if basis.startswith("bg-") else "decision"
        found = self.rows(
            "SELECT workspace, model, version, target, body FROM rank_ledger WHERE kind = ? AND reference = ?",
            kind,
            basis,
        )
        assert found, f"{where} on {basis}, of which the ledger knows nothing"
        (_, *header, body) = found[-1]
        assert tuple(header) == about[:3], f"{where} on {basis}, which is about something else"
        content = json.loads(body)
        statement = payload_of(content["envelope"])
        if kind == "break_glass":
            assert EMERGENCY & set(content["signed_by"]), f"{where} in an emergency of {content['signed_by']}"
            said = statement["predicate"]
            assert (said["model"], said["version"], said["target"]) == about[:3]
        else:
            said = content["decision"]
            assert said["verdict"] == "approve", f"{where} on a decision that denied it"
            request = said["request"]
            assert tuple(request[name] for name in ("model", "version", "target", "digest")) == about
            assert statement["predicate"]["decision"] == said, "what is signed is not what is recorded"
            self._deserved(where, said, f"models:/{about[0]}/{about[1]}")
        assert {each["digest"]["sha256"] for each in statement["subject"]} == {about[3].removeprefix("sha256:")}

    def _deserved(self, where: str, said: Any, address: str) -> None:
        """Fail unless good evidence was there, and those who are counted as having said yes did."""
        assert self.good & {each["digest"] for each in said["evidence"]}, f"{where} on no evidence that is good"
        assert said["policies"]
        for ruling in said["policies"]:
            approvals = ruling["approvals"]
            assert len(approvals["by"]) >= approvals["needed"], where
            assert not approvals["rejected_by"], where
            assert all((address, name) in self.consents for name in approvals["by"]), f"{where} by {approvals['by']}"

    def _is_prompt(self, model: str) -> bool:
        tags = self.rows(
            "SELECT 1 FROM registered_model_tags WHERE name = ? AND key = 'mlflow.prompt.is_prompt' "
            "AND lower(value) = 'true'",
            model,
        )
        files = self.rows(
            "SELECT 1 FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal' "
            "AND (source IS NULL OR source NOT IN ('dummy-source', 'prompt-template'))",
            model,
        )
        return bool(tags) and not files


def payload_of(envelope: str | bytes) -> Any:
    """The statement in an envelope."""
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def digest_in(envelope: bytes) -> str:
    """The digest of the statement in an envelope."""
    return "sha256:" + hashlib.sha256(base64.b64decode(json.loads(envelope)["payload"])).hexdigest()
