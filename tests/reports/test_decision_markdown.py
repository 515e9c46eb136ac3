from __future__ import annotations

import re
from typing import Any

import pytest
from evidence import NOW, piloted, policy, rule, signer, unreadable
from evidence import case as case_of
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlflow_rank.policy import decide
from mlflow_rank.reports.decision_markdown import decision_in_description, decision_markdown
from mlflow_rank.reports.untrusted_text import in_markdown

EVIL = (
    "a|b `c` <img src=x onerror=alert(1)> [click](javascript:alert(1)) ![i](http://evil/x.png) @octocat #12 GH-7 "
    "https://evil.example www.evil.example me@evil.example **b** _i_ __u__ ~~s~~ $x$ :tada: \\| </details> <!-- \n\n# h"
)
COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline_kinds(markdown: str) -> set[str]:
    return {child.type for token in COMMONMARK.parse(markdown) for child in token.children or ()}


def test_the_heading_is_the_verdict(decisions: Any) -> None:
    assert decision_markdown(decisions.made()).startswith("### APPROVED: encoder version 7 to alias:champion\n")
    assert decision_markdown(decisions.denied()).startswith("### DENIED: ")
    assert decision_markdown(decisions.undecided()).startswith("### COULD NOT DECIDE: ")
    assert decision_markdown(decisions.watched()).startswith("### CLEAR: encoder version 7\n")
    audited = decisions.made(decisions.policy(floor=0.85, mode="audit"))
    assert decision_markdown(audited).startswith("### DENIED (not enforced): ")


def test_a_description_says_where_the_record_is_and_does_not_ask_for_what_was_done(decisions: Any) -> None:
    audited = decisions.made(decisions.policy(floor=0.85, mode="audit"))
    for decision in (decisions.made(), audited):
        assert "**Next:** nothing; it was carried out." in decision_in_description(decision)
    denied = decisions.denied()
    said = decision_in_description(denied)
    assert [line for line in said.splitlines() if "**Next:**" in line] == [
        line for line in decision_markdown(denied).splitlines() if "**Next:**" in line
    ]
    assert f"[decision {denied.id}](/mlflow-rank/api/v1/decisions/{denied.id})" in said
    assert "<code>mlflow-rank why models:/encoder/7 --to alias:champion</code>" in said


def test_a_description_begins_with_the_verdict_and_its_columns_keep_apart_where_pages_set_them_without_space(
    decisions: Any,
) -> None:
    said = decision_in_description(decisions.denied())
    assert said.startswith("DENIED: encoder version 7 to alias:champion\n---\n")
    assert COMMONMARK.parse(said)[0].type == "heading_open"
    rows = [line for line in said.splitlines() if line.startswith("| ") and "`" in line]
    assert all("`&emsp; |" in row and not row.endswith("&emsp; |") for row in rows)
    assert "&emsp;" not in decision_markdown(decisions.denied())


def test_it_has_the_id_a_row_for_each_rule_the_reasons_and_what_next(decisions: Any) -> None:
    decision = decisions.denied()
    lines = decision_markdown(decision).splitlines()
    assert lines[2].startswith(f"**decision** {decision.id}, 2026-11-25 12:00 UTC; **digest** ")
    assert "| **FAIL** | `keyword-floor` | .874 [.828, .920] | 480 | low ≥ .850 | -.022 | best |" in lines
    assert "| fail (warning) | `utterance-rank` | 55.0 [52.0, 58.0] | 450 | low ≥ 60.0 | -8.0 | 3 |" in lines
    assert sum(line.startswith("| ") for line in lines) == 13 + 2
    (why,) = [line for line in lines if line.startswith("- `keyword-floor`: the pilot's layer: lower bound of keyword")]
    assert "Asked because: Below this the product's wake word is missed too often. *Next:* the estimate" in why
    assert "**Next:** do what stands above beside keyword-floor, rank-not-collapsed" in "\n".join(lines)


def test_rules_that_are_unknown_for_one_reason_are_explained_together(decisions: Any) -> None:
    text = decision_markdown(decisions.undecided())
    assert "- `audio-enough`, `rank-not-collapsed`: no measurement was presented for this model. *Next:* give" in text
    assert text.count("*Next:* give it with") == 1


def test_evidence_approvals_and_waivers_fold_away(decisions: Any) -> None:
    text = decision_markdown(decisions.made(decisions.policy(rank=41.0), waived=True))
    folded = re.findall("<details><summary>(.*?)</summary>\n(.*)\n</details>", text)
    assert [summary for summary, _ in folded] == ["Evidence: 3", "Policies, approvals and waivers"]
    assert folded[0][1].count("<li>") == 3
    assert "<li>approvals: 1 of 1: ann</li>" in folded[1][1]
    assert "<li>waivers: rank-not-collapsed by <" not in folded[1][1]
    assert re.search("<li>waivers: rank-not-collapsed by [0-9a-f]{12}</li>", folded[1][1])


def test_how_rules_combine_folds_away_too() -> None:
    asked = policy(rule("pilot_at_least", "a"), rule("pilot_at_least", "b"), decide={"any": ["b", "a"]})
    assert "<li>rules combined: any of a, b</li>" in decision_markdown(decide([asked], case_of(), NOW))


def test_a_decision_without_policy_or_evidence_is_a_denial_all_the_same(decisions: Any) -> None:
    text = decision_markdown(decide([], decisions.case(unreadable()), NOW))
    assert text.startswith("### DENIED: ")
    assert "**Next:** write a policy whose match names encoder and alias:champion" in text
    assert "| result |" not in text


def test_names_from_data_and_users_stay_text_everywhere(decisions: Any) -> None:
    about = decisions.case(*decisions.evidence(group=EVIL), model=EVIL)
    asked = policy(rule("worst_group_at_least", value=0.99, why=EVIL))
    harmless = decisions.case(*decisions.evidence(group="g"), model="m")
    evil, plain = (decision_markdown(decisions.made(asked, about=each)) for each in (about, harmless))
    assert inline_kinds(evil) == inline_kinds(plain)
    assert [token.type for token in COMMONMARK.parse(evil)] == [token.type for token in COMMONMARK.parse(plain)]
    assert not re.search(r"@[a-z0-9]|(?<!&)#[a-z0-9]|://|www\.|<img|GH-7|:tada:", evil)


def test_a_signers_name_cannot_leave_the_folded_html(decisions: Any) -> None:
    shown = piloted(signers=(signer("</li></details>@all<b>", "measurer"),))
    text = decision_markdown(decisions.made(about=decisions.case(shown)))
    assert text.count("</details>") == 2
    assert "<b>" not in text


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
    | st.text(alphabet="|`*_[]()<>@#!~:\\&- .aw1\n", max_size=60)
)
def test_escaped_text_renders_as_itself(text: str) -> None:
    tokens = COMMONMARK.parse(f"x {in_markdown(text)} x")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    shown = "".join(child.content for child in children).replace("\u200b", "")
    expected = "".join(s if s.isprintable() else ascii(s)[1:-1] for s in " ".join(text.split()))
    assert " ".join(shown.split()) == " ".join(f"x {expected} x".split())


@pytest.mark.parametrize("start", ["- a", "1. a", "2) a", "+ a", "---", "===", "# a", "> a", "    a", "```", "[a]: b"])
def test_escaped_text_begins_no_block(start: str) -> None:
    tokens = COMMONMARK.parse(in_markdown(start))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "heading_open" not in {token.type for token in COMMONMARK.parse(f"before\n{in_markdown(start)}")}


def test_the_same_decision_gives_the_same_text(decisions: Any) -> None:
    shown = decisions.evidence()
    one, other = (decisions.made(about=decisions.case(*each)) for each in (shown, reversed(shown)))
    assert decision_markdown(one) == decision_markdown(other)
