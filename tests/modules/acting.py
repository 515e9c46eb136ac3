"""People at a gate in this process: who asks, approves, goes back, breaks the glass and reviews, each with a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import evidence
import pytest
from filed import key_of
from gated import MODEL, Hall
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException

from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.matters import Matter, open_matters
from mlflow_rank.evidence import acts
from mlflow_rank.evidence.acts import Aim
from mlflow_rank.evidence.statement import Statement
from mlflow_rank.evidence.testimony import approval_statement
from mlflow_rank.registry.gate.outlook import outlook
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.evidencing import sealed

CHAMPION = "alias:champion"


@dataclass(frozen=True)
class People:
    """Hands statements in as people would, at a hall, about one of its models."""

    hall: Hall
    model: str = MODEL

    def policy(self, *rules: Any, **parts: Any) -> None:
        """Lay another policy, which the gate reads at its next call."""
        listed = rules or (evidence.PILOT_RULE, evidence.rule("rank_at_least", "floor"))
        self.hall.desk.write("policies/policy.yaml", evidence.policy_text(*listed, **parts))

    def promoted(self) -> str:
        """A version that policies approved, and that was made champion by hand."""
        version = self.hall.proved()
        self.hall.store.set_registered_model_alias(self.model, "champion", version)
        return version

    def aim(self, number: str, **other: str) -> Aim:
        about = {"workspace": "default", "model": self.model, "version": number, "target": CHAMPION}
        return Aim(**(about | {"files": self.hall.desk.digest} | other))

    def hand_in(self, version: str, statement: Statement, by: str | None, *, name: str | None = None) -> None:
        for key, value in parcels(sealed(statement, None if by is None else key_of(by))):
            self.hall.store.set_model_version_tag(name or self.model, version, ModelVersionTag(key, value))

    def ask(self, number: str, by: str | None = None, comment: str = "", **other: str) -> None:
        now = self.now()
        self.hand_in(number, acts.request_statement(self.aim(number, **other), comment=comment, now=now), by)

    def withdraw(self, version: str, by: str | None = None) -> None:
        self.hand_in(version, acts.withdrawal_statement(self.aim(version), comment="", now=self.now()), by)

    def approve(self, number: str, by: str, verdict: str = "approve", **other: Any) -> None:
        """Approve what the outlook shows."""
        self.hand_in(number, self.approval(number, verdict, **other), by)

    def approval(
        self, number: str, verdict: str = "approve", *, lasts: timedelta = timedelta(days=1), **other: Any
    ) -> Statement:
        seen = self.outlook(number)["version"]
        request = {
            "model": self.model, "target": CHAMPION, "digest": seen["files"], "version": number, "workspace": "default",
            "policies": [each["digest"] for each in seen["policies"]], "evidence_digest": seen["evidence_digest"],
        }  # fmt: skip
        how = {"verdict": verdict, "comment": "listened", "now": self.now(), "witnessed": other.pop("witnessed", None)}
        return approval_statement(request | other, expires_at=self.now() + lasts, **how)

    def go_back(self, version: str, by: str | None = "olga", **other: str) -> None:
        statement = acts.rollback_statement(self.aim(version, **other), reason="hisses", now=self.now())
        self.hand_in(version, statement, by)

    def break_glass(self, version: str, by: str | None = "emma", hours: int = 24, **other: str) -> Statement:
        expires = self.now() + timedelta(hours=hours)
        statement = acts.break_glass_statement(
            self.aim(version, **other), reason="calls drop", ticket="OPS-1", now=self.now(), expires_at=expires
        )
        self.hand_in(version, statement, by)
        return statement

    def review(self, version: str, digest: str, by: str = "olga", verdict: str = "accept") -> None:
        statement = acts.review_statement(
            self.aim(version), break_glass=digest, verdict=verdict, comment="looked", now=self.now()
        )
        self.hand_in(version, statement, by)

    def outlook(self, version: str | None = None) -> dict[str, Any]:
        return outlook(self.hall.store.gate, "default", self.model, version, CHAMPION)

    def open(self, kind: str) -> list[Matter]:
        with self.hall.store.engine.connect() as connection:
            return open_matters(connection, kind=kind)  # type: ignore[arg-type]

    def last(self, kind: str) -> Entry:
        return self.hall.entries(kind)[-1]

    def now(self) -> datetime:
        return self.hall.store.gate.clock()

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Let the gate, and whoever signs, have this time."""
        gate = self.hall.store.gate
        self.hall.store.gate = replace(gate, clock=lambda: moment)
        try:
            yield
        finally:
            self.hall.store.gate = gate

    @contextmanager
    def as_user(self, name: str) -> Iterator[None]:
        """Have calls come from a user whom the server has authenticated."""
        from flask import Flask, g

        with Flask("mlflow").test_request_context("/"):
            g.mlflow_authenticated_user = name
            yield


@contextmanager
def refusal(said: str) -> Iterator[None]:
    """Expect that the gate refuses: 403, one sentence that begins so, in these words, and never a failure."""
    with pytest.raises(MlflowException, match=said) as caught:
        yield
    assert caught.value.error_code == "PERMISSION_DENIED", caught.value.message
    assert caught.value.message.startswith("Refused: ")
    assert "\n" not in caught.value.message


def later(**how: float) -> datetime:
    return datetime.now(UTC) + timedelta(**how)


__all__ = ["CHAMPION", "MODEL", "Hall", "People", "later", "refusal"]
