"""A ledger with a little of everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import checkpoint_of
from mlflow_rank.audit.entry import Entry, Record
from mlflow_rank.audit.migrating import prepare
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.trust import TrustedKey, TrustStore

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GATE = PrivateKey.from_seed(b"gate" * 8)
ACTOR = {"name": "ann", "verified": True}
ORIGIN = {"via": "rest", "address": "10.0.0.1"}


def trust_in(key: PrivateKey, *roles: str, **more: object) -> TrustStore:
    """A trust file with one key."""
    entry = TrustedKey(key=key.public, service="gate", roles=roles or ("gate",), **more)  # type: ignore[arg-type]
    return TrustStore(apiVersion="mlflow-rank/v1", kind="TrustStore", keys=(entry,))


def new_ledger(uri: str | Path) -> Engine:
    """A database with an empty ledger; nothing stays open between calls."""
    engine = create_engine(f"sqlite:///{uri}" if isinstance(uri, Path) else uri, poolclass=NullPool)
    prepare(engine)
    return engine


def move(model: str, target: str, before: str | None, after: str | None) -> dict[str, object]:
    return {"model": model, "target": target, "before": before, "after": after, "files": f"sha256:{'a' * 64}"}


def change(version: str | None, before: str | None, *, model: str = "hubert", decision: str | None = None) -> Record:
    """A change of the champion."""
    body = {
        "door": "set_registered_model_alias",
        "arguments": {"name": model, "alias": "champion", "version": version},
        "actor": ACTOR,
        "origin": ORIGIN,
        "decision": decision,
        "moves": [move(model, "alias:champion", before, version)],
    }
    return Record("change", "default", model, version, "alias:champion", body)


def refusal(number: int = 0) -> Record:
    body = {"door": "set_registered_model_alias", "arguments": {}, "actor": ACTOR, "sentence": f"no {number}"}
    return Record("refusal", "default", "hubert", "9", "alias:champion", body)


def appended(engine: Engine, *records: Record, at: datetime = START) -> list[Entry]:
    """Append in a transaction of its own."""
    with engine.begin() as connection:
        return ledger.append(connection, ledger.lock(connection), records, at=at)[1]


def accepted(engine: Engine, payload: bytes, *, version: str, at: datetime = START) -> str:
    """Accept a piece of evidence and keep it; return its digest."""
    envelope = Envelope(payload).signed_by(GATE)
    body = {"kind": "rank", "digest": envelope.digest, "signed_by": ["ann"], "actor": ACTOR, "origin": ORIGIN}
    with engine.begin() as connection:
        record = Record("evidence", "default", "hubert", version, None, body, envelope.digest)
        _, (entry,) = ledger.append(connection, ledger.lock(connection), [record], at=at)
        ledger.keep_evidence(
            connection, "default", "hubert", version,
            digest=envelope.digest, kind="rank", envelope=envelope.to_json(), received_at=at, number=entry.number,
        )  # fmt: skip
    return envelope.digest


def decided(engine: Engine, decision: str, evidence: Sequence[str], *, at: datetime = START) -> None:
    """Record a decision with a signed checkpoint of everything before it."""
    with engine.begin() as connection:
        head = ledger.lock(connection)
        document = {
            "id": decision,
            "sentence": "approved under starter r1",
            "evidence": [{"digest": each} for each in evidence],
        }
        body = {"decision": document, "envelope": None, "checkpoint": checkpoint_of(head, GATE).text, "actor": ACTOR}
        record = Record("decision", "default", "hubert", "1", "alias:champion", body, decision)
        ledger.append(connection, head, [record], at=at)


def tell(engine: Engine) -> list[Entry]:
    """Eleven entries: hubert 1 becomes champion on evidence, then 2, then the model is renamed; an hour each."""
    hour = [START + timedelta(hours=number) for number in range(11)]
    appended(engine, Record("policies", None, None, None, None, {"policies": [], "problems": []}), at=hour[0])
    first = accepted(engine, b"measurement of 1", version="1", at=hour[1])
    decided(engine, "d1", [first], at=hour[2])
    appended(engine, change("1", None, decision="d1"), at=hour[3])
    appended(engine, refusal(), at=hour[4])
    second = accepted(engine, b"measurement of 2", version="2", at=hour[5])
    decided(engine, "d2", [first, second], at=hour[6])
    appended(engine, change("2", "1", decision="d2"), at=hour[7])
    renamed = {
        "door": "rename_registered_model",
        "arguments": {},
        "actor": {"name": "bob", "verified": False},
        "origin": ORIGIN,
        "decision": None,
        "moves": [move("hubert", "alias:champion", "2", None), move("wavlm", "alias:champion", None, "2")],
    }
    appended(engine, Record("change", "default", "hubert", None, None, renamed), at=hour[8])
    appended(engine, refusal(), at=hour[9])
    appended(engine, change("1", None, model="other"), at=hour[10])
    with engine.connect() as connection:
        return list(ledger.entries(connection))
