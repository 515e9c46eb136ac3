"""Every kind of rule: when it passes, when it fails, and every way in which it has no answer; none is forgotten."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import evidence
import pytest
from evidence import CHAMPION, DAY, MODEL, NOW, measured, measurement, pilot, piloted, rule, with_rows

from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy import Cause, UnknownChampion, admission, checking, decide
from mlflow_rank.policy.case import Champion, NoChampion
from mlflow_rank.policy.decide import rule_on

KINDS = tuple(evidence.RULES)
TASKS = ("keyword", "speaker")


def both_tasks(**how: Any) -> Presented:
    return piloted(pilot(tasks=TASKS, heads=("ridge",)), **how)


@cache
def _good() -> Mapping[str, Presented]:
    return {"measurement": measured(), "pilot": both_tasks(), "alarms": evidence.alarms("closed")}


def good() -> dict[str, Presented]:
    """Evidence of both tasks on which a rule of every kind passes."""
    return dict(_good())


READS: Mapping[str, str | None] = {
    kind: "pilot" if kind.startswith(("pilot", "domain", "worst")) else "alarms" if "alarm" in kind else "measurement"
    for kind in KINDS
} | {"model_digest_equals": None}
"""The evidence that each kind reads first."""


def found(asked: evidence.Document, case: Any, **parts: Any) -> Any:
    """The finding of one rule."""
    policy = evidence.policy(asked, rule("pilot_at_least", "another"), **parts)
    return next(each for each in rule_on(policy, case, NOW).findings if each.rule == asked["id"])


def case_of(statements: Mapping[str, Presented], **how: Any) -> Any:
    return evidence.case(*statements.values(), **how)


# when it passes


@pytest.mark.parametrize("kind", KINDS)
def test_it_passes_on_good_evidence(kind):
    finding = found(rule(kind), case_of(good()))

    assert (finding.result, finding.cause) == ("pass", None)
    assert finding.ran
    assert finding.observed is not None
    assert finding.counts_as_pass
    reads = READS[kind]
    assert finding.evidence == ((good()[reads].digest,) if reads else ()) or kind == "rank_within_envelope"


# when it fails

FAILING: Mapping[str, list[dict[str, Any]]] = {
    "rank_at_least": [
        {"value": 8.2},  # the lower bound is 8.1
        {"bound": "point", "value": 9.1},
        {"bound": "corrected", "value": 9.1},
        {"unit": "share_of_dim", "value": 0.51},  # 8.1 of 16
        {"layers": "pilot_best", "task": "keyword", "value": 8.2},
        {"layers": "last", "value": 8.2},
        {"layers": [2, 0], "value": 8.2},
    ],
    "rank_at_most": [
        {"value": 0.43},  # the upper bound is 0.44
        {"metric": "effective_rank", "centred": True, "unit": "share_of_dim", "bound": "point", "value": 0.5},
    ],
    "rank_within_envelope": [
        {"at_least": 0.9},  # equal ranks, each ± 10 %: exp(-0.1 √2) = 0.868
        {"bound": "ci_upper", "at_least": None, "at_most": 1.1},
    ],
    "centring_disagreement": [{"at_most": 1.4}],  # 6 / 4
    "no_open_alarm": [],
    "pilot_at_least": [{"value": 0.85}, {"layers": "all", "value": 0.81}, {"layers": [0], "value": 0.81}],
    "pilot_at_most": [{"value": 0.15}, {"layers": "last", "value": 0.15}],
    "pilot_not_worse": [{"margin": 0.02}, {"margin": 0.0}],
    "pilot_above_control": [{"by": 0.8}],
    "pilot_above_log_mel": [{"by": 0.4}],
    "domain_drop_at_most": [{"value": 0.1}],
    "worst_group_at_least": [{"value": 0.75}],
    "pilot_size_at_least": [{"items": 481}, {"groups": 13}],
    "measurement_size_at_least": [
        {"utterances": 91},
        {"speakers": 9},
        {"minutes": 3.6},
        {"rows_per_dim": 60.5},
    ],
    "evidence_age_at_most": [{"age": "23h"}],
    "corpus_allowed": [
        {"digests": [evidence.digest("another corpus")]},
        {"of": "pilot", "task": "keyword", "domain": "in_domain", "digests": [evidence.digest("another corpus")]},
    ],
    "dtype_float32": [],
    "model_digest_equals": [{"digest": CHAMPION}],
}
FAILING_EVIDENCE = {
    "no_open_alarm": {"alarms": evidence.alarms("closed", "open")},
    "dtype_float32": {"measurement": measured(measurement(dtype="bfloat16"))},
}


@pytest.mark.parametrize(("kind", "changed"), [(kind, each) for kind in KINDS for each in FAILING[kind] or [{}]])
def test_it_fails(kind, changed):
    finding = found(rule(kind, **changed), case_of(good() | FAILING_EVIDENCE.get(kind, {})))

    assert (finding.result, finding.cause) == ("fail", None)
    assert finding.ran
    assert not finding.counts_as_pass
    if isinstance(finding.bound, float):
        assert finding.margin < 0
    passing = found(rule(kind), case_of(good()))
    assert passing.result == "pass"


def test_there_is_a_failure_for_every_kind():
    assert set(FAILING) == set(KINDS)
    assert all(FAILING[kind] or kind in FAILING_EVIDENCE for kind in KINDS)


@pytest.mark.parametrize(
    ("kind", "at", "beyond"),
    [
        ("rank_at_least", {"value": 8.1}, {"value": 8.100001}),
        ("rank_at_most", {"bound": "point", "value": 0.4}, {"bound": "point", "value": 0.399999}),
        ("centring_disagreement", {"at_most": 1.5}, {"at_most": 1.499999}),
        ("pilot_size_at_least", {"items": 480}, {"items": 481}),
        ("measurement_size_at_least", {"rows_per_dim": 60.0}, {"rows_per_dim": 60.01}),
        ("evidence_age_at_most", {"age": "24h"}, {"age": "23h"}),
    ],
)
def test_a_bound_that_is_just_met_passes(kind, at, beyond):
    assert found(rule(kind, **at), case_of(good())).result == "pass"
    assert found(rule(kind, **beyond), case_of(good())).result == "fail"


OF_ERRORS = {"task": "speaker", "metric": "eer_probe", "bound": "ci_upper"}  # 0.14 ± 0.05; 0.68 below random weights


@pytest.mark.parametrize(
    ("kind", "passing", "failing"),
    [
        ("pilot_not_worse", {"margin": 0.06}, {"margin": 0.03}),  # 0.012 below the champion, ± 0.046
        ("pilot_above_control", {"by": 0.62}, {"by": 0.66}),
        ("pilot_above_log_mel", {"by": 0.29}, {"by": 0.35}),
        ("domain_drop_at_most", {"value": 0.0}, {"value": 0.0}),
    ],
)
def test_of_an_error_rate_less_is_better_and_the_upper_end_is_the_bad_one(kind, passing, failing):
    def finding(changed, **more):
        return found(rule(kind, **OF_ERRORS | changed), case_of(good() | more))

    if kind == "domain_drop_at_most":
        # what is in the row is in domain less out of domain: an error rate that rises reads below zero
        for at, result in ((0.11, "pass"), (0.09, "fail")):
            drop = {"score": -0.05, "low": -0.1, "high": 0.02}
            pilots = with_pilot(where={"domain": "drop", "metric": "eer_probe"}, to=drop)["pilot"]()
            seen = finding({"value": at}, pilot=pilots)
            assert (seen.result, seen.observed.value) == (result, 0.1)
        return
    better, worse = finding(passing), finding(failing)
    assert (better.result, worse.result) == ("pass", "fail")
    assert better.observed.low == better.observed.value < better.observed.estimate < better.observed.high


# when it has no answer: what is wrong with the evidence itself

SPOILED: Mapping[Cause, dict[str, Any]] = MappingProxyType(
    {
        Cause.WRONG_SUBJECT: {"subjects": (evidence.digest("another model"),)},
        Cause.UNSIGNED: {"signers": ()},
        Cause.WRONG_ROLE: {"signers": (evidence.ANN,)},
        Cause.STALE: {"made_at": NOW - 30 * DAY - evidence.SECOND},
        Cause.FROM_THE_FUTURE: {"made_at": NOW + admission.CLOCK_SKEW + evidence.SECOND},
    }
    | {
        cause: {"signers": (), "problems": ((cause.value, "as it is"),)}
        for cause in (
            Cause.BAD_SIGNATURE,
            Cause.UNKNOWN_KEY,
            Cause.KEY_NOT_VALID_YET,
            Cause.KEY_EXPIRED,
            Cause.KEY_REVOKED,
        )
    }
)
MAKERS: Mapping[str, Callable[..., Presented]] = {
    "measurement": measured,
    "pilot": both_tasks,
    "alarms": lambda **how: evidence.alarms("closed", **how),
}


def spoiled(kind: str, cause: Cause) -> dict[str, Presented]:
    """Good evidence, but for one statement."""
    statements = good()
    if cause is Cause.MISSING_EVIDENCE:
        del statements[kind]
    elif cause is Cause.UNREADABLE:
        statements[kind] = evidence.unreadable()
    elif cause is Cause.WRONG_PRESET:
        statements[kind] = measured(measurement(preset="rankme_t"))
    else:
        statements[kind] = MAKERS[kind](**SPOILED[cause])
    return statements


OF_EVIDENCE = (Cause.MISSING_EVIDENCE, Cause.UNREADABLE, *SPOILED)
SPOILABLE = [(kind, reads, cause) for kind, reads in READS.items() if reads for cause in OF_EVIDENCE]
SPOILABLE += [(kind, reads, Cause.WRONG_PRESET) for kind, reads in READS.items() if reads == "measurement"]


@pytest.mark.parametrize(("kind", "reads", "cause"), SPOILABLE)
def test_it_is_unknown_on_evidence_that_does_not_count(kind, reads, cause):
    finding = found(rule(kind), case_of(spoiled(reads, cause)))

    assert (finding.result, finding.cause) == ("unknown", cause)
    assert finding.observed is None
    assert not finding.ran
    assert not finding.counts_as_pass
    assert not finding.shows_a_pilot
    assert finding.document()["remedy"] == cause.remedy


@pytest.mark.parametrize("mode", ["audit", "warn"])
@pytest.mark.parametrize(("kind", "reads"), [(kind, reads) for kind, reads in READS.items() if reads])
def test_unsigned_evidence_counts_where_nothing_is_enforced_and_shows(kind, reads, mode):
    case = case_of(spoiled(reads, Cause.UNSIGNED))
    policy = evidence.policy(rule(kind), rule("pilot_at_least", "another"), mode=mode)

    ruling = rule_on(policy, case, NOW)

    assert next(each for each in ruling.findings if each.kind == kind).result == "pass"
    shown = decide([policy], case, NOW).document()["evidence"]
    assert [each["problems"] for each in shown if not each["signed_by"]] == [
        [{"cause": "unsigned", "detail": "nobody has signed this"}]
    ]


@pytest.mark.parametrize("mode", ["audit", "warn", "enforce"])
@pytest.mark.parametrize("cause", [cause for cause in OF_EVIDENCE if cause is not Cause.UNSIGNED])
def test_evidence_with_a_wrong_signature_counts_in_no_mode(mode, cause):
    finding = found(rule("pilot_at_least"), case_of(spoiled("pilot", cause)), mode=mode)

    assert finding.cause == cause


@pytest.mark.parametrize("cause", [*OF_EVIDENCE, Cause.WRONG_PRESET])
def test_one_good_statement_is_enough_beside_one_that_does_not_count(cause):
    statements = [*good().values(), *spoiled("measurement", cause).values()]

    assert found(rule("rank_at_least"), evidence.case(*statements)).result == "pass"


def test_the_reason_nearest_to_a_remedy_is_given_where_nothing_counts():
    statements = [spoiled("pilot", cause)["pilot"] for cause in (*SPOILED, Cause.UNREADABLE)]

    for first in (statements, statements[::-1]):
        assert found(rule("pilot_at_least"), evidence.case(*first)).cause == Cause.STALE


def test_evidence_that_is_just_fresh_counts():
    for made_at in (NOW - 30 * DAY, NOW + admission.CLOCK_SKEW):
        statements = good() | {"measurement": measured(made_at=made_at)}

        assert found(rule("rank_at_least"), case_of(statements)).result == "pass"


# when it has no answer: what is in the evidence


@dataclass(frozen=True)
class Open:
    """A kind of rule, as changed, on evidence where one statement is replaced: unknown for this cause."""

    kind: str
    cause: Cause
    changed: dict[str, Any] = field(default_factory=dict)
    statements: dict[str, Callable[[], Presented]] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)


def with_measurement(*, where: Mapping[str, Any], to: Mapping[str, Any] | None, **more: Any) -> Any:
    return {"measurement": lambda: measured(measurement(change=with_rows(where, to), **more))}


def with_pilot(*, where: Mapping[str, Any], to: Mapping[str, Any] | None, **more: Any) -> Any:
    return {"pilot": lambda: piloted(pilot(with_rows(where, to), tasks=TASKS, heads=("ridge",), **more))}


def without_choice() -> Presented:
    document = pilot(tasks=TASKS)
    for task in document["tasks"]:
        task["layer_choice"] = None
    return piloted(document)


def without_domain() -> Presented:
    return piloted(pilot(tasks=TASKS, outside=False))


def without_corpus() -> Presented:
    document = pilot(tasks=TASKS)
    for task in document["tasks"]:
        for about in task["domains"].values():
            del about["corpus_digest"]
    return piloted(document)


UNKNOWN_ROW = {"status": "unknown", "cause": "9 rows for 16 dimensions", "value": None, "low": None, "high": None}
ONE = {"metric": "effective_rank", "level": "frame", "layer": 1}
ON_PILOT_BEST = {"layers": "pilot_best", "task": "keyword"}
OPEN: list[Open] = []
for kind, one, bound in (
    ("rank_at_least", ONE, "ci_lower"),
    ("rank_at_most", ONE | {"metric": "mean_norm_ratio"}, "ci_upper"),
    ("rank_within_envelope", ONE, "ci_lower"),
    ("centring_disagreement", ONE | {"metric": "participation_ratio"}, None),
):
    end = {"ci_lower": "low", "ci_upper": "high"}.get(bound)
    OPEN += [
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": [0, 7]}),
        Open(kind, Cause.NOT_IN_EVIDENCE, {}, with_measurement(where=one, to=None)),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "last"}, with_measurement(where=one | {"layer": 2}, to=None)),
        Open(kind, Cause.NOT_IN_EVIDENCE, {}, with_measurement(where=one, to={}, layers_asked="0-2")),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "last"}, with_measurement(where=one, to={}, layers_asked="0,1,2")),
        Open(kind, Cause.NOT_IN_EVIDENCE, {}, with_measurement(where={}, to=None)),
        Open(
            kind,
            Cause.NOT_IN_EVIDENCE,
            ON_PILOT_BEST,
            with_pilot(where={}, to={}) | {"pilot": lambda: piloted(pilot(tasks=("speaker",)))},
        ),
        Open(kind, Cause.MISSING_EVIDENCE, ON_PILOT_BEST, {"pilot": lambda: evidence.alarms(monitor="another")}),
        Open(kind, Cause.NO_LAYER_CHOSEN, ON_PILOT_BEST, {"pilot": without_choice}),
        Open(kind, Cause.NOT_MEASURED, {}, with_measurement(where=one, to=UNKNOWN_ROW)),
        Open(kind, Cause.NOT_MEASURED, {"bound": "point"}, with_measurement(where=one, to={"value": None})),
        Open(kind, Cause.NOT_CORRECTED, {"bound": "corrected"}, with_measurement(where=one, to={"corrected": None})),
    ]
    if end:
        OPEN += [Open(kind, Cause.NO_INTERVAL, {}, with_measurement(where=one, to={end: None}))]
OPEN += [
    Open(
        "centring_disagreement",
        Cause.NOT_MEASURED,
        {},
        with_measurement(where={"metric": "participation_ratio", "level": "frame"}, to={"value": 0.0}),
    ),
    Open(
        "centring_disagreement",
        Cause.NOT_MEASURED,
        {},
        with_measurement(where={"metric": "participation_ratio", "centred": True}, to={"value": 1e-300}),
    ),
    Open("rank_within_envelope", Cause.NOT_MEASURED, {}, with_measurement(where=ONE, to={"value": 0.0})),
    Open(
        "rank_within_envelope",
        Cause.NOT_MEASURED,
        {"bound": "point"},
        with_measurement(where=ONE, to={"value": 1e15}),
        {
            "champion": Champion(
                CHAMPION, "6", (measured(measurement(change=with_rows(ONE, {"value": 1e-300})), subjects=(CHAMPION,)),)
            )
        },
    ),
    Open("rank_within_envelope", Cause.NO_INTERVAL, {}, with_measurement(where=ONE, to={"low": -1e9, "high": 1e9})),
    Open("rank_within_envelope", Cause.CHAMPION_UNKNOWN, how={"champion": UnknownChampion()}),
    Open("rank_within_envelope", Cause.CHAMPION_UNKNOWN, how={"champion": Champion(CHAMPION)}),
    Open(
        "rank_within_envelope",
        Cause.CHAMPION_UNKNOWN,
        how={"champion": Champion(CHAMPION, "6", (measured(subjects=(CHAMPION,), signers=()),))},
    ),
    Open("rank_within_envelope", Cause.CHAMPION_UNKNOWN, how={"champion": Champion(CHAMPION, "6", (measured(),))}),
    Open(
        "rank_within_envelope",
        Cause.OTHER_CONVENTION,
        {},
        with_measurement(where={}, to={}, corpus=evidence.digest("another corpus")),
    ),
    Open(
        "rank_within_envelope",
        Cause.OTHER_CONVENTION,
        {},
        with_measurement(where={}, to={}, protocol={"frame_stride": 2}),
    ),
    Open(
        "rank_within_envelope",
        Cause.OTHER_CONVENTION,
        {},
        with_measurement(where={}, to={}, protocol={"sampling": {"utterances": 90, "seed": 1}}),
    ),
    Open("rank_within_envelope", Cause.OTHER_CONVENTION, {}, with_measurement(where={}, to={}, dtype="bfloat16")),
    Open("pilot_size_at_least", Cause.NOT_IN_EVIDENCE, {"domain": "out_of_domain"}, {"pilot": without_domain}),
    Open("pilot_size_at_least", Cause.NOT_IN_EVIDENCE, {"task": "phone"}),
    Open("pilot_size_at_least", Cause.NOT_MEASURED, {}, with_pilot(where={"layer": 1}, to={"n": None})),
    Open("pilot_size_at_least", Cause.NOT_MEASURED, {}, with_pilot(where={"layer": 1}, to={"groups": None})),
    Open("measurement_size_at_least", Cause.NOT_IN_EVIDENCE, {}, with_measurement(where={"level": "frame"}, to=None)),
    Open("corpus_allowed", Cause.NOT_MEASURED, {}, with_measurement(where={}, to={}, corpus=None)),
    Open(
        "corpus_allowed",
        Cause.NOT_MEASURED,
        {"of": "pilot", "task": "keyword", "domain": "in_domain"},
        {"pilot": without_corpus},
    ),
    Open(
        "corpus_allowed",
        Cause.NOT_IN_EVIDENCE,
        {"of": "pilot", "task": "keyword", "domain": "out_of_domain"},
        {"pilot": without_domain},
    ),
    Open("corpus_allowed", Cause.NOT_IN_EVIDENCE, {"of": "pilot", "task": "phone", "domain": "in_domain"}),
    Open(
        "corpus_allowed",
        Cause.MISSING_EVIDENCE,
        {"of": "pilot", "task": "keyword", "domain": "in_domain"},
        {"pilot": lambda: evidence.alarms(monitor="another")},
    ),
    Open("model_digest_equals", Cause.SUBJECT_NOT_CHECKED, how={"checked": False}),
]
for kind, end in (
    ("pilot_at_least", "low"),
    ("pilot_at_most", "high"),
    ("pilot_not_worse", "delta_low"),
    ("pilot_above_control", "delta_random_low"),
    ("pilot_above_log_mel", "delta_logmel_low"),
    ("domain_drop_at_most", "high"),
    ("worst_group_at_least", None),
):
    OPEN += [
        Open(kind, Cause.NOT_IN_EVIDENCE, {"shots": 7}),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": [0, 9]}),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "all"}, with_pilot(where={}, to={}, layers_asked="0-2")),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "last"}, with_pilot(where={}, to={}, layers_asked="0-2")),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "last"}, with_pilot(where={"layer": 2, "shots": "all"}, to=None)),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "all"}, with_pilot(where={"layer": 1, "shots": "all"}, to=None)),
        Open(kind, Cause.NOT_IN_EVIDENCE, {"layers": "all"}, with_pilot(where={}, to=None)),
        Open(
            kind,
            Cause.NOT_IN_EVIDENCE,
            {"task": "label:kind", "metric": "macro_f1"}
            if kind != "pilot_at_most"
            else {"task": "phone", "metric": "per"},
        ),
        Open(kind, Cause.NOT_MEASURED, {}, with_pilot(where={"layer": "pilot_best"}, to={"status": "unknown"})),
        Open(kind, Cause.NOT_MEASURED, {}, with_pilot(where={"layer": "pilot_best"}, to={"score": None})),
    ]
    if end:
        OPEN += [Open(kind, Cause.NO_INTERVAL, {}, with_pilot(where={"layer": "pilot_best"}, to={end: None}))]
for kind, prefix in (
    ("pilot_not_worse", "delta"),
    ("pilot_above_control", "delta_random"),
    ("pilot_above_log_mel", "delta_logmel"),
):
    OPEN += [
        Open(kind, Cause.NO_BASELINE, {}, with_pilot(where={}, to={prefix: None})),
    ]
OPEN += [
    Open("pilot_not_worse", Cause.NOT_PAIRED, {}, with_pilot(where={}, to={"delta_paired": False})),
    Open("pilot_not_worse", Cause.NOT_PAIRED, {}, with_pilot(where={}, to={"delta_paired": None})),
    Open("pilot_not_worse", Cause.OTHER_CHAMPION, {}, {"pilot": lambda: piloted(against=evidence.digest("another"))}),
    Open("pilot_not_worse", Cause.OTHER_CHAMPION, {}, {"pilot": lambda: piloted(against=None)}),
    Open("pilot_not_worse", Cause.OTHER_CHAMPION, how={"champion": Champion(evidence.digest("another"))}),
    Open("pilot_not_worse", Cause.CHAMPION_UNKNOWN, how={"champion": UnknownChampion()}),
    Open("pilot_at_least", Cause.BOUND_AT_CHANCE, {"value": 0.08}),  # of twelve words
    Open("pilot_at_least", Cause.BOUND_AT_CHANCE, {}, with_pilot(where={}, to={"chance": None})),
    Open("pilot_at_least", Cause.BOUND_AT_CHANCE, {}, with_pilot(where={}, to={"chance": 0.5})),
    Open("pilot_at_most", Cause.BOUND_AT_CHANCE, {"value": 0.5}),
    Open("pilot_at_most", Cause.BOUND_AT_CHANCE, {}, with_pilot(where={}, to={"chance": None})),
    Open("worst_group_at_least", Cause.BOUND_AT_CHANCE, {"value": 0.08}),
    Open("worst_group_at_least", Cause.BOUND_AT_CHANCE, {}, with_pilot(where={}, to={"chance": None})),
    Open("worst_group_at_least", Cause.NOT_MEASURED, {}, with_pilot(where={}, to={"worst_group": None})),
]


NAMED = [f"{each.kind}-{each.cause}-{number}" for number, each in enumerate(OPEN)]


@pytest.mark.parametrize("each", OPEN, ids=NAMED)
def test_it_is_unknown_where_the_evidence_does_not_say(each):
    case = case_of(good() | {name: make() for name, make in each.statements.items()}, **each.how)

    finding = found(rule(each.kind, **each.changed), case)

    assert (finding.result, finding.cause) == ("unknown", each.cause)
    assert finding.observed is None
    assert finding.sentence
    assert not finding.counts_as_pass


# whatever goes wrong in a check


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_its_check_is_unknown(kind, monkeypatch):
    def fail(*_: object) -> Any:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(checking, "CHECKS", dict(checking.CHECKS) | {kind: fail})

    finding = found(rule(kind), case_of(good()))

    assert (finding.result, finding.cause) == ("unknown", Cause.EVALUATOR_ERROR)
    assert finding.sentence == "ZeroDivisionError: by nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_amid_its_readings_is_unknown_though_some_passed(kind, monkeypatch):
    whole = checking.CHECKS[kind]

    def fail(*given: Any) -> Any:
        yield from whole(*given)
        raise OverflowError

    monkeypatch.setattr(checking, "CHECKS", dict(checking.CHECKS) | {kind: fail})

    assert found(rule(kind), case_of(good())).cause == Cause.EVALUATOR_ERROR


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_that_reads_nothing_is_unknown(kind, monkeypatch):
    monkeypatch.setattr(checking, "CHECKS", dict(checking.CHECKS) | {kind: lambda *_: iter(())})

    assert found(rule(kind), case_of(good())).cause == Cause.NOT_IN_EVIDENCE


# the first promotion


@pytest.mark.parametrize("kind", ["rank_within_envelope", "pilot_not_worse"])
def test_a_first_promotion_is_what_the_rule_says_and_never_a_measured_pass(kind):
    for said in ("pass", "fail"):
        finding = found(rule(kind, no_champion=said), case_of(good(), champion=NoChampion()))

        assert finding.result == said
        assert finding.observed is None
        assert not finding.ran
        assert not finding.shows_a_pilot
        assert "first promotion" in finding.sentence


@pytest.mark.parametrize("kind", ["rank_within_envelope", "pilot_not_worse"])
@pytest.mark.parametrize("cause", [Cause.MISSING_EVIDENCE, Cause.STALE, Cause.UNSIGNED])
def test_a_first_promotion_without_evidence_is_no_pass(kind, cause):
    case = case_of(spoiled(READS[kind], cause), champion=NoChampion())

    assert found(rule(kind, no_champion="pass"), case).result == "unknown"


def test_only_rules_that_compare_say_something_of_a_first_promotion():
    for kind in KINDS:
        first = found(rule(kind), case_of(good(), champion=NoChampion()))
        after = found(rule(kind), case_of(good()))
        assert (first.result == after.result) or "no_champion" in rule(kind)


def test_a_champion_may_be_measured_long_ago():
    old = measured(subjects=(CHAMPION,), made_at=NOW - 900 * DAY)

    assert found(rule("rank_within_envelope"), case_of(good(), champion=Champion(CHAMPION, "1", (old,)))).ran


# several layers, several statements


def test_the_worst_layer_decides_and_how_many_passed_is_said():
    low = with_rows({"metric": "effective_rank", "level": "frame", "layer": 1}, {"low": 4.0})
    finding = found(rule("rank_at_least"), case_of(good() | {"measurement": measured(measurement(change=low))}))

    assert (finding.result, finding.layer, finding.layers, finding.margin) == ("fail", 1, (2, 3), -1.0)
    assert finding.sentence.startswith("Layer 1: ")
    assert finding.sentence.endswith("(2 of 3 layers pass)")


def test_a_failure_shows_before_an_unknown_and_an_unknown_before_a_pass():
    def change(row):
        if (row["metric"], row["level"]) != ("effective_rank", "frame"):
            return row
        return row | {0: {"low": None}, 1: {"low": 1.0}}.get(row["layer"], {})

    both = measured(measurement(change=change))
    assert found(rule("rank_at_least"), case_of(good() | {"measurement": both})).result == "fail"
    assert found(rule("rank_at_least", layers=[0, 2]), case_of(good() | {"measurement": both})).result == "unknown"
    assert found(rule("rank_at_least", layers=[2]), case_of(good() | {"measurement": both})).result == "pass"


def test_a_failure_counts_whichever_statement_says_so():
    collapsed = measured(measurement(change=with_rows({"metric": "effective_rank"}, {"low": 2.0})))

    for statements in ((*good().values(), collapsed), (collapsed, *good().values())):
        finding = found(rule("rank_at_least"), evidence.case(*statements))
        assert finding.result == "fail"
        assert finding.evidence == tuple(sorted([collapsed.digest, good()["measurement"].digest]))


@pytest.mark.parametrize("each", OPEN, ids=NAMED)
def test_what_one_statement_leaves_open_another_may_answer(each):
    statements = good()
    asked = rule(each.kind, **each.changed)
    if each.how or found(asked, case_of(statements)).result != "pass":
        return  # the whole evidence has no answer either

    finding = found(asked, evidence.case(*statements.values(), *(make() for make in each.statements.values())))

    assert finding.result == "pass"


def test_an_open_alarm_is_closed_by_the_last_word_of_the_same_monitor_only():
    def alarms(state, hours, monitor="run-7"):
        return evidence.alarms(state, monitor=monitor, made_at=NOW - hours * evidence.HOUR)

    asked = rule("no_open_alarm")
    assert found(asked, evidence.case(alarms("open", 2), alarms("closed", 1))).result == "pass"
    assert found(asked, evidence.case(alarms("open", 1), alarms("closed", 2))).result == "fail"
    assert found(asked, evidence.case(alarms("open", 1), alarms("closed", 1))).result == "fail"
    assert found(asked, evidence.case(alarms("open", 2), alarms("closed", 1, "run-8"))).result == "fail"


@pytest.mark.parametrize(
    ("kind", "prefix"), [("pilot_above_control", "delta_random"), ("pilot_above_log_mel", "delta_logmel")]
)
def test_a_baseline_of_another_frame_rate_is_compared_unpaired_and_it_shows(kind, prefix):
    unpaired = good() | {name: make() for name, make in with_pilot(where={}, to={f"{prefix}_paired": False}).items()}
    finding = found(rule(kind), case_of(unpaired))

    assert finding.result == "pass"
    assert ", unpaired, is" in finding.sentence


def test_the_model_files_are_compared_as_somebody_hashed_them():
    assert found(rule("model_digest_equals"), case_of(good())).observed.value == MODEL


# nothing is forgotten

POLICY = Path(checking.__file__).parent
NEVER: Mapping[str, set[Cause]] = {
    "centring_disagreement": {Cause.NO_INTERVAL},  # its bounds are point and corrected
    "no_open_alarm": {Cause.NOT_MEASURED},  # a number of alarms is never beyond what can be written
    "evidence_age_at_most": {Cause.NOT_MEASURED},  # nor is an age
    "measurement_size_at_least": {Cause.NOT_MEASURED},
    "pilot_above_control": {Cause.NOT_PAIRED},  # a baseline may have another frame rate; only champions are paired
    "pilot_above_log_mel": {Cause.NOT_PAIRED},
}


def causes_in_code(name: str) -> set[Cause]:
    """The causes that a check names, by itself or in what it calls."""
    functions: dict[str, ast.AST] = {}
    for module in ("rank_checks", "pilot_checks", "evidence_checks", "reading"):
        tree = ast.parse((POLICY / f"{module}.py").read_text())
        methods = [each for node in tree.body if isinstance(node, ast.ClassDef) for each in node.body]
        for node in (*tree.body, *methods):
            if isinstance(node, ast.FunctionDef):
                functions[f"{module}.{node.name}"] = node
    start = next(path for path in functions if path.endswith(f".{name}"))
    seen, waiting, causes = set(), [start], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.walk(functions[path]):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Cause":
                causes.add(Cause[node.attr])
            called = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
            places = {f"{module}.{called}" for module in (path.partition(".")[0], "reading")}
            waiting += sorted(places & set(functions))
    return causes


@pytest.mark.parametrize("kind", KINDS)
def test_every_cause_that_a_kind_can_have_is_tested(kind):
    tested = {each.cause for each in OPEN if each.kind == kind} - set(OF_EVIDENCE)

    named = causes_in_code(checking.CHECKS[kind].__name__)

    assert named - NEVER.get(kind, set()) == tested


def test_every_cause_is_tested():
    tested = {each.cause for each in OPEN} | {cause for _, _, cause in SPOILABLE} | {Cause.EVALUATOR_ERROR}

    assert tested == set(Cause)
    assert set(READS) == set(KINDS) == set(checking.CHECKS)
    assert set(admission._NEAREST) | {Cause.MISSING_EVIDENCE} == {*OF_EVIDENCE, Cause.WRONG_PRESET}
