"""Policies in plain sentences: every kind of rule, every bound, and whoever must agree."""

from __future__ import annotations

import re
from typing import get_args

import evidence
import pytest
from evidence import RULES, rule
from exemptions import exemption

from mlflow_rank.policy.explain import BOUNDS, SENTENCES, explain, sentence_of
from mlflow_rank.policy.rules import PROMOTION_RULES
from mlflow_rank.policy.vocabulary import Bound

KINDS = [get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(PROMOTION_RULES)]


def said(*rules, **parts) -> str:
    return explain(evidence.policy(*rules, **parts))


def sentence(kind: str, **changed) -> str:
    """The sentence of a rule of this kind, in a policy that also asks for a pilot."""
    policy = evidence.policy(evidence.rule("pilot_at_least", "beside"), rule(kind, "it", **changed))
    return sentence_of(policy.rules[1])


def test_every_kind_of_rule_has_a_sentence_and_no_other_has():
    assert set(SENTENCES) == set(KINDS) == set(RULES)


def test_every_bound_has_words():
    assert set(BOUNDS) == set(get_args(Bound))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_sentence_with_every_number_of_the_rule(kind):
    text = sentence(kind)

    assert re.fullmatch(r"[A-Z].*\.", text)
    assert "\n" not in text
    assert not re.search(r"_|None|True|False|[{}<>\[\]]", text)
    numbers = [value for value in RULES[kind].values() if isinstance(value, int | float) and value is not True]
    assert all(f"{number:g}" in text for number in numbers if number is not False)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "bound" in RULES[kind]])
def test_it_says_which_number_is_held_against_the_limit(kind):
    assert BOUNDS[RULES[kind]["bound"]] in sentence(kind)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("all", "every layer"), ("last", "the last layer"), ([6], "layer 6"), ([3, 6, 9], "the layers 3, 6 and 9"),
        ("pilot_best", "the layer that the pilot chose inside its training labels"),
    ],
)  # fmt: skip
def test_layers_are_named(layers, words):
    task = {"task": "keyword"} if layers == "pilot_best" else {}

    assert words in sentence("rank_at_least", layers=layers, **task)
    assert words in sentence("pilot_at_least", layers=layers)


def test_the_weighted_sum_is_named():
    assert "the weighted sum of all layers" in sentence("pilot_at_least", layers="weighted_sum")


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("rank_at_least", {"unit": "share_of_dim", "value": 0.05}, "is at least 0.05 of its dimensions"),
        ("rank_at_least", {"centred": False}, "mean left in"),
        ("rank_at_most", {}, "is at most 0.6"),
        ("rank_within_envelope", {"at_most": 2.0, "bound": "point"}, "at least 0.5 and at most 2 times the champion's"),
        ("rank_within_envelope", {"no_champion": "pass"}, "at a first promotion it passes"),
        ("pilot_not_worse", {}, "at a first promotion it fails"),
        ("pilot_not_worse", {}, "of the paired difference"),
        ("pilot_above_log_mel", {}, "higher than that of log-mel features by at least 0.1"),
        ("pilot_above_control",
         {"task": "phone", "metric": "per", "bound": "ci_upper"}, "phone error rate on the task phone"),
        ("pilot_above_control", {"task": "phone", "metric": "per", "bound": "ci_upper"}, "is lower than that of"),
        ("pilot_at_least", {"shots": 10}, "10 labels per class"),
        ("pilot_at_least", {"domain": "out_of_domain"}, "out of domain"),
        ("domain_drop_at_most", {"shots": 10}, "10 labels per class"),
        ("pilot_size_at_least", {"items": None}, "at least 10 groups were tested"),
        ("measurement_size_at_least", {"utterances": 2_000_000}, "2,000,000 utterances, 5 speakers, 2 minutes"),
        ("evidence_age_at_most", {"age": "1d"}, "is at most 1 day old"),
        ("evidence_age_at_most", {"of": "alarms"}, "what the monitor said last is at most 7 days old"),
        ("corpus_allowed", {"of": "pilot", "task": "label:my_kind", "domain": "out_of_domain"},
         "label:my_kind was piloted out of domain on the corpus known by digest"),
        ("corpus_allowed", {"digests": [evidence.CORPUS, evidence.MODEL]}, "one of the 2 corpora"),
        ("dtype_float32", {"of": "pilot"}, "float32 for the pilot"),
    ],
)  # fmt: skip
def test_it_says_what_differs(kind, changed, words):
    text = sentence(kind, **changed)

    assert words in text[:1].lower() + text[1:]


# the whole policy


@pytest.mark.parametrize(
    ("mode", "words"),
    [("audit", "recorded and stop nothing"), ("warn", "shown and stop nothing"), ("enforce", "does not happen")],
)
def test_it_says_what_its_mode_does(mode, words):
    assert words in said(mode=mode)


def test_it_says_for_whom_it_is():
    text = said(match={"models": ["speech-*", "hubert"], "targets": ["alias:champion", "stage:Production"]})

    assert "models named speech-* or hubert go to alias:champion or stage:Production." in text


def test_it_says_who_must_agree_and_what_may_be_put_aside():
    text = said(
        evidence.PILOT_RULE, rule("no_open_alarm", "calm"), approvals={"count": 2, "signed_by": ["reviewer", "owner"]},
        waivers={"rules": ["calm"], "max_duration": "1w"}, promote="automatic",
    )  # fmt: skip

    assert "2 people with the role reviewer or owner must approve" in text
    assert "An approval holds for 14 days" in text
    assert "calm can be waived by owner, with a reason and a ticket, for 1 week at most." in text
    assert "moves by itself" in text
    assert "1 person with" in said(approvals={"count": 1})


@pytest.mark.parametrize(
    ("not_by", "words"),
    [
        (["requester", "evidence_signer"], "none of whom asks for the promotion or signed the evidence."),
        (["policy_author", "evidence_signer", "requester"],
         "none of whom asks for the promotion, signed the evidence or wrote this policy."),
        (["requester"], "none of whom asks for the promotion."),
        ([], "whoever they are: who asks may approve too."),
    ],
)  # fmt: skip
def test_it_says_whose_approval_does_not_count(not_by, words):
    text = said(approvals={"count": 2, "not_by": not_by}, metadata={"author": "ann"})

    assert words in text
    assert "This revision was written by ann." in text


def test_it_says_whether_users_without_keys_may_approve():
    assert "A user without a key can approve as well" in said(approvals={"count": 1, "witnessed": True})
    assert "without a key" not in said(approvals={"count": 1})


def test_it_says_what_an_emergency_allows():
    assert "No emergency goes past it: it names nobody who might declare one." in said()
    assert (
        "In an emergency, somebody with the role emergency can put a version there without approval, for 24 hours at "
        "most; somebody with the role owner or reviewer must review that within 3 days."
    ) in said(break_glass={})


def test_it_says_who_may_go_back_and_what_later_evidence_does():
    text = said(rollback={"signed_by": ["owner"]}, on_contrary_evidence="demote")

    assert "Somebody with the role owner can go back to a version that was approved for the target before." in text
    assert "that is shown, and the target goes back to the approved version before it." in text
    assert "speaks against what stands at the target, that is shown." in said()


def test_it_says_where_nobody_must_agree():
    text = said()

    assert "Nobody has to approve by hand." in text
    assert "No rule can be waived." in text
    assert "The target is moved by hand." in text


@pytest.mark.parametrize(
    ("decide", "words"),
    [
        (None, "It approves when all of a, b and c pass."),
        ({"all": ["a", {"any": ["b", "c"]}]}, "It approves when a passes and (one of b and c passes)."),
        ({"any": [{"all": ["a", "b"]}, {"all": ["a", "c"]}]},
         "It approves when (all of a and b pass) or (all of a and c pass)."),
    ],
)  # fmt: skip
def test_it_says_how_rules_combine(decide, words):
    rules = (rule("pilot_at_least", "a"), rule("no_open_alarm", "b"), rule("dtype_float32", "c"))

    assert words in said(*rules, decide=decide)


def test_a_rule_that_only_warns_is_marked_and_reasons_are_given():
    text = said(evidence.PILOT_RULE | {"why": "Wake words."}, rule("no_open_alarm", "calm", severity="warn"))

    assert "- calm (warns only): No alarm of the training run is open." in text
    assert "    Why: Wake words." in text
    assert "It approves when pilot passes." in text


def test_a_watch_policy_cannot_approve_and_says_so():
    text = said(rule("no_open_alarm", "calm"), kind="WatchPolicy", match={"targets": "any"})

    assert "cannot approve anything" in text
    assert "It warns when any of them does not pass, or has no answer." in text
    assert "approves when" not in text


@pytest.mark.parametrize(
    ("listed", "words"),
    [(["candidate"], "alias candidate"), (["candidate", "exp-*"], "aliases candidate and exp-*")],
)
def test_aliases_that_are_left_alone_are_named(listed, words):
    text = said(match={"targets": ["alias:champion"], "ungated_aliases": listed})

    assert f"The gate leaves their {words} alone, if every policy that names the model says so." in text
    assert "The gate refuses other aliases and stages that no policy is asked about." in text


def test_without_such_aliases_it_says_what_is_refused():
    narrow = said(match={"targets": ["alias:champion"]})

    assert "leaves their" not in narrow
    assert "The gate refuses aliases and stages that no policy is asked about." in narrow
    assert "The gate" not in said(match={"targets": "any"})


def test_an_exemption_says_whom_it_is_for_and_why_and_that_it_decides_nothing():
    text = explain(exemption("horn-*", "bell", metadata={"name": "not-speech", "description": "Sirens."}))

    assert text.splitlines() == [
        "not-speech, revision 1, owned by speech@lab.",
        "Sirens.",
        (
            "Models named horn-* or bell need no approval: the gate leaves them alone, except those that a "
            "PromotionPolicy names."
        ),
        "Why: They hear nothing.",
        "It has no rules and plays no part in a decision.",
    ]


def test_the_same_policy_is_said_in_the_same_words():
    assert said() == said()
    assert said().endswith("\n")
