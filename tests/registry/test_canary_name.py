"""What a canary is called: a name that policies govern as those of real models, and that is nobody's."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import evidence
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotions import exemption

from mlflow_rank.policy.load import Policy, load_policy
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.server.canary_name import TARGETS, canary_name

TOKEN = "0a1b2c3d"


def policy(*models: str, targets: Any = "any", mode: str = "enforce", **match: Any) -> Policy:
    about = {"models": list(models), "targets": targets, **match}
    named = {"name": f"speech-{mode}"}
    text = evidence.policy_text(evidence.PILOT_RULE, match=about, mode=mode, metadata=named)
    return load_policy(text, named="policy.yaml")


def exempt(*models: str) -> Policy:
    return load_policy(exemption(*models), named="exempt.yaml")


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("hubert-*", f"hubert-rank-canary-{TOKEN}"),
        ("*-large", f"rank-canary-{TOKEN}-large"),
        ("h?bert*[ab]*", f"hxbertrank-canary-{TOKEN}a"),
        ("x[!x]*", f"x0rank-canary-{TOKEN}"),
    ],
)
def test_globs_are_filled(glob: str, name: str) -> None:
    assert fnmatchcase(name, glob)
    assert canary_name([policy(glob)], TOKEN).name == name
    assert canary_name([policy(glob)], TOKEN).governed


@given(st.text("ab*?[]!-", min_size=1, max_size=12))
def test_whatever_the_glob_the_name_is_new_and_is_refused_everywhere(glob: str) -> None:
    policies = [policy(glob)]

    named = canary_name(policies, TOKEN)

    assert TOKEN in named.name
    assert named.refused == TARGETS
    assert named.governed == (standing(policies, named.name, TARGETS[0]).kind == "governed")


def test_where_policies_name_whole_models_a_name_is_taken_that_none_covers() -> None:
    named = canary_name([policy("encoder")], TOKEN)

    assert (named.name, named.governed, named.refused) == (f"rank-canary-{TOKEN}", False, TARGETS)


def test_a_policy_that_only_watches_or_warns_would_let_a_canary_through() -> None:
    policies = [policy("loose-*", mode="warn"), policy("tight-*")]

    assert canary_name(policies, TOKEN).name == f"tight-rank-canary-{TOKEN}"


def test_what_is_left_alone_is_not_said_to_be_refused() -> None:
    assert canary_name([policy("encoder"), exempt("*")], TOKEN).refused == ()
    assert canary_name([policy("a-*", mode="warn"), policy("encoder"), exempt("rank-*")], TOKEN).refused == ()


def test_targets_that_one_policy_enforces_and_none_ungates_are_refused() -> None:
    of_alias = canary_name([policy("a-*", targets=["alias:champion"]), exempt("*")], TOKEN)

    assert of_alias.governed
    assert of_alias.refused == TARGETS  # a stage that no policy is asked about is refused as well
