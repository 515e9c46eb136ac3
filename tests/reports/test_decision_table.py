from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from evidence import ANN, DAY, EVE, NOW, RULES, approval, evidence, first, pilot, piloted, policy, rule, unreadable
from evidence import case as case_of

from mlflow_rank.policy import Deny, UnknownChampion, decide
from mlflow_rank.policy.checking import CHECKS
from mlflow_rank.policy.decide import rule_on
from mlflow_rank.policy.failure_remedies import WHEN_IT_FAILS
from mlflow_rank.reports.decision_numbers import numbers
from mlflow_rank.reports.decision_table import print_decision, print_watch


class Terminal(io.StringIO):
    """A terminal that takes UTF-8."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def printed(decided: Any, printer: Callable[..., None] = print_decision, **options: Any) -> list[str]:
    stream = io.StringIO()
    printer(decided, stream=stream, **options)
    return stream.getvalue().splitlines()


def said(decided: Any, printer: Callable[..., None] = print_decision, **options: Any) -> str:
    return " ".join(" ".join(printed(decided, printer, **options)).split())


@pytest.fixture
def every_decision(decisions: Any) -> list[tuple[Any, Callable[..., None]]]:
    """One of each verdict, and what else changes the form."""
    audited = decisions.made(decisions.policy(floor=0.85, mode="audit"), about=decisions.case(), approved=False)
    made = [decisions.made(), decisions.denied(), decisions.undecided(), audited, decide([], decisions.case(), NOW)]
    watched = [decisions.watched(), decisions.watched(ratio=1.5), decisions.watched(unreadable())]
    return [*((each, print_decision) for each in made), *((each, print_watch) for each in watched)]


# the verdict


def test_it_begins_with_the_verdict_what_it_is_about_and_by_which_files(decisions: Any) -> None:
    decision = decisions.made()
    assert printed(decision)[:5] == [
        "APPROVED  encoder version 7 to alias:champion",
        f"  decision  {decision.id}, 2026-11-25 12:00 UTC",
        f"  digest    {decision.case.request.candidate.digest[7:19]}, its files were hashed now",
        f"  champion  version 5, {decision.case.champion.digest[7:19]}",
        "  asked by  dana",
    ]


def test_denied_and_could_not_decide_are_two_words(decisions: Any) -> None:
    assert printed(decisions.denied())[0].startswith("DENIED  encoder")
    assert printed(decisions.undecided())[0].startswith("COULD NOT DECIDE  encoder")


def test_files_that_nobody_hashed_and_a_champion_that_nobody_looked_for_stand_out(decisions: Any) -> None:
    about = replace(decisions.case(checked=False), champion=UnknownChampion())
    text = said(decisions.made(about=about))
    assert "NOT HASHED NOW: it is what the evidence says" in text
    assert "champion UNKNOWN: nobody has looked" in text


@pytest.mark.parametrize("mode", ["audit", "warn"])
def test_a_mode_that_enforces_nothing_says_so(decisions: Any, mode: str) -> None:
    lines = printed(decisions.made(decisions.policy(floor=0.85, mode=mode)))
    assert lines[0].startswith("DENIED (not enforced)  ")
    assert f"  enforced  no: mode {mode} lets every promotion happen, and counts unsigned evidence" in lines


def test_without_a_policy_it_says_which_is_missing(decisions: Any) -> None:
    text = said(decide([], decisions.case(), NOW))
    assert text.startswith("DENIED encoder version 7")
    assert "Next: write a policy whose match names encoder and alias:champion" in text


@pytest.mark.parametrize(
    ("ratio", "first", "last"),
    [
        (3.0, "CLEAR  encoder version 7", "Next: nothing. Nothing was seen going wrong; whether it is good enough to "),
        (1.5, "WARN  encoder version 7", "Next: look into mean-share before this checkpoint is used or trained on."),
    ],
)
def test_a_watch_is_clear_or_warns(decisions: Any, ratio: float, first: str, last: str) -> None:
    watched = decisions.watched(ratio=ratio)
    assert printed(watched, print_watch)[0] == first
    assert last in said(watched, print_watch)
    assert "approvals" not in said(watched, print_watch)


def test_a_watch_that_knows_nothing_does_not_say_that_something_is_wrong(decisions: Any) -> None:
    lines = printed(decisions.watched(unreadable()), print_watch)
    assert lines[0] == "WARN (nothing fails, but not all is known)  encoder version 7"
    assert "  rules that ran  0 of 3" in lines


# rule by rule


def test_a_row_says_result_rule_observed_n_bound_margin_and_layer(decisions: Any) -> None:
    lines = printed(decisions.denied(), width=120)
    assert "FAIL     keyword-floor                 .874 [.828, .920]      480  low >= .850    -.022  best" in lines
    assert "pass     keyword-not-worse             +.012 [-.034, .058]    480  low >= -.080   +.046  best" in lines
    assert "pass     pilot-size                    480 items                   >= 250          +230" in lines
    assert "FAIL     rank-not-collapsed            40.0 [37.0, 43.0]    9,000  >= 41.0         -1.0  0" in lines


def test_failures_come_first_with_why_the_policys_reason_and_what_to_do(decisions: Any) -> None:
    lines = printed(decisions.denied(), width=120)
    at = lines.index(next(line for line in lines if line.startswith("FAIL")))
    assert lines[at - 1].startswith("-------")
    assert lines[at + 1].startswith(
        "         why   the pilot's layer: lower bound of keyword balanced_accuracy in domain"
    )
    assert lines[at + 3] == "         rule  Below this the product's wake word is missed too often."
    assert lines[at + 4].startswith("         next  the estimate itself would pass, but is not known well enough")


def test_an_estimate_that_fails_as_well_is_not_excused_by_its_interval(decisions: Any) -> None:
    text = said(decisions.made(decisions.policy(floor=0.9)), width=120)
    assert "next the encoder is not good enough at this task" in text
    assert "the estimate itself" not in text


def test_rules_that_are_unknown_for_one_cause_share_one_remedy(decisions: Any) -> None:
    lines = printed(decisions.undecided(), width=120)
    text = " ".join(lines)
    assert text.count("next  give it with --evidence;") == 1
    assert text.count("why   no measurement was presented for this model") == 2  # of rules that decide, and of warnings
    at = lines.index("unknown  audio-enough")
    assert lines[at + 1] == "unknown  rank-not-collapsed"
    assert lines[at + 2] == "         why   no measurement was presented for this model"


def test_warnings_stand_apart_and_are_said_to_decide_nothing(decisions: Any) -> None:
    lines = printed(decisions.made(), width=120)
    at = lines.index("warnings, which decide nothing")
    assert [line.split()[:2] for line in lines[at + 1 :] if line.startswith(("pass", "fail", "FAIL"))] == [
        ["fail", "utterance-rank"],
        ["pass", "evidence-fresh"],
    ]


def test_at_80_columns_n_stands_with_the_reason_and_long_ids_stay_whole(decisions: Any) -> None:
    lines = printed(decisions.denied(), width=80)
    assert "FAIL     keyword-floor          .874 [.828, .920]    low >= .850    -.022  best" in lines
    assert "n=480" in said(decisions.denied(), width=80)
    at = lines.index("pass     keyword-above-random-weights")
    assert lines[at + 1] == "                                +.696 [.650, .741]   low >= .200    +.450  best"


def test_a_margin_that_is_not_zero_never_reads_as_zero(decisions: Any) -> None:
    decision = decisions.made(decisions.policy(floor=0.82806))
    finding = next(each for each in decision.rulings[0].findings if each.rule == "keyword-floor")
    shown = numbers(finding, next(each for each in decision.rulings[0].policy.rules if each.id == "keyword-floor"))
    assert (shown.observed, shown.asked, shown.margin) == (".873867 [.828056, .919678]", "low >= .828060", "-.000004")


def test_a_failure_beside_which_another_way_passes_asks_for_nothing() -> None:
    strict = rule("pilot_at_least", "strict", value=0.99)
    either = policy(rule("pilot_at_least", "lenient"), strict, decide={"any": ["lenient", "strict"]})
    decision = decide([either], case_of(), NOW)
    text = said(decision)
    assert text.startswith("APPROVED")
    assert "next nothing: the policy passes another way, see how its rules combine" in text
    assert "rules combined any of lenient, strict" in text


def test_a_first_promotion_is_said_by_the_rules_that_compare(decisions: Any) -> None:
    text = said(decisions.made(about=decisions.case(champion=False)))
    assert "champion none: this is a first promotion" in text
    assert "pass keyword-not-worse why first promotion, no champion to compare with: the policy says pass" in text
    fails = policy(rule("pilot_at_least"), rule("pilot_not_worse"))
    assert "have the policy's owners say how the first champion is chosen" in said(decide([fails], first(), NOW))


def test_a_waived_rule_keeps_what_it_would_have_been(decisions: Any) -> None:
    text = said(decisions.made(decisions.policy(rank=41.0), waived=True), width=120)
    assert text.startswith("APPROVED")
    assert "waived rank-not-collapsed 40.0 [37.0, 43.0] 9,000 >= 41.0 -1.0 0 why waived by olga until" in text
    assert "else fail: Layer 0" in text
    assert re.search("waivers rank-not-collapsed by [0-9a-f]{12} ", text)


def test_a_waiver_to_no_effect_is_shown(decisions: Any) -> None:
    assert re.search("waivers [0-9a-f]{12} not needed, as its rule passes", said(decisions.made(waived=True)))


@pytest.mark.parametrize("kind", RULES)
def test_every_kind_of_rule_shows_what_it_saw(kind: str) -> None:
    about = case_of(*evidence()[::2], piloted(pilot(tasks=("keyword", "speaker"))))
    ruling = rule_on(policy(rule("pilot_at_least", "pilot"), rule(kind, "it")), about, NOW)
    finding = next(each for each in ruling.findings if each.rule == "it")
    shown = numbers(finding, next(each for each in ruling.policy.rules if each.id == "it"))
    assert finding.result == "pass"
    assert shown.observed
    assert shown.asked
    assert "0." not in shown.observed or kind.startswith(("rank", "centring"))


def test_every_kind_of_rule_has_a_word_for_its_failure() -> None:
    assert set(WHEN_IT_FAILS) == set(CHECKS)


# people, evidence, what next


def test_approvals_are_counted_and_those_set_aside_are_explained(decisions: Any) -> None:
    asked = decisions.policy()
    about = decisions.case()
    rejected = replace(about, approvals=(approval(asked, about, ANN), approval(asked, about, EVE, verdict="reject")))
    text = said(decide([asked], rejected, NOW))
    assert "approvals 1 of 1: ann; rejected by eve" in text
    assert "Next: talk to eve, who rejected it." in text
    other = replace(about, approvals=(approval(decisions.policy(floor=0.1), about, ANN),))
    text = said(decide([asked], other, NOW))
    assert re.search("approvals 0 of 1; set aside [0-9a-f]{12}: it was given under another policy or revision", text)
    assert "Next: have it approved by 1 person (reviewer)." in text


def test_unsigned_unreadable_and_foreign_evidence_stands_out(decisions: Any) -> None:
    about = decisions.case(*decisions.evidence(signed=False), unreadable(), piloted(subjects=("sha256:" + "0" * 64,)))
    lines = printed(decisions.made(about=about), width=120)
    assert sum(line.endswith("  UNSIGNED") for line in lines) == 3
    assert any("unreadable" in line and "UNREADABLE: it is no JSON that we accept" in line for line in lines)
    assert any("signed by svc:lab (measurer); it is about OTHER FILES" in line for line in lines)


def test_next_says_whose_remedy_it_is(decisions: Any) -> None:
    text = said(decisions.undecided(), width=120)
    assert "Next: for alarms-closed, audio-enough, rank-not-collapsed: give it with --evidence; ranks" in text
    denied = said(decisions.denied(), width=120)
    assert "Next: do what stands above beside keyword-floor, rank-not-collapsed, or have speech-team review" in denied
    assert "Then have it approved by 1 person (reviewer)." in denied


def test_next_counts_several_remedies_and_says_what_else_an_approval_needs(decisions: Any) -> None:
    stale = piloted(made_at=NOW - 60 * DAY)
    text = said(decisions.made(about=decisions.case(stale)), width=120)
    assert "Next: supply what is unknown, as the 2 remedies above say; then decide again." in text
    approved = decisions.made()
    assert "Next: give a pilot with a score that was measured" in said(Deny(approved.case, approved.rulings, NOW))
    both = decisions.policy(), decisions.policy(floor=0.85)
    assert said(decisions.made(*both)).count("mode enforce: passes") == 1


# form


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_wider_than_the_terminal_or_ends_in_blanks(every_decision: list[Any], width: int) -> None:
    for decided, printer in every_decision:
        lines = printed(decided, printer, width=width)
        assert max(map(len, lines)) <= width
        assert all(line == line.rstrip() for line in lines)


def test_a_file_or_pipe_gets_plain_ascii_of_a_hundred_columns(every_decision: list[Any]) -> None:
    for decided, printer in every_decision:
        lines = printed(decided, printer)
        assert "\n".join(lines).isascii()
        assert max(map(len, lines)) <= 100


def test_a_unicode_terminal_gets_signs_and_colour_only_where_asked(decisions: Any) -> None:
    plain, coloured = Terminal(), Terminal()
    print_decision(decisions.denied(), stream=plain, width=100, colour=False)
    print_decision(decisions.denied(), stream=coloured, width=100, colour=True)
    assert "low ≥ .850" in plain.getvalue()
    assert "\x1b[31m" not in plain.getvalue()
    assert "\x1b[1;31mFAIL" in coloured.getvalue()
    without = [line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", coloured.getvalue()).splitlines()]
    assert without == [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in plain.getvalue().splitlines()]


def test_an_encoding_without_the_signs_gets_others(decisions: Any) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_decision(decisions.made(about=decisions.case(model="modèle")), stream=stream, width=80)
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"APPROVED  mod?le version 7")  # type: ignore[attr-defined]


def test_names_cannot_steer_the_terminal_or_write_lines_of_their_own(decisions: Any) -> None:
    evil = "x\x1b[2J\x9b1mAPPROVED\r\nAPPROVED\u202e"
    about = decisions.case(*decisions.evidence(group=evil), model=evil)
    stream = io.StringIO()
    print_decision(decisions.made(policy(rule("worst_group_at_least", value=0.99)), about=about), stream=stream)
    text = stream.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert text.startswith(r"DENIED  x\x1b[2J\x9b1mAPPROVED APPROVED\u202e version 7")


def test_the_order_in_which_evidence_comes_makes_no_difference(decisions: Any) -> None:
    shown = decisions.evidence()
    assert printed(decisions.made(about=decisions.case(*shown))) == printed(
        decisions.made(about=decisions.case(*reversed(shown)))
    )
