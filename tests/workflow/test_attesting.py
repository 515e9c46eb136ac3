"""What a monitor states about a checkpoint, through the policy engine that reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from evidence import PILOT_RULE, policy, rule
from filed import SUFFIX, Desk, hour_ago, key_of, opened, trust
from mlflow import MlflowClient
from tables_at_once import empty_registry
from verdicts import alarm

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.statement import Subject
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.policy import decide
from mlflow_rank.workflow.attesting import ALARMS_FILE, attest, subject_of
from mlflow_rank.workflow.deciding import PromotionQuestion, case_of

OPEN = alarm(since=1200, layers=(3, 4))
CLOSED = replace(OPEN, closed_step=1500)
Decide = Callable[..., tuple[str, str]]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.laid(tmp_path)


@pytest.fixture
def decided(desk: Desk) -> Decide:
    """The verdict of a policy that asks for a pilot and for no open alarm, and what it found of the alarms."""

    def ask(*statements: bytes) -> tuple[str, str]:
        for at, each in enumerate(statements):
            desk.write(f"evidence/alarms-{at}{SUFFIX}", each)
        case = case_of(PromotionQuestion(evidence=(desk.evidence,), files=desk.model, first_promotion=True), trust())
        asked = policy(PILOT_RULE, rule("no_open_alarm", "calm"))
        found = decide([asked], case, datetime.now(UTC))
        calm = next(each for ruling in found.rulings for each in ruling.findings if each.rule == "calm")
        return found.verdict, calm.result

    return ask


def said(desk: Desk, *alarms: Alarm, by: str | None = "lab", monitor: str = "run-7", ago: int = 0) -> bytes:
    key = None if by is None else key_of(by)
    now = hour_ago() - timedelta(minutes=ago)
    return attest(desk.model, monitor=monitor, alarms=alarms, key=key, now=now)


def test_an_open_alarm_fails_the_rule(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk, OPEN)) == ("deny", "fail")


def test_a_closed_alarm_passes_it(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk, CLOSED)) == ("approve", "pass")


def test_a_monitor_that_raised_none_passes_it(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk)) == ("approve", "pass")


def test_without_a_statement_it_is_unknown_and_nothing_is_approved(decided: Decide) -> None:
    assert decided() == ("deny", "unknown")


def test_a_statement_that_nobody_signed_proves_nothing(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk, by=None)) == ("deny", "unknown")


def test_a_later_statement_of_the_same_monitor_closes_the_alarm(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk, OPEN, ago=10), said(desk, CLOSED)) == ("approve", "pass")


def test_no_other_monitor_closes_it(desk: Desk, decided: Decide) -> None:
    assert decided(said(desk, OPEN, ago=10), said(desk, monitor="run-8")) == ("deny", "fail")


def test_a_statement_about_other_files_is_none_about_these(desk: Desk, decided: Decide, tmp_path: Path) -> None:
    other = tmp_path / "checkpoint-500"
    other.mkdir()
    (other / "model.safetensors").write_text("weights of an hour ago")
    now = hour_ago()
    assert decided(attest(other, monitor="run-7", alarms=[], key=key_of("lab"), now=now)) == ("deny", "unknown")


def test_it_says_everything_that_the_alarm_says(desk: Desk) -> None:
    _, statement = opened(said(desk, OPEN))
    (told,) = statement["predicate"]["alarms"]
    assert told == json.loads(json.dumps(OPEN.document()))
    assert (told["state"], told["alarm"], told["since_step"]) == ("open", "dimensional_collapse", 1200)
    assert statement["subject"] == [{"name": str(desk.model), "digest": {"sha256": desk.digest[7:]}}]


def test_one_statement_is_about_all_forms_of_the_same_weights(desk: Desk) -> None:
    exported = Subject("models:/encoder/3", f"sha256:{64 * 'e'}")
    about = (desk.model, exported, Subject("the same again", desk.digest))
    _, statement = opened(attest(*about, monitor="run-7", alarms=[], key=None, now=hour_ago()))
    assert [each["name"] for each in statement["subject"]] == [str(desk.model), "models:/encoder/3"]


def test_a_registered_version_is_named_by_its_number_and_hashed_as_it_lies(desk: Desk, tmp_path: Path) -> None:
    store = f"sqlite:///{shutil.copy(empty_registry(), tmp_path / 'mlflow.db')}"
    client = MlflowClient(store, store)
    desk.write("model/encoder.json", "{}")
    client.create_registered_model("encoder")
    version = client.create_model_version("encoder", desk.model.as_uri()).version
    client.set_registered_model_alias("encoder", "candidate", version)
    expected = Subject(f"models:/encoder/{version}", desk.digest)
    assert subject_of(f"models:/encoder/{version}", tracking_uri=store) == expected
    assert subject_of("models:/encoder@candidate", tracking_uri=store) == expected


def test_the_file_has_the_name_by_which_evidence_in_a_run_is_found() -> None:
    assert ALARMS_FILE == "alarms.dsse.json"


def test_nothing_is_stated_about_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        subject_of(tmp_path / "checkpoint-500")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvidenceError, match="holds no file"):
        subject_of(tmp_path / "empty")
    with pytest.raises(UsageError, match="nothing says which files"):
        attest(monitor="run-7", alarms=[], key=None, now=hour_ago())
