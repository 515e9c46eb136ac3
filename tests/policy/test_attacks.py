"""What an attacker with one or two files tries against the decision, and what becomes of it."""

from __future__ import annotations

import time
from dataclasses import replace

import evidence
import pytest
from evidence import ANN, NOW, approval, case, digest, measured, pilot, piloted, policy, rule, signer, with_rows

from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.evidence.strict_yaml import MOST_PROBLEMS, MOST_VALUES, DocumentError
from mlflow_rank.policy import decide, load_policy
from mlflow_rank.policy.approvals import count_approvals


def deciding_row(**numbers):
    return pilot(with_rows({"task": "keyword", "layer": "pilot_best"}, numbers))


@pytest.mark.parametrize(
    "numbers",
    [
        {"score": 7.0, "low": 6.0, "high": 8.0},
        {"score": 1e15, "low": 1e15, "high": 1e15},
        {"score": 0.1, "low": 0.9, "high": 0.95},
        {"low": 0.9, "high": 0.1},
        {"chance": 0.0},
        {"chance": -5.0},
        {"n": 0},
        {"n": -1},
        {"groups": 0},
        {"worst_group": 3.0},
        {"delta_random": 2.0, "delta_random_low": 1.9, "delta_random_high": 2.1},
    ],
)
def test_numbers_that_no_pilot_gives_prove_nothing(numbers):
    decision = decide([policy()], case(measured(), piloted(deciding_row(**numbers))), NOW)

    assert decision.verdict == "deny"
    assert [finding.cause for _, finding in decision.findings] == ["not_measured"]


def test_a_payload_laid_bare_beside_its_envelope_changes_nothing_in_whatever_order():
    asked = policy(evidence.PILOT_RULE, rule("rank_at_least", value=8.5))
    bad, good, tested = measured(), measured(evidence.measurement(change=wider)), piloted()
    bare = Presented(bad.digest, UNREADABLE, problems=((UNREADABLE, "it is no envelope that we accept"),))
    alone = decide([asked], case(bad, good, tested), NOW)

    assert alone.verdict == "deny"
    assert decide([asked], case(bare, bad, good, tested), NOW).to_bytes() == alone.to_bytes()
    assert decide([asked], case(bad, good, tested, bare), NOW).to_bytes() == alone.to_bytes()


def wider(row):
    return row | {name: row[name] + 6.0 for name in ("value", "corrected", "low", "high")}


@pytest.mark.parametrize("requester", ["ann", "ANN", "ａｎｎ", " ann "])
def test_who_asks_approves_nothing_however_they_write_their_name(requester):
    asked = policy(approvals={"count": 1})
    about = case(requester=requester)

    assert not count_approvals(asked, replace(about, approvals=(approval(asked, about, ANN),)), NOW).enough


def test_one_key_under_two_names_is_one_person():
    asked, about = policy(approvals={"count": 2}), case()
    double = approval(asked, about, signer("ann", "reviewer", key="k"), signer("zoe", "reviewer", key="k"))

    assert count_approvals(asked, replace(about, approvals=(double,)), NOW).by == ("ann",)


def test_evidence_about_thousands_of_other_files_is_refused_in_a_sentence():
    elsewhere = piloted(subjects=tuple(digest(str(number)) for number in range(5000)))
    (_, finding), *_ = decide([policy()], case(elsewhere), NOW).findings

    assert finding.cause == "wrong_subject"
    assert len(finding.sentence) < 250
    assert "and 4997 more" in finding.sentence


EIGHT_PAIRS = "{all: [" + ", ".join(f"{{any: [r{2 * n}, r{2 * n + 1}]}}" for n in range(8)) + "]}"
SEVEN_PAIRS = "{all: [" + ", ".join(f"{{any: [r{2 * n}, r{2 * n + 1}]}}" for n in range(7)) + "]}"
IDLE = ", ".join(["{any: [r0, r1]}"] * 300)


@pytest.mark.parametrize(
    "formula",
    [
        EIGHT_PAIRS,
        f"{{all: [{SEVEN_PAIRS}, {IDLE}]}}",
        f"{{any: [{', '.join([SEVEN_PAIRS] * 60)}]}}",
        "{any: [" * 14 + f"{{all: [{SEVEN_PAIRS}, {IDLE}]}}" + ", {all: [r0, r1]}]}" * 14,
    ],
    ids=["many ways", "idle parts", "copies", "deep"],
)
def test_a_formula_of_a_few_kilobytes_takes_no_seconds(formula):
    rules = [evidence.PILOT_RULE | {"id": f"r{number}"} for number in range(16)]
    text = evidence.policy_text(*rules) + f"decide: {formula}\n"
    start = time.perf_counter()

    with pytest.raises(DocumentError):
        load_policy(text, named="p")

    assert time.perf_counter() - start < 5


def test_a_document_full_of_mistakes_is_refused_early_and_shortly():
    text = evidence.policy_text() + "".join(f"x{number}: yes\n" for number in range(100_000))
    start = time.perf_counter()

    with pytest.raises(DocumentError) as caught:
        load_policy(text, named="p")

    assert len(str(caught.value).splitlines()) <= MOST_PROBLEMS + 1
    assert time.perf_counter() - start < 2
    with pytest.raises(DocumentError, match=f"more than {MOST_VALUES:,} values"):
        load_policy("a: [" + "1," * 300_000 + "1]", named="p")


def test_a_key_in_a_policy_ends_no_line_and_steers_no_terminal():
    with pytest.raises(DocumentError) as caught:
        load_policy('"k\\n::error::x\\e[2J": 1\n' + evidence.policy_text(), named="p")

    assert str(caught.value).splitlines() == [r"p:1:23: k\n::error::x\x1b[2J: there is no such field"]
