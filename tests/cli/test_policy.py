"""Policies on the command line: checked, explained, covered and tried out on decisions of the past."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence
import pytest
from click.testing import Result
from evidence import rule, with_rows
from exemptions import exemption_text
from filed import SUFFIX, Desk

from mlflow_rank.workflow.policies import read_policies

Call = Callable[..., Result]
Document = dict[str, Any]

ROOT = Path(__file__).parents[2]
OFFLINE = ("--policy", "policy.yaml", "--evidence", "evidence", "--model", "model", "--name", "encoder")
COLLAPSED = evidence.measurement(change=with_rows({"metric": "effective_rank"}, {"low": 1.0}))


@pytest.fixture
def policy(rank: Call) -> Call:
    return lambda *words: rank("policy", *words)


# check


def test_a_policy_that_can_be_used_is_named_with_its_digest(policy: Call, desk: Desk) -> None:
    desk.policy(evidence.rule("no_open_alarm"), kind="WatchPolicy", name="watch.yaml", metadata={"name": "watch"})
    files = read_policies([desk.place / "policy.yaml", desk.place / "watch.yaml"])

    result = policy("check", "policy.yaml", "watch.yaml")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"policy.yaml: ok, speech-encoder r1, enforce promotion policy of 2 rules, {files[0].policy.digest}",
        f"watch.yaml: ok, watch r1, watch policy of 1 rules, {files[1].policy.digest}",
    ]


def test_an_exemption_is_checked_and_explained(policy: Call, desk: Desk) -> None:
    desk.write("one.yaml", exemption_text("horn"))
    desk.write("two.yaml", exemption_text("bell", "siren", name="two"))

    checked, explained = policy("check", "one.yaml", "two.yaml"), policy("explain", "one.yaml")

    assert checked.exit_code == explained.exit_code == 0
    assert [line.rpartition(", ")[0] for line in checked.stdout.splitlines()] == [
        "one.yaml: ok, not-speech r1, exemption of 1 name without rules",
        "two.yaml: ok, two r1, exemption of 2 names without rules",
    ]
    assert "Models named horn need no approval" in explained.stdout


def test_every_mistake_is_said_at_its_place_and_it_ends_with_2(policy: Call, desk: Desk) -> None:
    desk.policy(
        rule("pilot_at_least", "pilot", bound="ci_upper"), rule("rank_at_least", "floor", metric="wideness"),
        name="broken/one.yaml",
    )  # fmt: skip
    desk.write("broken/two.yml", "apiVersion: mlflow-rank/v1\nkind: Other\n")

    result = policy("check", "broken")

    assert result.exit_code == 2
    assert result.stdout == ""
    places = [line for line in result.stderr.splitlines() if line.startswith("broken/")]
    assert [line.split(":")[0] for line in places] == ["broken/one.yaml", "broken/one.yaml", "broken/two.yml"]
    assert all(part.isdigit() for line in places for part in line.split(":")[1:3])
    assert "ci_upper" in places[0]
    assert "metric" in places[1]


def test_two_different_policies_cannot_have_one_name(policy: Call, desk: Desk) -> None:
    desk.policy(name="other.yaml", metadata={"revision": 2})

    result = policy("check", "policy.yaml", "other.yaml")

    assert result.exit_code == 2
    assert "two policies have the name speech-encoder" in result.stderr


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"\xff\xfe", "is no UTF-8 text"), (b"", ""), (b"a: [" * 20_000, ""), (b"x" * 10**7, "larger")],
)
def test_what_is_no_policy_at_all_ends_with_2(policy: Call, desk: Desk, content: bytes, what: str) -> None:
    desk.write("policy.yaml", content)

    result = policy("check", "policy.yaml")

    assert result.exit_code == 2
    assert "policy.yaml:1:" in result.stderr
    assert what in result.stderr


def test_a_directory_without_policies_ends_with_2(policy: Call) -> None:
    assert policy("check", "model").exit_code == 2
    assert policy("check", "none.yaml").exit_code == 2


# schema, explain


def test_the_schema_that_is_shipped_is_the_code_s_byte_for_byte(policy: Call) -> None:
    result = policy("schema")

    assert result.exit_code == 0
    assert result.stdout_bytes == (ROOT / "policies" / "policy.schema.json").read_bytes()


def test_a_policy_is_put_into_sentences(policy: Call, desk: Desk) -> None:
    result = policy("explain", "policy.yaml")

    assert result.exit_code == 0
    assert "It is asked when models named * go to any target." in result.stdout
    assert "- pilot: Balanced accuracy on the task keyword" in result.stdout
    assert policy("explain", "none.yaml").exit_code == 2


# replay


@pytest.fixture
def replay(policy: Call) -> Call:
    given = ("--policy", "changed.yaml", "--decisions", "decisions", "--evidence", "evidence")
    return lambda *words, given=given: policy("replay", *given, *words)


@pytest.fixture
def _past(rank: Call, desk: Desk) -> None:
    """Two decisions: one approved, and one refused as ranks had collapsed."""
    rank("decide", *OFFLINE, "--output", "decisions/good", "--key", "gate.key")
    desk.measurement(COLLAPSED, name="collapsed")
    rank("decide", *OFFLINE, "--output", "decisions/bad", "--key", "gate.key")


@pytest.mark.usefixtures("_past")
def test_under_the_same_policy_nothing_flips(replay: Call, desk: Desk) -> None:
    desk.write("changed.yaml", (desk.place / "policy.yaml").read_bytes())

    result = replay()

    assert result.exit_code == 0, result.output
    assert result.stdout.count("stays") == 2
    assert "0 of 2 decisions flip" in result.stderr


@pytest.mark.usefixtures("_past")
def test_a_changed_policy_shows_which_decisions_flip_and_why(replay: Call, desk: Desk) -> None:
    desk.policy(rule("pilot_at_least", "pilot", value=0.99), name="changed.yaml", metadata={"revision": 2})

    result = replay("--json", "-")

    rows: list[Document] = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [(each["was"], each["would_be"], each["flips"]) for each in rows if each["was"] == "approve"] == [
        ("approve", "deny", True)
    ]
    assert {each["because"] for each in rows} == {"denied: pilot fails"}
    assert {(each["model"], each["target"]) for each in rows} == {("encoder", "alias:champion")}
    assert "1 of 2 decisions flip" in result.stderr


@pytest.mark.usefixtures("_past")
def test_a_model_that_is_exempt_now_flips_as_nobody_would_be_asked(replay: Call, desk: Desk) -> None:
    desk.policy(name="changed/other.yaml", match={"models": ["another"]})
    desk.write("changed/exemption.yaml", exemption_text("encoder"))

    given = ("--policy", "changed", "--decisions", "decisions", "--evidence", "evidence")
    result = replay("--json", "-", given=given)

    rows: list[Document] = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {(each["would_be"], each["flips"]) for each in rows} == {("exempt", True)}
    assert {each["because"] for each in rows} == {"encoder is exempt by the exemption not-speech."}


@pytest.mark.usefixtures("_past")
def test_evidence_that_is_gone_is_said_and_ends_with_3(replay: Call, desk: Desk) -> None:
    desk.write("changed.yaml", (desk.place / "policy.yaml").read_bytes())
    (desk.evidence / f"pilot{SUFFIX}").unlink()

    result = replay("--json", "replayed.json")

    assert result.exit_code == 3
    assert "1 of its statements are not at hand" in result.stdout
    assert [len(each["missing"]) for each in json.loads(Path("replayed.json").read_text())] == [1, 1]


@pytest.mark.usefixtures("_past")
@pytest.mark.parametrize(
    ("given", "what"),
    [
        (["--policy", "policy.yaml"], "replay needs policies and decisions"),
        (["--decisions", "decisions"], "replay needs policies and decisions"),
        (["--policy", "policy.yaml", "--decisions", "evidence"], "there is no decision in these files"),
        (["--policy", "policy.yaml", "--decisions", "none.dsse.json"], "this evidence cannot be read"),
        (["--policy", "watch.yaml", "--decisions", "decisions"], "none of these policies decides"),
        (["--policy", "exemption.yaml", "--decisions", "decisions"], "only Exemption"),
        (["--policy", "policy.yaml", "--decisions", "decisions", "--json", "no/where"], "cannot be written there"),
    ],
)
def test_a_replay_must_make_sense(replay: Call, desk: Desk, given: list[str], what: str) -> None:
    desk.policy(rule("no_open_alarm"), kind="WatchPolicy", name="watch.yaml")
    desk.write("exemption.yaml", exemption_text("encoder"))

    result = replay(given=given)

    assert result.exit_code == 2
    assert what in result.stderr
    assert result.stdout == ""


def test_what_is_replayed_need_not_be_signed(replay: Call, rank: Call, desk: Desk) -> None:
    rank("decide", *OFFLINE, "--output", "decisions")
    desk.write("changed.yaml", (desk.place / "policy.yaml").read_bytes())

    assert replay().exit_code == 0


# coverage: with a store in tests/cli/test_promotion.py


def test_coverage_needs_a_policy_and_a_target_that_exists(policy: Call) -> None:
    assert policy("coverage").exit_code == 2

    result = policy("coverage", "--policy", "policy.yaml", "--to", "champion", "--tracking-uri", "sqlite:///none.db")

    assert result.exit_code == 2
    assert "there is no such target" in result.stderr
