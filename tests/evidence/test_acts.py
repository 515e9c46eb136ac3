"""Acts as statements: what they say is read back, and what is no act is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence import acts
from mlflow_rank.evidence.acts import Act, Aim
from mlflow_rank.evidence.contents import contents_of
from mlflow_rank.evidence.statement import Statement, read_statement

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
FILES = "sha256:" + "1" * 64
AIM = Aim("default", "encoder", "7", FILES, "alias:champion")
STATEMENTS = {
    "PromotionRequest": acts.request_statement(AIM, comment="", now=NOW),
    "Withdrawal": acts.withdrawal_statement(AIM, comment="no", now=NOW),
    "Rollback": acts.rollback_statement(AIM, reason="hisses", now=NOW),
    "BreakGlass": acts.break_glass_statement(
        AIM, reason="calls drop", ticket="OPS-1", now=NOW, expires_at=NOW + timedelta(hours=24)
    ),
    "Review": acts.review_statement(AIM, break_glass=FILES, verdict="accept", comment="looked", now=NOW),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_an_act_says_is_read_back(name: str) -> None:
    statement = read_statement(STATEMENTS[name].to_bytes(), named="it")

    said = contents_of(statement, named="it")

    assert isinstance(said, Act)
    assert type(said).__name__ == name
    assert (said.workspace, said.model, said.version, said.target) == ("default", "encoder", "7", "alias:champion")
    assert said.made_at == NOW
    assert [(each.name, each.digest) for each in statement.subjects] == [("models:/encoder/7", FILES)]


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("field", ["workspace", "model", "version", "target"])
def test_an_act_that_does_not_say_what_it_is_about_is_none(name: str, field: str) -> None:
    statement = STATEMENTS[name]
    less = {key: value for key, value in statement.predicate.items() if key != field}

    with pytest.raises(EvidenceError, match=field):
        contents_of(Statement(statement.subjects, statement.predicate_type, less), named="it")


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("Rollback", "reason", ""),
        ("BreakGlass", "ticket", ""),
        ("BreakGlass", "expires_at", "tomorrow"),
        ("Review", "verdict", "perhaps"),
        ("Review", "comment", ""),
        ("Review", "break_glass", "bg-1"),
        ("PromotionRequest", "version", "latest"),
        ("PromotionRequest", "version", 7),
        ("PromotionRequest", "comment", "x" * 2001),
    ],
)
def test_what_it_must_say_cannot_be_anything(name: str, field: str, value: object) -> None:
    statement = STATEMENTS[name]
    other = {**statement.predicate, field: value}

    with pytest.raises(EvidenceError, match=field):
        contents_of(Statement(statement.subjects, statement.predicate_type, other), named="it")
