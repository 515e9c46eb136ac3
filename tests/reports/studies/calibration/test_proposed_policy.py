"""The policy that a calibration proposes: it loads, says where each number comes from, and decides as was meant."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import evidence
import pytest
from evidence import NOW, measured, measurement, pilot, piloted
from pasts import KEYWORD, past

from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.policy import decide, load_policy
from mlflow_rank.reports.studies.calibration.proposed_policy import PolicyTerms, proposed_policy
from mlflow_rank.reports.studies.calibration.proposed_rules import envelope_margin, envelope_ratio
from mlflow_rank.studies.calibration.cases import cases_of
from mlflow_rank.studies.calibration.retraining_envelope import RankEnvelope, ScoreEnvelope, Spread, retraining_envelope
from mlflow_rank.studies.calibration.study import calibrate
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Outcome
from mlflow_rank.workflow.studies.calibrating import RANKS

TERMS = PolicyTerms("calibrated", ("speech-platform", 'ann "a" #1'), ("encoder*",))
GOOD = [f"run {number}" for number in range(20, 28)]


@cache
def text_of(
    scores: tuple[str, ...] = ("pilot_keyword",),
    bad: int = 20,
    layer: Any = "best",
    preset: str = "robust",
    bad_rank: float = 20.0,
) -> str:
    table, outcomes = past(bad=bad, bad_rank=bad_rank)
    table = replace(table, conventions=Conventions({**table.conventions.settings, "rank.preset": preset}))
    cases = cases_of(table, outcomes, ranks=RANKS, scores=scores, layer=layer)
    repeats = [run for run in GOOD if run in table.runs]
    envelope = retraining_envelope(table, repeats, ranks=RANKS, scores=scores) if repeats else None
    return proposed_policy(calibrate(cases, 0.05, envelope=envelope), table, TERMS)


def policy_of(**how: Any) -> Any:
    return load_policy(text_of(**how), named="calibrated.yaml")


def rules_of(**how: Any) -> dict[str, Any]:
    return {rule.id: rule for rule in policy_of(**how).rules}


def test_it_loads_with_floors_envelopes_and_a_margin() -> None:
    rules = rules_of()
    assert set(rules) == {
        "measured-in-float32",
        "no-collapsed-layer",
        "rank-frame-wide-enough",
        "rank-utterance-wide-enough",
        "rank-frame-like-the-champions",
        "rank-utterance-like-the-champions",
        "keyword-good-enough",
        "keyword-not-worse",
        "keyword-beats-random-weights",
    }
    policy = policy_of()
    assert (policy.mode, policy.proving) == ("warn", ("keyword-good-enough",))
    assert policy.metadata.owners == TERMS.owners
    assert policy.matches("encoder-7", "alias:champion")
    assert not policy.matches("decoder", "alias:champion")


def test_speakers_that_nobody_was_trained_on_are_read_under_the_head_that_tells_them_apart() -> None:
    table, outcomes = past()
    apart = Outcome("pilot_phone", "speaker", "out_of_domain", "eer_cosine", lower_is_better=True)
    settings = {**table.conventions.settings, "pilot.phone.head": "ridge", "pilot.phone.shots": 20}
    table = replace(
        table,
        outcomes=tuple(apart if each.name == "pilot_phone" else each for each in table.outcomes),
        conventions=Conventions(settings),
    )
    found = calibrate(cases_of(table, outcomes, ranks=RANKS, scores=("pilot_phone",)), 0.05)
    policy: Any = load_policy(proposed_policy(found, table, TERMS), named="calibrated.yaml")
    rule = next(each for each in policy.rules if each.kind == "pilot_at_most")
    assert (rule.metric, rule.head, rule.shots, rule.domain) == ("eer_cosine", "cosine", "all", "out_of_domain")
    assert 0.4 < rule.value < 0.5


@pytest.mark.parametrize(("bad_rank", "severity"), [(20.0, "block"), (40.0, "warn"), (80.0, None)])
def test_a_rank_is_held_against_the_champions_as_far_as_it_tells_good_from_bad(
    bad_rank: float, severity: str | None
) -> None:
    rules = rules_of(bad_rank=bad_rank)
    asked = rules.get("rank-frame-like-the-champions")
    assert (asked.severity if asked else None) == severity
    assert ("rank-frame-wide-enough" in rules) == (severity == "block")


def test_every_rule_says_above_it_where_it_comes_from() -> None:
    lines = text_of().splitlines()
    for at, line in enumerate(lines):
        if line.startswith("  - id:"):
            assert lines[at - 1].startswith("  #"), line
    assert all(len(line) <= 120 for line in lines)
    said = " ".join(line.strip(" #") for line in lines)
    assert "guaranteed: the chance that a new bad training like these passes is at most 5 %" in said
    assert "40 bad versions of 20 trainings" in said
    assert "Held out by training: bad promoted" in said


def test_what_is_not_guaranteed_says_so() -> None:
    said = " ".join(line.strip(" #") for line in text_of(bad=5).splitlines())
    assert "NOT guaranteed at 5 %: so few promise 17 %" in said
    assert ": guaranteed" not in said.replace("NOT guaranteed", "")


def test_the_same_calibration_gives_the_same_bytes() -> None:
    first = text_of()
    text_of.cache_clear()
    assert text_of() == first


def test_error_rates_are_asked_from_above() -> None:
    rule = rules_of(scores=("pilot_phone",))["phone-good-enough"]
    assert (rule.kind, rule.metric, rule.head, rule.bound) == ("pilot_at_most", "per", "ctc", "point")
    assert 0.2 < rule.value < 0.5


def test_a_layer_that_was_named_is_asked_for() -> None:
    assert rules_of(layer=1)["keyword-good-enough"].layers == (1,)


def test_out_of_domain_scores_are_asked_out_of_domain() -> None:
    rule = rules_of(scores=("pilot_keyword_ood",))["keyword-ood-good-enough"]
    assert (rule.domain, rule.head) == ("out_of_domain", "ridge")


def test_no_collapse_floor_is_asked_of_what_the_preset_does_not_measure() -> None:
    assert "no-collapsed-layer" not in rules_of(preset="rankme_t")


def version(*, score: float, rank: float) -> Any:
    """A first promotion of a version of three layers with this keyword score and rank in each of them."""

    def ranked(row: dict[str, Any]) -> dict[str, Any]:
        if row["metric"] != "effective_rank":
            return row
        number = rank / 2 if row["level"] == "utterance" else rank
        return row | {"value": number, "corrected": number, "low": 0.9 * number, "high": 1.1 * number}

    def scored(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"score": score, "low": score - 0.05, "high": score + 0.05}

    statements = measured(measurement(change=ranked)), piloted(pilot(scored, tasks=("keyword",), heads=("ridge",)))
    return evidence.first(*statements)


@pytest.mark.parametrize(
    ("score", "rank", "failed"),
    [
        (0.8, 40.0, set()),
        (0.5, 40.0, {"keyword-good-enough"}),
        (0.8, 20.0, {"rank-frame-wide-enough", "rank-utterance-wide-enough"}),
    ],
)
def test_versions_like_the_past_ones_are_decided_as_those_were(score: float, rank: float, failed: set[str]) -> None:
    decision = decide([policy_of()], version(score=score, rank=rank), NOW)
    (ruling,) = decision.rulings
    assert {each.rule for each in ruling.findings if each.severity == "block" and each.result != "pass"} == failed


def test_a_task_of_any_label_is_asked_by_its_name() -> None:
    table, outcomes = past(bad=4, good=4)
    kind = replace(KEYWORD, name="pilot_label_Alarm_kind", task="label:Alarm_kind")
    rows = [replace(each, scores={kind.name: each.scores["pilot_keyword"]}) for each in table.observations]
    spoken = replace(table, observations=tuple(rows), outcomes=(kind,))
    found = calibrate(cases_of(spoken, outcomes, ranks=(), scores=(kind.name,)), 0.05)
    policy: Any = load_policy(proposed_policy(found, spoken, TERMS), named="calibrated.yaml")
    (rule,) = (rule for rule in policy.rules if rule.kind == "pilot_at_least")
    assert (rule.id, rule.task) == ("label-alarm-kind-good-enough", "label:Alarm_kind")


def test_ranks_alone_make_no_policy_that_loads() -> None:
    table, outcomes = past(bad_score=0.8)
    found = calibrate(cases_of(table, outcomes, ranks=RANKS, scores=("pilot_keyword",)), 0.05)
    assert found.proposed == ()
    with pytest.raises(DocumentError, match="could approve without a pilot"):
        load_policy(proposed_policy(found, table, TERMS), named="calibrated.yaml")


def test_envelopes_too_wide_for_a_rule_give_none() -> None:
    wide, narrow = Spread(0.2, 3, 5), Spread(0.01, 3, 5)
    assert envelope_ratio(RankEnvelope("rank_frame", {0: wide, 1: narrow})) is None
    assert envelope_margin(ScoreEnvelope("pilot_keyword", wide)) is None
    ratio = envelope_ratio(RankEnvelope("rank_frame", {0: narrow, 1: narrow}))
    margin = envelope_margin(ScoreEnvelope("pilot_keyword", narrow))
    assert ratio is not None
    assert margin is not None
    assert 0.9 < ratio <= RankEnvelope("rank_frame", {0: narrow, 1: narrow}).least_ratio
    assert ScoreEnvelope("pilot_keyword", narrow).margin <= margin < 0.05
