"""Waivers: a rule put aside by somebody who may, for these bytes, for a while; and what it hides stays to be seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import evidence
import pytest
from evidence import (
    ANN,
    DAY,
    HOUR,
    NOW,
    OWNER,
    PILOT_RULE,
    SECOND,
    case,
    digest,
    measured,
    measurement,
    policy,
    rule,
    signer,
)

from mlflow_rank.policy import decide
from mlflow_rank.policy.decide import rule_on

FLOOR = rule("rank_at_least", "floor", value=8.5)  # which layers of 8.1 miss
RULES = (PILOT_RULE, FLOOR, rule("no_open_alarm", "alarms"))
ASKED = policy(*RULES, waivers={"rules": ["floor"]})
CASE = case()


def finding(*waivers, rule="floor", about=CASE, asked=ASKED, now=NOW):
    ruling = rule_on(asked, replace(about, waivers=tuple(waivers)), now)
    return next(each for each in ruling.findings if each.rule == rule)


def test_without_a_waiver_the_rule_fails():
    assert finding().result == "fail"
    assert decide([ASKED], CASE, NOW).verdict == "deny"


def test_a_waiver_lets_the_rest_decide_and_what_it_hides_stays_visible():
    given = evidence.waiver(ASKED, "floor")
    seen = finding(given)

    assert (seen.result, seen.underlying, seen.waiver) == ("waived", "fail", given.digest)
    assert seen.margin == pytest.approx(-0.4)
    assert seen.observed.value == 8.1
    assert seen.counts_as_pass
    assert seen.ran
    decision = decide([ASKED], replace(CASE, waivers=(given,)), NOW)
    assert decision.verdict == "approve"
    assert decision.sentence.endswith("; 1 rule is waived")
    shown = next(each for each in decision.document()["policies"][0]["findings"] if each["rule"] == "floor")
    assert (shown["result"], shown["underlying"]) == ("waived", "fail")
    assert shown["sentence"].startswith(
        "waived by olga until 2026-11-26T12:00:00Z (SSL-12: a known fault); else fail: "
    )


def test_its_time_is_shown_in_utc_wherever_it_was_written():
    elsewhere = (NOW + DAY).astimezone(timezone(timedelta(hours=9)))

    assert " until 2026-11-26T12:00:00Z " in finding(evidence.waiver(ASKED, "floor", expires_at=elsewhere)).sentence


def test_an_unknown_is_waived_too_and_keeps_its_cause():
    about = case(evidence.piloted(), evidence.alarms())
    seen = finding(evidence.waiver(ASKED, "floor"), about=about)

    assert (seen.result, seen.underlying, seen.cause, seen.ran) == ("waived", "unknown", "missing_evidence", False)


def test_a_rule_that_passes_is_not_waived():
    good = policy(PILOT_RULE, rule("rank_at_least", "floor"), waivers={"rules": ["floor"]})

    assert finding(evidence.waiver(good, "floor"), asked=good).result == "pass"


NOT_IN_FORCE = {
    "for another rule": evidence.waiver(ASKED, "alarms"),
    "of another revision": evidence.waiver(policy(*RULES, metadata={"revision": 2}), "floor"),
    "of other bytes": evidence.waiver(ASKED, "floor", subjects=(digest("another version"),)),
    "by a reviewer": evidence.waiver(ASKED, "floor", ANN),
    "by nobody": evidence.presented(
        "urn:mlflow-rank:waiver:v1", evidence.waiver(ASKED, "floor").statement.predicate, signers=()
    ),
    "with a key that has ended": evidence.waiver(ASKED, "floor", signer("olga", "owner", ended=NOW)),
    "longer than the policy allows": evidence.waiver(ASKED, "floor", expires_at=NOW - HOUR + 30 * DAY + SECOND),
    "expired to the second": evidence.waiver(ASKED, "floor", expires_at=NOW),
    "yet to come": evidence.waiver(ASKED, "floor", made_at=NOW + 301 * SECOND),
    "not a waiver": measured(),
    "unreadable": evidence.unreadable(),
}


@pytest.mark.parametrize("given", NOT_IN_FORCE.values(), ids=NOT_IN_FORCE)
def test_a_waiver_is_not_in_force(given):
    assert finding(given).result == "fail"
    assert finding(given, evidence.waiver(ASKED, "floor")).result == "waived"  # nor does it hide one that is


@pytest.mark.parametrize(
    "given",
    [
        evidence.waiver(ASKED, "floor", expires_at=NOW + SECOND),
        evidence.waiver(ASKED, "floor", expires_at=NOW - HOUR + 30 * DAY),
        evidence.waiver(ASKED, "floor", made_at=NOW + 300 * SECOND),
        evidence.waiver(ASKED, "floor", OWNER, ANN),
        evidence.waiver(ASKED, "floor", OWNER, signer("ole", "owner", ended=NOW)),
        evidence.waiver(ASKED, "floor", signer("olga", "owner", ended=NOW + SECOND)),
    ],
)
def test_a_waiver_is_just_in_force(given):
    seen = finding(given)

    assert seen.result == "waived"
    assert seen.sentence.startswith("waived by olga until")  # and not by those without the role


def test_only_rules_that_the_policy_lets_be_waived_are():
    about = case(measured(), evidence.piloted(), evidence.alarms("open"))

    assert finding(evidence.waiver(ASKED, "alarms"), rule="alarms", about=about).result == "fail"
    nothing = policy(*RULES)
    assert finding(evidence.waiver(nothing, "floor"), asked=nothing).result == "fail"


@pytest.mark.parametrize("about", [case(measured(), evidence.alarms()), case(measured(measurement(dtype="float16")))])
def test_a_pilot_rule_is_never_waived(about):
    asked = policy(*RULES, waivers={"rules": ["floor", "alarms"]})

    seen = finding(evidence.waiver(asked, "pilot"), rule="pilot", about=about, asked=asked)

    assert seen.result == "unknown"


def test_it_says_that_the_key_ended():
    given = evidence.waiver(ASKED, "floor", signer("olga", "owner", ended=NOW))

    assert dict(rule_on(ASKED, replace(CASE, waivers=(given,)), NOW).idle_waivers) == {
        given.digest: "the key of olga was revoked or ran out at 2026-11-25T12:00:00Z"
    }
