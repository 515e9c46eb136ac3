"""A watch policy: clear or warn of ranks and alarms, and no way to approve."""

from __future__ import annotations

import dataclasses
import json

import evidence
import pytest
from evidence import NOW, alarms, case, measured, measurement, policy, rule

from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.policy import Approve, Decision, Watched, WatchPolicy, watch

RULES = (rule("rank_at_least", "floor"), rule("no_open_alarm", "alarms"))


def watched(*statements, rules=RULES) -> Watched:
    return watch(policy(*rules, kind="WatchPolicy"), case(*statements), NOW)


def test_it_is_clear_where_every_rule_passes():
    seen = watched()

    assert (seen.outcome, seen.undecided) == ("clear", False)
    assert seen.document()["rules_ran"] == {"ran": 2, "of": 2}


def test_it_warns_where_one_fails():
    assert (watched(measured(), alarms("open")).outcome, watched(measured(), alarms("open")).undecided) == (
        "warn",
        False,
    )


def test_it_warns_where_one_is_unknown_and_is_undecided_where_none_fails():
    assert (watched(measured()).outcome, watched(measured()).undecided) == ("warn", True)
    collapsed = measured(measurement(change=evidence.with_rows({"metric": "effective_rank"}, {"low": 1.0})))
    assert (watched(collapsed).outcome, watched(collapsed).undecided) == ("warn", False)


def test_its_rules_have_no_severity():
    with pytest.raises(DocumentError, match=r"rules\[1\].severity: has no meaning in a WatchPolicy"):
        policy(RULES[0], RULES[1] | {"severity": "warn"}, kind="WatchPolicy")


def test_unsigned_evidence_is_looked_at():
    assert watched(measured(signers=()), alarms(signers=())).outcome == "clear"
    wrong = measured(signers=(), problems=(("bad_signature", "it does not hold"),))
    assert watched(wrong, alarms()).outcome == "warn"


def test_it_reads_no_pilots():
    rules = tuple(rule(kind) for kind in evidence.WATCHED)
    without = watched(measured(), alarms(), rules=rules)

    assert without.findings == watched(*evidence.evidence(), rules=rules).findings
    assert {finding.proves for finding in without.findings} == {False}


@pytest.mark.parametrize("of", [Watched, WatchPolicy])
def test_there_is_no_way_to_approve(of):
    names = {name.lower() for name in dir(of)} | set(getattr(of, "model_fields", {}))

    assert not [name for name in names if "approv" in name or "verdict" in name or "promot" in name or name == "mode"]
    assert not issubclass(of, Approve)
    assert not isinstance(watched(), Decision)
    assert {field.name for field in dataclasses.fields(Watched)} == {"policy", "case", "findings", "at"}


def test_its_record_names_what_was_watched_in_the_same_bytes_each_time():
    seen = watched()
    document = json.loads(seen.to_bytes())

    assert seen.to_bytes() == watched(*reversed(evidence.evidence()), rules=RULES[::-1]).to_bytes()
    assert (document["kind"], document["outcome"], document["watched_at"]) == ("Watch", "clear", "2026-11-25T12:00:00Z")
    assert [each["rule"] for each in document["findings"]] == ["alarms", "floor"]
    assert "approv" not in seen.to_bytes().decode()
