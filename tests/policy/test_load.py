"""From text to policy: everything that makes no sense is refused, with its line and column, and all of it at once."""

from __future__ import annotations

import time

import evidence
import pytest
from evidence import PILOT_RULE, policy_document, policy_text, rule
from exemptions import exemption, exemption_text

from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.policy import Exemption, PromotionPolicy, WatchPolicy, load_policy
from mlflow_rank.policy.load import policy_schema
from mlflow_rank.policy.targets import canonical_target

TEXT = """\
apiVersion: mlflow-rank/v1
kind: PromotionPolicy
metadata: {name: encoders, revision: 1, owners: [speech@lab]}
match: {models: ["*"], targets: [alias:champion]}
mode: enforce
evidence: {max_age: 30d}
rules:
  - {id: pilot, kind: pilot_at_least, task: keyword, metric: balanced_accuracy, layers: all, bound: point, value: 0.5}
  - id: floor
    kind: rank_at_least
    metric: effective_rank
    level: frame
    centred: true
    layers: all
    bound: ci_lower
    value: 4.0
decide:
  all: [pilot, floor]
waivers: {rules: [floor]}
"""
PILOT_LINE = next(line for line in TEXT.splitlines() if "id: pilot" in line)


def refused(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        load_policy(text, named="p.yaml")
    lines = str(caught.value).splitlines()
    assert lines == [problem.text("p.yaml") for problem in sorted(caught.value.problems)]
    return lines


def with_pilot(old: str, new: str) -> str:
    assert old in PILOT_LINE
    return TEXT.replace(PILOT_LINE, PILOT_LINE.replace(old, new))


def column(text: str, line: int, part: str) -> int:
    """Where a part begins in a line, from 1."""
    return text.splitlines()[line - 1].index(part) + 1


def test_a_policy_that_makes_sense_loads():
    policy = load_policy(TEXT, named="p.yaml")

    assert isinstance(policy, PromotionPolicy)
    assert policy.proving == ("pilot",)
    assert [each.id for each in policy.rules] == ["pilot", "floor"]


@pytest.mark.parametrize("kind", evidence.RULES)
def test_a_rule_of_every_kind_loads(kind):
    assert evidence.policy(rule(kind), rule("pilot_at_least", "another")).rules[0].kind == kind


NUMBER = "is read differently by different readers; write a plain number such as 0.001"
FLOOR = {  # of the floor: what is written instead of a field, where, and what is said
    "value: 4.0": [
        ('value: "4.0"', 16, 12, "rules[1].value: Input should be a valid number"),
        ("value: 4e-3", 16, 12, f"rules[1].value: 4e-3 {NUMBER}"),
        ("value: 1_000", 16, 12, f"rules[1].value: 1_000 {NUMBER}"),
        ("value: .nan", 16, 12, f"rules[1].value: .nan {NUMBER}"),
        ("value: .inf", 16, 12, f"rules[1].value: .inf {NUMBER}"),
        ("value: nan", 16, 12, f"rules[1].value: nan {NUMBER}"),
        ("value: NaN", 16, 12, f"rules[1].value: NaN {NUMBER}"),
        ("value: -inf", 16, 12, f"rules[1].value: -inf {NUMBER}"),
        ("value: 0x10", 16, 12, f"rules[1].value: 0x10 {NUMBER}"),
        ("value: 010", 16, 12, f"rules[1].value: 010 {NUMBER}"),
        ("value: 1:30", 16, 12, f"rules[1].value: 1:30 {NUMBER}"),
        ("value: +4", 16, 12, f"rules[1].value: +4 {NUMBER}"),
        ("value: .5", 16, 12, f"rules[1].value: .5 {NUMBER}"),
        ("value: 1.0e+999", 16, 12, "rules[1].value: 1.0e+999 is too large a number"),
        ("value: 100000000000000000.0", 16, 12, "rules[1].value: 100000000000000000.0 is too large a number"),
        (f"value: {'9' * 400}", 16, 12, f"rules[1].value: {'9' * 20}… is too large a whole number"),
        ("value: 9007199254740992", 16, 12, "rules[1].value: 9007199254740992 is too large a whole number"),
        ("value: 0", 16, 12, "rules[1].value: Input should be greater than 0"),
        ("value: -1.5", 16, 12, "rules[1].value: Input should be greater than 0"),
        ("value: true", 16, 12, "rules[1].value: Input should be a valid number"),
        ("value: four", 16, 12, "rules[1].value: Input should be a valid number"),
        ("value: null", 16, 5, "rules[1].value: Input should be a valid number"),
        ("value: ٤", 16, 12, "rules[1].value: Input should be a valid number"),
        ("value: [4.0]", 16, 5, "rules[1].value: Input should be a valid number"),
        (
            "value: 1.5\n    unit: share_of_dim",
            16,
            12,
            "rules[1].value: can never be reached: effective_rank is at most 1 here",
        ),
        ("why: none", 9, 5, "rules[1].value: is missing"),
        ("value: 4.0\n    value: 5.0", 17, 5, "rules[1].value: is here twice; the first is at 16:12"),
        ("value: 4.0\n    valeu: 5.0", 17, 12, "rules[1].valeu: there is no such field"),
        ("value: 4.0\n    valuе: 5.0", 17, 12, "rules[1].valuе: there is no such field"),  # a Cyrillic е
        (
            "value: &four 4.0",
            16,
            12,
            "rules[1].value: an anchor (&) stands here; write values out where they are needed",
        ),
        ("value: *four", 16, 12, "rules[1].value: an alias (*) stands here; write the value out"),
        (
            "value: !!float 4",
            16,
            12,
            "rules[1].value: a tag (tag:yaml.org,2002:float) stands here; plain values are expected",
        ),
        ("<<: {value: 4.0}", 16, 5, "rules[1]: a merge key (<<) stands here; write the fields out"),
        (
            "value: 4.0\n    task: keyword",
            17,
            11,
            "rules[1].task: has no meaning here: only layers: pilot_best asks whose pilot chose",
        ),
    ],
    "bound: ci_lower": [
        (
            "bound: ci_upper",
            15,
            12,
            "rules[1].bound: ci_upper of a floor makes no sense: the less is known, the easier it passes; use ci_lower",
        ),
        ("bound: low", 15, 12, "rules[1].bound: Input should be 'point', 'ci_lower', 'ci_upper' or 'corrected'"),
    ],
    "layers: all": [
        (
            "layers: rank_best",
            14,
            13,
            (
                "rules[1].layers: must be all, last, pilot_best (the layer that a pilot chose) or a "
                "list of layer numbers, not 'rank_best'"
            ),
        ),
        (
            "layers: weighted_sum",
            14,
            13,
            (
                "rules[1].layers: must be all, last, pilot_best (the layer that a pilot chose) or "
                "a list of layer numbers, not 'weighted_sum'"
            ),
        ),
        (
            "layers: []",
            14,
            5,
            (
                "rules[1].layers: must be all, last, pilot_best (the layer that a pilot chose) or a list of "
                "layer numbers, not []"
            ),
        ),
        (
            "layers: [0, -1]",
            14,
            5,
            (
                "rules[1].layers: must be all, last, pilot_best (the layer that a pilot chose) or a "
                "list of layer numbers, not [0, -1]"
            ),
        ),
        (
            "layers: [true]",
            14,
            5,
            (
                "rules[1].layers: must be all, last, pilot_best (the layer that a pilot chose) or a "
                "list of layer numbers, not [True]"
            ),
        ),
        ("layers: [3, 3]", 14, 5, "rules[1].layers: names a layer twice"),
        (
            "layers: pilot_best",
            9,
            5,
            "rules[1].task: is missing: layers: pilot_best needs the task whose pilot chose the layer",
        ),
    ],
    "centred: true": [
        (
            "centred: no",
            13,
            14,
            'rules[1].centred: no is read differently by different readers; write true, false or "no"',
        ),
        (
            "centred: True",
            13,
            14,
            'rules[1].centred: True is read differently by different readers; write true, false or "True"',
        ),
        ('centred: "true"', 13, 14, "rules[1].centred: Input should be a valid boolean"),
        ("centred: 1", 13, 14, "rules[1].centred: Input should be a valid boolean"),
    ],
    "level: frame": [
        ("level: frames", 12, 12, "rules[1].level: Input should be 'frame', 'utterance' or 'utterance_sum'"),
    ],
    "metric: effective_rank": [
        ("metric: effective_rnk", 11, 13, "rules[1].metric: Input should be 'effective_rank', 'rankme', "),
        ("metric: rankme", 13, 14, "rules[1].centred: rankme is reported with centred: false only"),
    ],
    "kind: rank_at_least": [
        ("kind: rank_at_leest", 10, 11, "rules[1].kind: there is no 'rank_at_leest'; there are rank_at_least, "),
        ("why: none", 9, 5, "rules[1]: kind is missing, which says what this is"),
        (
            "kind: rank_at_most",
            15,
            12,
            "rules[1].bound: ci_lower of a ceiling makes no sense: the less is known, the easier it passes; use ci_up",
        ),
    ],
    "id: floor": [
        ("id: pilot", 9, 9, "rules[1].id: 'pilot' is taken by a rule above"),
        ("id: Floor", 9, 9, "rules[1].id: String should match pattern "),
        ("id: flооr", 9, 9, "rules[1].id: String should match pattern "),  # two Cyrillic о
        ('id: "floor\\n"', 9, 9, "rules[1].id: String should match pattern "),
    ],
}


@pytest.mark.parametrize(
    ("old", "new", "line", "at", "said"), [(old, *each) for old, listed in FLOOR.items() for each in listed]
)
def test_what_makes_no_sense_in_a_rule_is_refused_where_it_stands(old, new, line, at, said):
    text = TEXT.replace(f"    {old}\n" if old != "id: floor" else old, f"    {new}\n" if old != "id: floor" else new)
    assert text != TEXT

    problems = refused(text)

    assert f"p.yaml:{line}:{at}: {said}" in [each[: len(f"p.yaml:{line}:{at}: {said}")] for each in problems]
    assert not [each for each in problems if "rules: " in each]  # a rule that does not fit makes the list no shorter


MARK = "the less is known, the easier it passes"
PILOT = [
    (
        "bound: point",
        "bound: ci_upper",
        "ci_upper",
        f"bound: ci_upper makes no sense here: {MARK}; use ci_lower or point",
    ),
    (
        "bound: point",
        "bound: corrected",
        "corrected",
        "bound: pilot scores are not corrected for bias; use point or ci_lower",
    ),
    ("metric: balanced_accuracy", "metric: accuracy", "accuracy", "metric: Input should be 'balanced_accuracy', "),
    ("metric: balanced_accuracy", "metric: per", "per,", "metric: keyword is scored by balanced_accuracy or macro_f1"),
    (
        "kind: pilot_at_least",
        "kind: pilot_at_most",
        "balanced_accuracy",
        "metric: balanced_accuracy is a score, of which more is better; use kind: pilot_at_least",
    ),
    (
        "task: keyword, metric: balanced_accuracy",
        "task: speaker, metric: eer_probe",
        "eer_probe",
        "metric: eer_probe is an error rate, of which less is better; use kind: pilot_at_most",
    ),
    ("task: keyword", "task: words", "words", "task: String should match pattern"),
    ("task: keyword", "task: 'label:'", "'label:'", "task: String should match pattern"),
    ("value: 0.5", "value: 1.5", "1.5", "value: Input should be less than or equal to 1"),
    ("value: 0.5", "value: 0.0", "0.0", "value: Input should be greater than 0"),
    (
        "layers: all",
        "layers: rank_best",
        "rank_best",
        "layers: must be all, last, pilot_best, weighted_sum or a list of layer numbers, not 'rank_best'",
    ),
    ("layers: all", "layers: all, shots: 0", "0,", "shots: must be all or a number of labels per class from 1, not 0"),
    ("layers: all", "layers: all, head: ctc", "ctc", "head: a ctc head is scored by per"),
    (
        "layers: all",
        "layers: all, head: cosine",
        "cosine",
        "head: eer_cosine is the metric of head: cosine, and of no other",
    ),
    ("layers: all", "layers: all, severity: low", "low", "severity: Input should be 'block' or 'warn'"),
    ("layers: all", "layers: all, domain: drop", "drop", "domain: Input should be 'in_domain' or 'out_of_domain'"),
]


@pytest.mark.parametrize(("old", "new", "part", "said"), PILOT)
def test_what_makes_no_sense_in_a_pilot_rule_is_refused_where_it_stands(old, new, part, said):
    text = with_pilot(old, new)

    problems = refused(text)

    at = f"p.yaml:8:{PILOT_LINE.replace(old, new).index(part) + 1}: rules[0].{said}"
    assert at in [each[: len(at)] for each in problems]


SENSELESS = [
    (rule("rank_at_least", metric="isoscore", value=1.1), "value", "can never be reached: isoscore is at most 1 here"),
    (
        rule("rank_at_most", metric="effective_rank", bound="point", value=0.5),
        "value",
        "can never be reached: effective_rank is at least 1",
    ),
    (
        rule("rank_at_least", metric="isoscore", value=0.5, unit="share_of_dim"),
        "unit",
        "isoscore is no number of dimensions; use unit: number",
    ),
    (rule("rank_at_least", metric="rankme_t", centred=False), "level", "rankme_t is reported at utterance_sum only"),
    (
        rule("rank_at_least", metric="rankme", centred=False, level="utterance_sum"),
        "level",
        "rankme is reported at frame and utterance only",
    ),
    (rule("rank_within_envelope", at_least=None), "at_least", "is missing: give at_least, at_most or both"),
    (rule("rank_within_envelope", bound="ci_upper"), "bound", f"ci_upper makes no sense with at_least: {MARK}"),
    (
        rule("rank_within_envelope", at_least=None, at_most=2.0),
        "bound",
        f"ci_lower makes no sense with at_most: {MARK}",
    ),
    (rule("rank_within_envelope", at_least=1.1), "at_least", "Input should be less than or equal to 1"),
    (rule("rank_within_envelope", at_most=0.9), "at_most", "Input should be greater than or equal to 1"),
    (rule("rank_within_envelope", no_champion=None), "no_champion", "is missing"),
    (rule("rank_within_envelope", no_champion="skip"), "no_champion", "Input should be 'pass' or 'fail'"),
    (rule("centring_disagreement", metric="rankme"), "metric", "rankme is reported in one centring only"),
    (
        rule("centring_disagreement", bound="ci_upper"),
        "bound",
        "ci_upper of this factor is not known; use point or corrected",
    ),
    (rule("centring_disagreement", at_most=0.9), "at_most", "Input should be greater than or equal to 1"),
    (rule("pilot_at_most", bound="ci_lower"), "bound", f"ci_lower makes no sense here: {MARK}; use ci_upper or point"),
    (rule("pilot_at_most", value=1.0), "value", "Input should be less than 1"),
    (rule("pilot_at_most", metric="eer_cosine", head="cosine", shots=5), "shots", "head: cosine has shots: all only"),
    (
        rule("pilot_at_most", metric="eer_cosine", head="cosine", layers="weighted_sum"),
        "layers",
        "head: cosine has no weighted_sum",
    ),
    (
        rule("pilot_not_worse", bound="ci_upper"),
        "bound",
        f"ci_upper makes no sense here: {MARK}; use ci_lower or point",
    ),
    (rule("pilot_not_worse", margin=0.21), "margin", "Input should be less than or equal to 0.2"),
    (rule("pilot_not_worse", margin=-0.01), "margin", "Input should be greater than or equal to 0"),
    (rule("pilot_not_worse", no_champion=None), "no_champion", "is missing"),
    (
        rule("pilot_not_worse", task="speaker", metric="eer_probe"),
        "bound",
        f"ci_lower makes no sense here: {MARK}; use ci_upper or point",
    ),
    (rule("pilot_above_control", by=0.0), "by", "Input should be greater than 0"),  # random weights would pass
    (rule("pilot_above_log_mel", by=0.0), "by", "Input should be greater than 0"),
    (
        rule("domain_drop_at_most", bound="ci_lower"),
        "bound",
        f"ci_lower makes no sense here: {MARK}; use ci_upper or point",
    ),
    (rule("domain_drop_at_most", domain="in_domain"), "domain", "Input should be 'out_of_domain'"),
    (
        rule("worst_group_at_least", task="speaker", metric="eer_probe"),
        "metric",
        "eer_probe is an error rate: a floor under its worst group makes no sense",
    ),
    (rule("pilot_size_at_least", items=None, groups=None), "items", "is missing: give items, groups or both"),
    (rule("pilot_size_at_least", items=0), "items", "Input should be greater than or equal to 1"),
    (rule("pilot_size_at_least", items=400.0), "items", "Input should be a valid integer"),
    (rule("measurement_size_at_least", level=None), "level", "and rows_per_dim belong together"),
    (
        rule("measurement_size_at_least", utterances=None, speakers=None, minutes=None, rows_per_dim=None, level=None),
        "utterances",
        "is missing: give one of utterances, speakers, minutes and rows_per_dim",
    ),
    (rule("evidence_age_at_most", age="7"), "age", "String should match pattern"),
    (rule("evidence_age_at_most", age="0d"), "age", "String should match pattern"),
    (rule("evidence_age_at_most", of="decision"), "of", "Input should be 'measurement', 'pilot' or 'alarms'"),
    (
        rule("corpus_allowed", of="pilot"),
        "task",
        "is missing: a pilot's corpora are known by task and domain (of: pilot)",
    ),
    (rule("corpus_allowed", domain="in_domain"), "domain", "has no meaning for of: measurement"),
    (rule("corpus_allowed", digests=[]), "digests", "is empty; at least one is needed"),
    (rule("corpus_allowed", digests=["sha256:AB"]), "digests[0]", "String should match pattern"),
    (rule("model_digest_equals", digest="md5:1"), "digest", "String should match pattern"),
    (rule("no_open_alarm", value=1), "value", "there is no such field"),
    (rule("dtype_float32", of="alarms"), "of", "Input should be 'measurement' or 'pilot'"),
]


@pytest.mark.parametrize(("senseless", "named", "said"), SENSELESS)
def test_a_senseless_rule_is_refused(senseless, named, said):
    problems = refused(policy_text(senseless, rule("pilot_at_least", "another")))

    assert any(f": rules[0].{named}: {said}" in each for each in problems)


def test_every_kind_of_rule_can_be_senseless():
    assert {senseless["kind"] for senseless, _, _ in SENSELESS} | {"pilot_at_least"} == set(evidence.RULES)


DOCUMENT = [
    ("revision: 1", "revision: 0", 3, "0,", "metadata.revision: Input should be greater than or equal to 1"),
    ("revision: 1", "revision: 1.0", 3, "1.0", "metadata.revision: Input should be a valid integer"),
    ("revision: 1", 'revision: "1"', 3, '"1"', "metadata.revision: Input should be a valid integer"),
    ("revision: 1", "revision: v1", 3, "v1", "metadata.revision: Input should be a valid integer"),
    ("owners: [speech@lab]", "owners: []", 3, "owners", "metadata.owners: is empty; at least one is needed"),
    ("owners: [speech@lab]", "owners: speech@lab", 3, "speech@lab", "metadata.owners: Input should be a valid array"),
    ("name: encoders", "name: encоders", 3, "encоders", "metadata.name: String should match pattern"),
    ('models: ["*"]', "models: []", 4, "models", "match.models: is empty; at least one is needed"),
    ('models: ["*"]', 'models: ["ѕpeech-*"]', 4, '"ѕ', "match.models[0]: 'ѕpeech-*' holds letters that are not ASCII"),
    ('models: ["*"]', "models: [a, a]", 4, "models", "match.models: names one twice"),
    ("targets: [alias:champion]", "targets: []", 4, "targets", "match.targets: must be any, or a list of alias:NAME"),
    ("targets: [alias:champion]", "targets: alias:champion", 4, "alias", "match.targets: must be any, or a list"),
    ("targets: [alias:champion]", "targets: [alias:Champion]", 4, "targets", "match.targets: must be any, or a list"),
    ("targets: [alias:champion]", "targets: [alias:сhampion]", 4, "targets", "match.targets: must be any, or a list"),
    ("targets: [alias:champion]", "targets: [stage:production]", 4, "targets", "match.targets: must be any, or a list"),
    ("mode: enforce", "mode: enforced", 5, "enforced", "mode: Input should be 'audit', 'warn' or 'enforce'"),
    ("mode: enforce", "promote: manual", 1, "api", "mode: is missing"),
    ("max_age: 30d", "max_age: 30 days", 6, "30", "evidence.max_age: String should match pattern"),
    ("max_age: 30d", "max_age: 30", 6, "30", "evidence.max_age: Input should be a valid string"),
    ("max_age: 30d", "max_age: 30d, signed_by: []", 6, "signed_by", "evidence.signed_by: is empty; at least one"),
    ("max_age: 30d", "max_age: 30d, signed_by: [boss]", 6, "boss", "evidence.signed_by[0]: Input should be 'measurer'"),
    (
        "max_age: 30d",
        "max_age: 30d, preset: best",
        6,
        "best",
        "evidence.preset: Input should be 'robust' or 'rankme_t'",
    ),
    (
        "max_age: 30d",
        "max_age: 30d, max_age: 40d",
        6,
        "max_age: 40d",
        "evidence.max_age: is here twice; the first is at 6:21",
    ),
    ("mode: enforce", "mode: enforce\nmode: audit", 6, "mode", "mode: is here twice; the first is at 5:7"),
    ("mode: enforce", "mode: enforce\nmodе: audit", 6, "audit", "modе: there is no such field"),
    (
        "decide:\n  all: [pilot, floor]\n",
        "decide: {all: [pilot]}\n",
        9,
        "floor",
        "rules[1].id: 'floor' is never used in decide; add it, or make it warn",
    ),
    (
        "all: [pilot, floor]",
        "all: [pilot, floor, flor]",
        18,
        "flor]",
        "decide.all[2]: there is no rule 'flor'; there are ",
    ),
    ("all: [pilot, floor]", "all: [pilot, floor, Floor]", 18, "Floor]", "decide.all[2]: String should match pattern"),
    ("all: [pilot, floor]", "all: [pilot, floor, флор]", 18, "флор]", "decide.all[2]: String should match pattern"),
    ("all: [pilot, floor]", "any: [pilot, floor]", 17, "decide", "decide: could approve without a pilot that passed"),
    ("all: [pilot, floor]", "any: [pilot, {all: [pilot, floor]}]", 18, "{all", "decide.any[1]: can never make a diff"),
    ("all: [pilot, floor]", "all: [pilot, {any: [pilot, floor]}]", 18, "{any", "decide.all[1]: can never make a diff"),
    ("all: [pilot, floor]", "all: [pilot, floor, pilot]", 18, "pilot]", "decide.all[2]: can never make a difference"),
    ("all: [pilot, floor]", "all: []", 18, "all", "decide.all: is empty; at least one is needed"),
    ("all: [pilot, floor]", "any: []", 18, "any", "decide.any: is empty; at least one is needed"),
    ("all: [pilot, floor]", "not: [floor]", 17, "decide", "decide: must be all: or any: with a list of rule ids"),
    (
        "all: [pilot, floor]",
        "all: [pilot, {not: floor}]",
        18,
        "{not",
        "decide.all[1]: must be the id of a rule, or all:",
    ),
    ("all: [pilot, floor]", "all: [pilot, [floor]]", 18, "[floor", "decide.all[1]: must be the id of a rule, or all:"),
    ("all: [pilot, floor]", "all: [pilot, floor]\n  any: [pilot]", 19, "any", "decide.any: there is no such field"),
    (
        "rules: [floor]",
        "rules: [pilot]",
        19,
        "pilot",
        "waivers.rules[0]: 'pilot' is a pilot rule, which nobody may waive",
    ),
    ("rules: [floor]", "rules: [flor]", 19, "flor", "waivers.rules[0]: there is no rule 'flor'"),
    ("rules: [floor]", "rules: []", 19, "rules", "waivers.rules: is empty; at least one is needed"),
    ("waivers: {rules: [floor]}", "approvals: {count: 17}", 19, "17", "approvals.count: Input should be less than or"),
    ("waivers: {rules: [floor]}", "approvals: {count: -1}", 19, "-1", "approvals.count: Input should be greater than"),
    ("waivers: {rules: [floor]}", "exceptions: {rules: [floor]}", 19, "exc", "exceptions: there is no such field"),
    ("kind: PromotionPolicy", "kind: Policy", 2, "Policy", "kind: there is no 'Policy'; there are PromotionPolicy, Wa"),
    ("kind: PromotionPolicy\n", "", 1, "api", "document: kind is missing, which says what this is"),
    (
        "mlflow-rank/v1",
        "mlflow-rank/v2",
        1,
        "mlflow",
        "apiVersion: is 'mlflow-rank/v2'; this version reads mlflow-rank/v1",
    ),
    ("apiVersion: mlflow-rank/v1\n", "", 1, "kind", "apiVersion: is missing; this version reads mlflow-rank/v1"),
    ("kind: PromotionPolicy", "kind: WatchPolicy", 5, "enforce", "mode: there is no such field"),
    ("kind: PromotionPolicy", "kind: WatchPolicy", 8, "pilot_at_least", "rules[0].kind: there is no 'pilot_at_least'"),
]


@pytest.mark.parametrize(("old", "new", "line", "part", "said"), DOCUMENT)
def test_what_makes_no_sense_in_a_policy_is_refused_where_it_stands(old, new, line, part, said):
    text = TEXT.replace(old, new)
    assert text != TEXT

    problems = refused(text)

    at = f"p.yaml:{line}:{column(text, line, part)}: {said}"
    assert at in [each[: len(at)] for each in problems]


def test_a_warning_has_no_place_in_decide_and_nothing_to_waive():
    text = TEXT.replace("    value: 4.0\n", "    value: 4.0\n    severity: warn\n")

    assert refused(text) == [
        "p.yaml:19:16: decide.all[1]: 'floor' has severity: warn, which decides nothing; take it out of decide",
        "p.yaml:20:19: waivers.rules[0]: 'floor' has severity: warn, so there is nothing to waive",
    ]


@pytest.mark.parametrize(
    "kind", [kind for kind in evidence.RULES if kind.startswith(("pilot", "worst_group", "domain_drop"))]
)
def test_a_pilot_rule_of_no_kind_may_be_waived(kind):
    name = rule(kind)["id"]
    problems = refused(policy_text(rule(kind), rule("pilot_at_least", "another"), waivers={"rules": [name]}))

    assert [each.partition(" waivers")[2] for each in problems] == [
        f".rules[0]: '{name}' is a pilot rule, which nobody may waive"
    ]


@pytest.mark.parametrize("kind", [kind for kind in evidence.RULES if not kind.startswith(("pilot", "worst", "domain"))])
def test_a_rule_of_every_other_kind_may_be_waived(kind):
    assert evidence.policy(rule(kind), PILOT_RULE, waivers={"rules": [rule(kind)["id"]]}).waivers


def test_a_policy_in_which_nothing_blocks_is_refused():
    assert "none of them blocks" in refused(policy_text(PILOT_RULE | {"severity": "warn"}))[0]
    assert refused(policy_text().replace(policy_text().partition("rules:")[2], " []\nmode: enforce\n"))[0].endswith(
        "rules: is empty; at least one is needed"
    )


FLOOR_RULE = rule("rank_at_least", "floor", value=9.0, bound="point")
CEILING = rule("rank_at_most", "ceiling", metric="effective_rank", centred=True, value=8.0, bound="point")


@pytest.mark.parametrize(
    ("floor", "ceiling"),
    [
        ({}, {}),
        ({"layers": [1, 2]}, {}),
        ({"layers": [1, 2]}, {"layers": [2, 3]}),
        ({"layers": "last"}, {}),
        ({"bound": "ci_lower"}, {"bound": "ci_upper"}),
    ],
)
def test_a_floor_above_a_ceiling_of_the_same_number_can_never_pass(floor, ceiling):
    problems = refused(policy_text(FLOOR_RULE | floor, CEILING | ceiling, PILOT_RULE))

    assert [each.partition(": rules")[2] for each in problems] == [
        ": can never pass: 'floor' and 'ceiling' exclude each other"
    ]


@pytest.mark.parametrize(
    ("floor", "ceiling"),
    [
        ({"value": 8.0}, {}),
        ({"layers": [1, 2]}, {"layers": [0, 3]}),
        ({"level": "utterance"}, {}),
        ({"centred": False}, {}),
        ({"unit": "share_of_dim", "value": 0.5}, {}),
        ({"metric": "stable_rank"}, {}),
        ({"bound": "corrected"}, {}),
    ],
)
def test_a_floor_and_a_ceiling_that_can_both_be_met_are_no_clash(floor, ceiling):
    assert evidence.policy(FLOOR_RULE | floor, CEILING | ceiling, PILOT_RULE)


def test_alternatives_that_exclude_each_other_are_no_clash():
    decide = {"all": ["pilot", {"any": ["floor", "ceiling"]}]}

    assert evidence.policy(FLOOR_RULE, CEILING, PILOT_RULE, decide=decide)


def test_all_problems_come_at_once_in_order_of_place():
    text = (
        with_pilot("bound: point", "bound: ci_upper")
        .replace("    value: 4.0\n", "")
        .replace("max_age: 30d", "max_age: 30")
        .replace("revision: 1", "revision: 0")
        .replace("level: frame", "level: frames")
    )

    assert [each.split(": ")[0] for each in refused(text)] == [
        "p.yaml:3:38",
        "p.yaml:6:21",
        f"p.yaml:8:{PILOT_LINE.index('bound: point') + 8}",
        "p.yaml:9:5",
        "p.yaml:12:12",
    ]


def test_problems_of_the_text_come_at_once_too():
    text = (
        TEXT.replace("30d", "1e3").replace("true", "yes").replace("4.0", ".nan").replace("kind: rank", "&x kind: rank")
    )

    assert [each.split(": ")[0] for each in refused(text)] == [
        "p.yaml:6:21",
        "p.yaml:10:5",
        "p.yaml:13:14",
        "p.yaml:16:12",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "a", "5", "null", "- a: 1"])
def test_what_is_no_mapping_is_no_policy(text):
    assert refused(text)[0].startswith("p.yaml:1:1: document: ")


def test_a_second_document_is_refused_where_it_begins():
    assert refused(f"{TEXT}---\n{TEXT}") == ["p.yaml:20:1: document: a second document begins here; one is expected"]


# attacks


def quickly(text: str) -> list[str]:
    start = time.perf_counter()
    problems = refused(text)
    assert time.perf_counter() - start < 2
    return problems


def test_a_hundred_megabytes_are_refused_at_once():
    assert quickly(TEXT + "# padding\n" * 10_000_000) == [
        f"p.yaml:1:1: document: has {len(TEXT) + 100_000_000:,} characters; 1,000,000 are the most"
    ]


def test_a_billion_laughs_are_not_laughed():
    laughs = "a: &a [lol, lol]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert {each.split(": ")[2][:9] for each in quickly(laughs)} == {"an anchor", "an alias "}


@pytest.mark.parametrize("deep", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_without_following_it(deep):
    problems = "\n".join(quickly(deep))

    assert "nested deeper than 32 levels" in problems or "is no YAML" in problems


def test_a_formula_nested_too_deep_is_refused():
    decide = "{all: [pilot, " * 40 + "floor" + "]}" * 40

    assert "nested deeper" in quickly(TEXT.replace("\n  all: [pilot, floor]", " " + decide))[0]


def test_ten_thousand_rules_are_refused_in_short():
    problems = quickly(policy_text(*[rule("no_open_alarm", f"r{n}") for n in range(5_000)]))

    assert len(problems) == 1
    assert "500" in problems[0]


# which promotions it is about


@pytest.mark.parametrize(
    ("globs", "model", "asked"),
    [
        (["speech-*"], "speech-encoder", True),
        (["speech-*"], "Speech-encoder", False),
        (["speech-*"], "ѕpeech-encoder", False),
        (["a", "b"], "b", True),
        (["a?"], "ab", True),
        (["a?"], "abc", False),
        (["[ab]"], "b", True),
        (["*"], "anything\nat all", True),
    ],
)
def test_it_is_asked_about_the_models_that_its_globs_name(globs, model, asked):
    policy = evidence.policy(match={"models": globs, "targets": "any"})

    assert policy.matches(model, "alias:champion") == asked


def test_it_is_asked_about_its_targets():
    policy = evidence.policy(match={"targets": ["alias:champion", "stage:Production"]})

    assert [policy.matches("m", each) for each in ("alias:champion", "stage:Production", "alias:other")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("text", ["alias:Champion", "ALIAS:champion", " alias:champion ", "alias:ｃhampion"])
def test_every_spelling_of_a_target_is_one_target(text):
    assert canonical_target(text) == "alias:champion"


@pytest.mark.parametrize(
    "text", ["alias:сhampion", "alias:", "champion", "stage:Live", "alias:a b", "alias:a\n", "", ":"]
)
def test_what_is_no_target_or_looks_like_one_is_refused(text):
    if text == "alias:a\n":
        assert canonical_target(text) == "alias:a"
        return
    with pytest.raises(ValueError, match=r"is no target|look like others"):
        canonical_target(text)


# one policy, one digest


def test_the_digest_is_of_what_is_asked_not_of_how_it_is_written():
    policy = load_policy(TEXT, named="p.yaml")
    turned = TEXT.replace("[pilot, floor]", "[floor, pilot]").replace("mode: enforce\n", "") + "mode: enforce\n# done\n"

    assert load_policy(turned, named="another.yaml").digest == policy.digest
    whole = TEXT.replace("decide:\n  all: [pilot, floor]\n", "")
    assert load_policy(whole, named="p.yaml").digest == policy.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value: 0.5", "value: 0.51"),
        ("revision: 1", "revision: 2"),
        ("mode: enforce", "mode: warn"),
        ("max_age: 30d", "max_age: 31d"),
        ('["*"]', '["a*"]'),
        ("layers: all", "layers: last"),
        ("rules: [floor]}", "rules: [floor], max_duration: 1d}"),
    ],
)
def test_the_digest_changes_with_whatever_is_asked(old, new):
    assert load_policy(TEXT.replace(old, new), named="p").digest != load_policy(TEXT, named="p").digest


def test_a_watch_policy_reads_no_pilots():
    for asked, named in (
        (rule("rank_at_least", layers="pilot_best", task="keyword"), "layers"),
        (rule("evidence_age_at_most", of="pilot"), "of"),
        (rule("corpus_allowed", of="pilot", task="keyword", domain="in_domain"), "of"),
        (rule("dtype_float32", of="pilot"), "of"),
    ):
        problems = refused(policy_text(asked, kind="WatchPolicy"))
        assert [each.partition(": ")[2] for each in problems] == [f"rules[0].{named}: a WatchPolicy reads no pilots"]


@pytest.mark.parametrize("kind", evidence.WATCHED)
def test_a_watch_policy_takes_rules_of_its_kinds(kind):
    assert isinstance(evidence.policy(rule(kind), kind="WatchPolicy"), WatchPolicy)


def test_the_schema_says_what_every_field_of_a_rule_is():
    definitions = policy_schema()["$defs"]

    assert {"PromotionPolicy", "WatchPolicy", "Exemption", "RankAtLeast", "AllOf"} <= set(definitions)
    assert policy_document()["kind"] in str(policy_schema())
    assert definitions["RankAtLeast"]["additionalProperties"] is False


@pytest.mark.parametrize("of", ["pilot", "measurement"])
def test_what_is_asked_of_a_pilots_evidence_cannot_be_waived_either(of):
    text = (
        TEXT.replace("rules:\n", f"rules:\n  - {{id: fresh, kind: evidence_age_at_most, of: {of}, age: 9d}}\n", 1)
        .replace("rules: [floor]", "rules: [floor, fresh]")
        .replace("all: [pilot, floor]", "all: [pilot, floor, fresh]")
    )

    if of == "measurement":
        assert load_policy(text, named="p.yaml").waivers.rules == ("floor", "fresh")
    else:
        with pytest.raises(DocumentError, match="'fresh' is a pilot rule, which nobody may waive"):
            load_policy(text, named="p.yaml")


# ungated aliases

UNGATED = TEXT.replace(
    "targets: [alias:champion]}", 'targets: [alias:champion, alias:best], ungated_aliases: ["exp-*"]}'
)
NO_ALIAS = "match.ungated_aliases[0]: {} names no alias; write it without alias:, in lower-case ASCII letters, digits"


@pytest.mark.parametrize(
    ("listed", "part", "said"),
    [
        ("[champion]", "champion]", "match.ungated_aliases[0]: 'champion' matches champion, which is never ungated"),
        ("[a, c*n]", "c*n]", "match.ungated_aliases[1]: 'c*n' matches champion, which is never ungated"),
        ('["*"]', '"*"]', "match.ungated_aliases[0]: '*' matches champion, which is never ungated"),
        ('["?[g-i]ampio?"]', '"?[g', "match.ungated_aliases[0]: '?[g-i]ampio?' matches champion, which is never"),
        ("[best]", "best]", "match.ungated_aliases[0]: 'best' matches best, which is one of the policy's own targets"),
        ("[a, b*]", "b*]", "match.ungated_aliases[1]: 'b*' matches best, which is one of the policy's own targets"),
        ("[a, b, a]", "ungated_aliases", "match.ungated_aliases: names one twice"),
        ("[Candidate]", "Candidate]", NO_ALIAS.format("'Candidate'")),
        ("[сandidate]", "сandidate]", NO_ALIAS.format(r"'\u0441andidate'")),
        ('["alias:candidate"]', '"alias', NO_ALIAS.format("'alias:candidate'")),
        ('[" candidate"]', '" cand', NO_ALIAS.format("' candidate'")),
        ('["exp-*\\n"]', '"exp', NO_ALIAS.format(r"'exp-*\n'")),
        ('[""]', '""]', NO_ALIAS.format("''")),
        ("[_x]", "_x]", NO_ALIAS.format("'_x'")),
        ("candidate", "candidate}", "match.ungated_aliases: Input should be a valid array"),
        ("null", "ungated", "match.ungated_aliases: Input should be a valid array"),
        ("[7]", "7]", "match.ungated_aliases[0]: Input should be a valid string"),
    ],
)
def test_an_alias_that_cannot_be_left_alone_is_refused_where_it_stands(listed, part, said):
    text = UNGATED.replace('["exp-*"]', listed)

    (problem,) = refused(text)

    assert problem.startswith(f"p.yaml:4:{text.splitlines()[3].rindex(part) + 1}: {said}")


def test_ungated_aliases_are_not_asked_about_whatever_the_targets():
    for text in (UNGATED, UNGATED.replace("[alias:champion, alias:best]", "any")):
        policy = load_policy(text, named="p.yaml")

        assert policy.matches("encoder", "alias:champion")
        assert not policy.matches("encoder", "alias:exp-1")
    assert policy.matches("encoder", "alias:experiment")
    assert policy.matches("encoder", "stage:Production")


def test_without_ungated_aliases_a_policy_keeps_the_digest_that_approvals_are_bound_to():
    plain = load_policy(TEXT, named="p.yaml")
    empty = load_policy(
        TEXT.replace("targets: [alias:champion]", "targets: [alias:champion], ungated_aliases: []"), named="p"
    )
    one, other = (load_policy(UNGATED.replace('"exp-*"', listed), named="p") for listed in ("a, b", "b, a"))

    assert "ungated_aliases" not in plain.document()["match"]
    assert plain.digest == empty.digest
    assert one.digest == other.digest != load_policy(UNGATED, named="p").digest


def test_a_watch_policy_gates_nothing_and_so_ungates_nothing():
    text = policy_text(rule("no_open_alarm"), kind="WatchPolicy", match={"ungated_aliases": ["a"]})

    assert [each.partition(": ")[2] for each in refused(text)] == ["match.ungated_aliases: there is no such field"]


# exemptions

EXEMPT = """\
apiVersion: mlflow-rank/v1
kind: Exemption
metadata: {name: not-speech, revision: 1, owners: [speech@lab]}
models: ["horn-*", bell]
reason: They hear nothing.
"""


def test_an_exemption_names_models_and_says_why():
    found = load_policy(EXEMPT, named="p.yaml")

    assert isinstance(found, Exemption)
    assert [found.names(model) for model in ("horn-1", "bell", "bells", "Bell")] == [True, True, False, False]
    assert found.reason == "They hear nothing."


@pytest.mark.parametrize(
    ("old", "new", "line", "part", "said"),
    [
        ('["horn-*", bell]', "[]", 4, "models", "models: is empty; at least one is needed"),
        ('["horn-*", bell]', "bell", 4, "bell", "models: Input should be a valid array"),
        ("bell]", "bеll]", 4, "bеll", "models[1]: 'bеll' holds letters that are not ASCII and may look like others"),
        ("bell]", '"horn-*"]', 4, "models", "models: names one twice"),
        ("bell]", '""]', 4, '""', "models[1]: String should have at least 1 character"),
        ("reason: They hear nothing.", 'reason: " "', 5, '" "', "reason: String should match pattern"),
        ("reason: They hear nothing.\n", "", 1, "api", "reason: is missing"),
        ("reason", "rules: []\nreason", 5, "rules", "rules: there is no such field"),
        ("reason", "match: {models: [a], targets: any}\nreason", 5, "match", "match: there is no such field"),
        ("revision: 1", "revision: 0", 3, "0,", "metadata.revision: Input should be greater than or equal to 1"),
        (
            "kind: Exemption",
            "kind: Exempt",
            2,
            "Exempt",
            "kind: there is no 'Exempt'; there are PromotionPolicy, Watch",
        ),
    ],
)
def test_what_makes_no_sense_in_an_exemption_is_refused_where_it_stands(old, new, line, part, said):
    text = EXEMPT.replace(old, new)

    problems = refused(text)

    assert [each.startswith(f"p.yaml:{line}:{column(text, line, part)}: {said}") for each in problems] == [True]


def test_the_digest_of_an_exemption_is_of_what_it_says_in_any_order():
    first = exemption("a", "b")

    assert first.digest == exemption("b", "a").digest
    assert load_policy(exemption_text("a", "b") + "# said twice", named="p").digest == first.digest
    for other in (exemption("a"), exemption("a", "b", reason="Others."), exemption("a", "b", name="another")):
        assert other.digest != first.digest
