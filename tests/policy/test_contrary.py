"""What speaks against a version since it was approved, and what does not."""

from __future__ import annotations

import evidence
import pytest

from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy import decide
from mlflow_rank.policy.contrary import contrary

BAD = evidence.piloted(evidence.pilot(lambda row: row | {"score": 0.05, "low": 0.01, "high": 0.09}))
GOOD = evidence.piloted()
NOBODY: frozenset[str] = frozenset()


def said(*statements: Presented, known: frozenset[str] = NOBODY) -> tuple[str, ...]:
    decision = decide([evidence.policy(evidence.PILOT_RULE)], evidence.case(*statements), evidence.NOW)
    return contrary(decision, known)


def test_nothing_speaks_against_what_passes() -> None:
    assert said(GOOD) == ()


def test_what_fails_on_news_speaks_against_it() -> None:
    (rule,) = said(BAD)

    assert rule == f"{evidence.PILOT_RULE['id']} fails"


def test_what_fails_on_what_was_known_does_not() -> None:
    assert said(BAD, known=frozenset({BAD.digest})) == ()


def test_what_is_missing_does_not() -> None:
    assert said() == ()


def test_one_way_to_pass_that_is_still_open_is_enough() -> None:
    floor = evidence.rule("rank_at_least", "floor")
    policy = evidence.policy(
        evidence.PILOT_RULE, floor, evidence.rule("pilot_above_control", "other"),
        decide={"any": [{"all": [evidence.PILOT_RULE["id"], "floor"]}, "other"]},
    )  # fmt: skip
    decision = decide([policy], evidence.case(BAD), evidence.NOW)

    assert contrary(decision, NOBODY) == ()


@pytest.mark.parametrize("known", [NOBODY, frozenset({GOOD.digest})])
def test_a_rejection_speaks_against_it_always(known: frozenset[str]) -> None:
    policy, about = evidence.policy(evidence.PILOT_RULE), evidence.case(GOOD)
    no = evidence.approval(policy, about, evidence.BOB, verdict="reject")
    decision = decide([policy], evidence.case(GOOD, approvals=(no,)), evidence.NOW)

    assert contrary(decision, known) == (f"rejected by {evidence.BOB.name}",)
