"""A desk with everything on it that a decision needs, as files: keys, trust, a policy, a model, and evidence of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evidence
import yaml
from cryptography.hazmat.primitives import serialization

from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import Statement, Subject
from mlflow_rank.evidence.testimony import alarms_statement, measurement_statement, pilot_statement
from mlflow_rank.evidence.trust import TrustStore, read_trust
from mlflow_rank.workflow.evidencing import sealed

Document = dict[str, Any]
SUFFIX = ".dsse.json"
PEOPLE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "lab": ("service", ("measurer",)),
    "gate": ("service", ("gate",)),
    "ann": ("person", ("reviewer", "measurer")),
    "bob": ("person", ("reviewer",)),
    "olga": ("person", ("owner",)),
    "emma": ("person", ("emergency",)),
}
"""Who is trusted, as what. `eve` has a key as well."""
_LAID: dict[Path, bytes] = {}  # what lies on the first desk, so that the next ones are laid at once


def key_of(name: str) -> PrivateKey:
    """Somebody's key: the same each time."""
    return PrivateKey.from_seed(hashlib.sha256(name.encode()).digest())


def trust_text(**more: Mapping[str, object]) -> str:
    """A trust file; `more` adds to the entries of some."""
    entries = [
        {"key": key_of(name).public.text, sort: name, "roles": list(roles), **more.get(name, {})}
        for name, (sort, roles) in PEOPLE.items()
    ]
    return yaml.safe_dump({"apiVersion": "mlflow-rank/v1", "kind": "TrustStore", "keys": entries}, sort_keys=False)


def trust(**more: Mapping[str, object]) -> TrustStore:
    return read_trust(trust_text(**more), named="trust.yaml")


def hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


@dataclass(frozen=True)
class Desk:
    """A directory with `trust.yaml`, `policy.yaml`, `NAME.key` of everybody, `model/`, and `evidence/` about it."""

    place: Path

    @classmethod
    def laid(cls, place: Path) -> Desk:
        """Everything is there, and the policy asks for a pilot and a rank that the evidence has."""
        desk = cls(place)
        if not _LAID:
            desk._lay()
            _LAID.update({path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()})
        for name, content in _LAID.items():
            desk.write(str(name), content).chmod(0o600)
        return desk

    def _lay(self) -> None:
        self.write("trust.yaml", trust_text())
        for name in (*PEOPLE, "eve"):
            self.write(f"{name}.key", _pem(key_of(name)))
            self.write(f"{name}.key.pub", key_of(name).public.pem)
        self.write("model/config.json", "{}")
        self.write("model/model.safetensors", "weights")
        self.policy()
        self.measurement()
        self.pilot()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def model(self) -> Path:
        return self.place / "model"

    @property
    def digest(self) -> str:
        return file_manifest(self.model).digest

    @property
    def evidence(self) -> Path:
        return self.place / "evidence"

    def policy(self, *rules: Document, name: str = "policy.yaml", **parts: Any) -> Path:
        """A policy of these rules, else of a pilot and a floor under ranks."""
        rules = rules or (evidence.PILOT_RULE, evidence.rule("rank_at_least", "floor"))
        return self.write(name, evidence.policy_text(*rules, **parts))

    def measurement(self, document: Document | None = None, *, name: str = "measurement", **how: Any) -> Path:
        """Evidence of ranks: signed by the lab an hour ago, about the model, unless told otherwise."""
        document = evidence.measurement() if document is None else document
        statement = measurement_statement(self._about(document, how), now=how.get("now") or hour_ago())
        return self.write(f"evidence/{name}{SUFFIX}", _signed(statement, how))

    def pilot(
        self, document: Document | None = None, *, name: str = "pilot", against: str | None = None, **how: Any
    ) -> Path:
        """Evidence of a pilot, likewise; compared with the champion of these files, or with nobody."""
        document = evidence.pilot(champion="models:/encoder@champion") if document is None else document
        compared = None if against is None else {"spec": "models:/encoder@champion", "files_digest": against}
        statement = pilot_statement(
            self._about(document, how) | {"against": compared}, now=how.get("now") or hour_ago()
        )
        return self.write(f"evidence/{name}{SUFFIX}", _signed(statement, how))

    def alarms(self, *states: str, name: str = "alarms", **how: Any) -> Path:
        """What a monitor said of the model: an alarm in each of the states."""
        listed = [{"id": str(at), "state": state, "alarm": "divergence"} for at, state in enumerate(states)]
        subject = Subject(how.get("called", "models:/encoder/7"), how.get("about") or self.digest)
        said = alarms_statement(subject, monitor="run-7", alarms=listed, now=how.get("now") or hour_ago())
        return self.write(f"evidence/{name}{SUFFIX}", _signed(said, how))

    def _about(self, document: Document, how: Mapping[str, Any]) -> Document:
        about = {"files_digest": how.get("about") or self.digest, "spec": how.get("called", "models:/encoder/7")}
        return document | {"model": document["model"] | about}


def opened(path: Path | bytes) -> tuple[Document, Document]:
    """An envelope, and the statement in it."""
    envelope = json.loads(path if isinstance(path, bytes) else path.read_bytes())
    return envelope, json.loads(base64.b64decode(envelope["payload"]))


def with_payload(path: Path, statement: Document) -> None:
    """Put another statement into an envelope, under the signatures that it had."""
    envelope, _ = opened(path)
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope))


def keys_of(people: Iterable[str]) -> list[str]:
    return [key_of(name).public.key_id for name in people]


def _signed(statement: Statement, how: Mapping[str, Any]) -> bytes:
    by = how.get("by", "lab")
    return sealed(statement, None if by is None else key_of(by))


def _pem(key: PrivateKey) -> bytes:
    return key.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
