"""The words of a policy are those of the code that measures: neither side gains one that the other does not know."""

from __future__ import annotations

from typing import get_args

import evidence
import pytest

from mlflow_rank.evidence import trust
from mlflow_rank.evidence.piloted import PilotRow
from mlflow_rank.policy import vocabulary
from mlflow_rank.policy.admission import _NEAREST
from mlflow_rank.policy.checking import CHECKS
from mlflow_rank.policy.outcomes import REMEDIES, Cause
from mlflow_rank.policy.rules import PROMOTION_RULES, WATCH_RULES, PilotAtLeast
from mlflow_rank.probes import scores
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.tasks import parse_task
from mlflow_rank.spectra import METRICS, PRESETS

KINDS = {kind: of for of in get_args(PROMOTION_RULES) for kind in get_args(of.model_fields["kind"].annotation)}


def test_rank_metrics_are_those_that_are_measured():
    assert set(get_args(vocabulary.RankMetric)) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_what_makes_sense_for_a_rank_metric_is_what_is_measured_of_it(name):
    metric = METRICS[name]

    assert set(vocabulary.CENTRINGS[name]) == set(metric.centrings)
    assert set(vocabulary.LEVELS_OF.get(name, get_args(vocabulary.Level))) == set(metric.levels)
    assert (name in vocabulary.RANKS) == (metric.kind == "rank")
    if metric.kind != "rank":
        assert vocabulary.HIGHEST.get(name, float("inf")) == metric.highest
    else:
        assert metric.highest is None
        assert metric.lowest == 1.0  # so that no ceiling below 1 can be reached


def test_nothing_is_said_of_a_rank_metric_that_there_is_not():
    for named in (vocabulary.CENTRINGS, vocabulary.LEVELS_OF, vocabulary.RANKS, vocabulary.HIGHEST):
        assert set(named) <= set(METRICS)


def test_pilot_metrics_are_those_that_are_scored():
    assert set(get_args(vocabulary.PilotMetric)) == set(scores.METRICS)
    lower = {name for name, metric in scores.METRICS.items() if metric.direction == "lower"}
    assert lower == vocabulary.ERROR_RATES


@pytest.mark.parametrize("task", ["phone", "keyword", "speaker", "label:kind"])
@pytest.mark.parametrize("metric", scores.METRICS)
def test_a_rule_takes_the_metrics_of_its_task_and_no_others(task, metric):
    fields = {"head": "cosine"} if metric == "eer_cosine" else {}
    error = metric in vocabulary.ERROR_RATES
    of = evidence.rule("pilot_at_most" if error else "pilot_at_least", task=task, metric=metric, **fields)
    of["bound"], of["value"] = "point", 0.4

    def made():
        return KINDS[of["kind"]].model_validate(of)

    if metric in parse_task(task).metrics:
        assert made().metric == metric
    else:
        with pytest.raises(ValueError, match=f"{task} is scored by"):
            made()


def test_heads_are_those_of_the_pilot_with_the_two_that_are_trained_apart():
    assert set(get_args(vocabulary.Head)) == {*HEADS, "ctc", "cosine"}
    assert next(iter(HEADS)) == PilotAtLeast.model_fields["head"].default


def test_presets_are_those_of_the_measurement():
    assert set(get_args(vocabulary.Preset)) == set(PRESETS)


def test_roles_are_those_of_the_trust_file():
    assert set(get_args(vocabulary.Role)) == set(get_args(trust.Role))


def test_domains_are_those_of_pilot_rows_without_the_drop_between_them():
    written = set(get_args(PilotRow.model_fields["domain"].annotation))
    assert {*get_args(vocabulary.Domain), "drop"} == written


def test_every_kind_of_rule_has_one_check_and_every_check_a_kind():
    assert set(CHECKS) == set(KINDS)
    assert len(get_args(PROMOTION_RULES)) == len(KINDS)


def test_a_watch_policy_has_every_kind_but_those_of_pilots():
    watched = {kind for of in get_args(WATCH_RULES) for kind in get_args(of.model_fields["kind"].annotation)}

    about_pilots = {kind for kind, of in KINDS.items() if "task" in of.model_fields and "of" not in of.model_fields}
    about_pilots -= {kind for kind in KINDS if kind.startswith(("rank_", "centring_"))}
    assert watched == set(KINDS) - about_pilots == set(evidence.WATCHED)


def test_rules_that_prove_are_about_measured_pilots():
    proving = {kind for kind, of in KINDS.items() if of.proves}

    assert proving == {
        "pilot_at_least", "pilot_at_most", "pilot_not_worse", "pilot_above_control", "pilot_above_log_mel",
        "worst_group_at_least",
    }  # fmt: skip


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_says_what_to_do_about_it(cause):
    assert cause.remedy
    assert not cause.remedy.endswith(".")
    assert cause.value == cause.name.lower()


def test_no_remedy_is_for_a_cause_that_there_is_not():
    assert set(REMEDIES) == set(Cause)


def test_every_problem_of_a_signature_is_a_cause_that_a_reason_can_be_chosen_from():
    assert set(get_args(trust.Cause)) <= {cause.value for cause in Cause}
    assert {Cause(problem) for problem in get_args(trust.Cause)} <= set(_NEAREST)
