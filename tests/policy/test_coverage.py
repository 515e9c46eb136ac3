"""Which models no policy is asked about."""

from __future__ import annotations

import evidence
import hypothesis
from evidence import policy
from exemptions import exemption
from hypothesis import strategies as st

from mlflow_rank.policy import decide
from mlflow_rank.policy.coverage import coverage, protected_targets

CHAMPION, PRODUCTION = "alias:champion", "stage:Production"


def of(*models: str, name: str = "speech-encoder", targets="any"):
    return policy(match={"models": list(models), "targets": targets}, metadata={"name": name})


def asked(found) -> list[str]:
    return [policy.metadata.name for policy in found.policies]


def test_each_model_and_target_has_the_names_of_the_policies_that_are_asked():
    policies = [of("speech-*", name="speech"), of("*", name="all", targets=[CHAMPION])]

    found = coverage(policies, ["speech-one", "horn"], [CHAMPION, PRODUCTION])

    assert [(each.model, each.target, asked(each)) for each in found] == [
        ("horn", CHAMPION, ["all"]),
        ("horn", PRODUCTION, []),
        ("speech-one", CHAMPION, ["all", "speech"]),
        ("speech-one", PRODUCTION, ["speech"]),
    ]


def test_upper_and_lower_case_of_names_differ():
    (found,) = coverage([of("Speech*")], ["speech"], [CHAMPION])

    assert (found.kind, found.policies) == ("uncovered", ())


def test_a_policy_that_is_there_twice_is_named_once():
    (found,) = coverage([of("*"), of("*")], ["encoder"], [CHAMPION])

    assert asked(found) == ["speech-encoder"]


@hypothesis.given(
    st.lists(st.sampled_from(["*", "a*", "b", "[ab]c", "?"]), min_size=1, max_size=3, unique=True),
    st.sampled_from(["a", "ab", "b", "bc", "Z"]),
    st.sampled_from(["any", [CHAMPION], [PRODUCTION, CHAMPION]]),
    st.sampled_from([CHAMPION, PRODUCTION]),
)
def test_what_is_not_covered_is_what_is_denied_for_want_of_a_policy(globs, model, targets, target):
    policies = [of(*globs, targets=targets)]
    (found,) = coverage(policies, [model], [target])

    decision = decide(policies, evidence.case(model=model, target=target), evidence.NOW)

    assert bool(found.policies) == bool(decision.rulings)
    assert found.policies or decision.verdict == "deny"


def test_what_is_exempt_or_ungated_is_not_uncovered():
    policies = [
        policy(match={"models": ["speech-*"], "targets": [CHAMPION], "ungated_aliases": ["candidate"]}),
        exemption("horn*"),
    ]

    found = coverage(policies, ["speech-one", "horn", "stray"], ["alias:candidate"])

    assert [(each.model, each.kind) for each in found] == [
        ("horn", "exempt"), ("speech-one", "ungated"), ("stray", "uncovered"),
    ]  # fmt: skip


def test_protected_are_the_targets_that_policies_name_and_the_usual_ones():
    assert protected_targets([of("*")]) == [CHAMPION]
    assert protected_targets([of("*", targets=[PRODUCTION])]) == [CHAMPION, PRODUCTION]
    assert protected_targets([], usual=()) == []


def test_an_exemption_and_a_watch_policy_protect_no_target():
    watching = policy(evidence.rule("no_open_alarm"), kind="WatchPolicy", match={"targets": [PRODUCTION]})

    assert protected_targets([exemption("*"), watching], usual=()) == []
