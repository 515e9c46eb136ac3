"""The shipped policies: valid, explained, and every number in them says on its line what it is."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
import yaml
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.policy import Exemption, PromotionPolicy, WatchPolicy, load_policy
from mlflow_rank.policy.explain import explain
from mlflow_rank.policy.load import policy_schema
from mlflow_rank.policy.terms import BreakGlass
from mlflow_rank.workflow.policies import read_policies

FOLDER = Path(__file__).parents[1] / "policies"
SHIPPED = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))}
SCHEMA = json.loads((FOLDER / "policy.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
LIMITS = re.compile(
    r"\s*(-\s+)?(value|by|margin|at_least|at_most|items|groups|utterances|speakers|minutes|rows_per_dim|age|max_age"
    r"|count|max_duration): "
)


def test_four_policies_are_shipped_and_can_be_used_together() -> None:
    files = read_policies([FOLDER])

    assert [file.policy.metadata.name for file in files] == [
        "early-warning", "short-sounds", "speech-encoder", "starter",
    ]  # fmt: skip
    assert [type(file.policy) for file in files] == [WatchPolicy, *[PromotionPolicy] * 3]


def test_the_schema_is_one_and_the_code_s() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert policy_schema() == SCHEMA


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_valid_by_the_schema_that_it_names(name: str) -> None:
    assert SHIPPED[name].startswith("# yaml-language-server: $schema=policy.schema.json\n")
    VALIDATOR.validate(yaml.safe_load(SHIPPED[name]))


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_explained_rule_by_rule(name: str) -> None:
    policy = load_policy(SHIPPED[name], named=name)

    text = explain(policy)

    for rule in policy.rules:
        assert re.search(rf"^- {rule.id}( \(warns only\))?: [A-Z].+\.$", text, re.MULTILINE), rule.id
    assert not re.search(r"[<>{}]|None|_", text.replace(policy.metadata.name, ""))


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "starter"])
def test_every_number_says_on_its_line_what_it_is(name: str) -> None:
    lines = [line for line in SHIPPED[name].splitlines() if LIMITS.match(line) and re.search(r"\d", line)]

    bare = [line.strip() for line in lines if not re.search(r"\S # \S", line)]

    assert len(lines) > 4
    assert not bare


def test_the_starter_policy_says_how_its_limits_came_about() -> None:
    header = " ".join(line.lstrip("# ") for line in SHIPPED["starter"].splitlines() if line.startswith("#"))

    assert "limits were set with the starter encoder's numbers in view" in header


@pytest.mark.parametrize("name", SHIPPED)
def test_no_rule_asks_for_a_rank_above_that_of_random_weights(name: str) -> None:
    for rule in load_policy(SHIPPED[name], named=name).rules:
        if rule.kind == "rank_at_least":
            assert (rule.unit, rule.value <= 0.1) == ("share_of_dim", True)


def test_the_exemption_that_is_explained_beside_them_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)

    VALIDATOR.validate(yaml.safe_load(text))
    assert isinstance(load_policy(text, named="README.md"), Exemption)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "early-warning"])
def test_the_line_about_ungated_aliases_can_be_switched_on(name: str) -> None:
    text, switched = re.subn(r"^  # (ungated_aliases: )", r"  \1", SHIPPED[name], flags=re.MULTILINE)

    policy = load_policy(text, named=name)

    assert switched == 1
    assert isinstance(policy, PromotionPolicy)
    assert "candidate" in policy.match.ungated_aliases


def test_what_is_commented_out_in_the_recommended_policy_can_be_switched_on() -> None:
    text = re.sub(
        r"^( *)# (author|not_by|witnessed|break_glass): ?", r"\1\2: ", SHIPPED["speech-encoder"], flags=re.MULTILINE
    )
    text = re.sub(r"^#   (\w+: )", r"  \1", text, flags=re.MULTILINE)

    policy = load_policy(text, named="speech-encoder")

    assert isinstance(policy, PromotionPolicy)
    assert policy.metadata.author == "ann@example.org"
    assert "policy_author" in policy.approvals.not_by
    assert policy.approvals.witnessed
    assert policy.break_glass == BreakGlass()


# the schema and the loader agree

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-1e3, 1e3), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from(["all", "pilot_best", "ci_lower", "block", "30d", "phone", "1e-3", "alias:Champion", "sha256:0"]),
)  # fmt: skip
DOCUMENTS = {name: yaml.safe_load(text) for name, text in SHIPPED.items()}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [path] * bool(path) + [place for key, each in inner for place in places(each, (*path, key))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A shipped policy with a value changed, taken out, or put in under a new name."""
    document = copy.deepcopy(DOCUMENTS[draw(st.sampled_from(sorted(DOCUMENTS)))])
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from(places(document)))
        inside = document
        for key in path:
            inside = inside[key]
        how = draw(st.sampled_from(["change", "take out", "put in"]))
        if how == "change":
            inside[last] = draw(VALUES)
        elif how == "take out":
            del inside[last]
        elif isinstance(inside, dict):
            inside[draw(st.text("abc", min_size=1, max_size=4))] = draw(VALUES)
    return document


@hypothesis.settings(max_examples=50)
@hypothesis.given(mutated())
def test_what_the_schema_refuses_the_loader_refuses(document: Any) -> None:
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    try:
        load_policy(text, named="policy.yaml")
    except UsageError:
        return
    VALIDATOR.validate(document)


@pytest.mark.parametrize("name", SHIPPED)
def test_without_a_field_that_the_schema_requires_there_is_no_policy(name: str) -> None:
    for field in ("apiVersion", "kind", "metadata", "match", "evidence", "rules"):
        document = {key: value for key, value in DOCUMENTS[name].items() if key != field}
        assert not VALIDATOR.is_valid(document)
        with pytest.raises(UsageError):
            load_policy(yaml.safe_dump(document), named="policy.yaml")
