"""Policies and trust from files: which are read, and everything that is wrong with them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from evidence import policy_text, rule
from exemptions import exemption_text
from filed import trust_text

from mlflow_rank.errors import UsageError
from mlflow_rank.policy import Exemption, PromotionPolicy, WatchPolicy
from mlflow_rank.workflow.policies import (
    NOBODY,
    PoliciesError,
    exemptions,
    promotion_policies,
    read_document,
    read_policies,
    read_trust_file,
    watch_policies,
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str | None = None, **parts: object) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(policy_text(**parts) if text is None else text)
    return path


def named(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


def test_files_come_in_the_order_given_and_directories_in_order_of_name() -> None:
    for name in ("b.yaml", "a.yml", "c.txt", "trust.yaml"):
        written(f"policies/{name}", **named(f"of-{name[0]}"))
    last = written("z.yaml", **named("last"))

    files = read_policies([last, Path("policies"), last])

    assert [file.path.as_posix() for file in files] == ["z.yaml", "policies/a.yml", "policies/b.yaml"]


def test_no_path_is_no_policy() -> None:
    assert read_policies([]) == []


def test_each_kind_is_found_among_them() -> None:
    written("policies/a.yaml")
    Path("policies/b.yaml").write_text(policy_text(rule("no_open_alarm"), kind="WatchPolicy", **named("watch")))

    written("policies/c.yaml", exemption_text("horn"))

    files = read_policies([Path("policies")])

    assert [type(each) for each in exemptions(files)] == [Exemption]
    assert [type(each) for each in promotion_policies(files)] == [PromotionPolicy]
    assert [type(each) for each in watch_policies(files)] == [WatchPolicy]


def test_each_rule_knows_the_line_on_which_it_begins() -> None:
    written("policy.yaml", policy_text(rule("pilot_at_least", "pilot"), rule("no_open_alarm", "calm")))
    (file,) = read_policies([Path("policy.yaml")])
    lines = file.text.splitlines()

    assert {name: lines[number - 1].strip() for name, number in file.lines.items()} == {
        "pilot": "- id: pilot", "calm": "- id: calm",
    }  # fmt: skip


def test_an_exemption_has_no_rules_and_so_no_lines() -> None:
    written("exemption.yaml", exemption_text("horn"))
    (file,) = read_policies([Path("exemption.yaml")])

    assert file.lines == {}


def test_an_exemption_cannot_have_the_name_of_a_policy() -> None:
    paths = [written("one.yaml"), written("two.yaml", exemption_text("horn", name="speech-encoder"))]

    with pytest.raises(UsageError, match="two policies have the name speech-encoder"):
        read_policies(paths)


def test_every_problem_of_every_file_is_said_on_a_line_of_its_own() -> None:
    paths = [
        written("one.yaml", policy_text(mode="perhaps", promote="sometimes")),
        written("good.yaml", **named("good")),
        written("two.yaml", "apiVersion: other"),
    ]

    with pytest.raises(PoliciesError) as caught:
        read_policies(paths)

    lines = caught.value.what.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["one.yaml", "one.yaml", "two.yaml"]
    assert all(line.split(":")[1].isdigit() and line.split(":")[2].isdigit() for line in lines)
    assert caught.value.exit_code == 2


def test_one_policy_may_lie_there_twice_but_two_cannot_have_one_name() -> None:
    one, copy = written("one.yaml"), written("copy.yaml")
    other = written("other.yaml", metadata={"revision": 2})

    assert len(read_policies([one, copy])) == 2
    with pytest.raises(UsageError, match="two policies have the name speech-encoder"):
        read_policies([one, other])


@pytest.mark.parametrize("path", ["none.yaml", "empty", "none/policy.yaml"])
def test_what_is_not_there_is_a_wrong_call(path: str) -> None:
    Path("empty").mkdir()

    with pytest.raises(UsageError):
        read_policies([Path(path)])


def test_a_directory_named_like_a_file_is_no_document() -> None:
    Path("policies/odd.yaml").mkdir(parents=True)

    with pytest.raises(UsageError, match="this file cannot be read"):
        read_policies([Path("policies")])


@pytest.mark.parametrize(("content", "what"), [(b"a: \xff", "is no UTF-8 text at byte 3"), (b" " * 10**7, "is larger")])
def test_what_is_no_text_or_too_much_of_it_is_refused_at_its_first_line(content: bytes, what: str) -> None:
    Path("policy.yaml").write_bytes(content)

    with pytest.raises(UsageError, match=rf"policy\.yaml:1:1: document: {what}"):
        read_document(Path("policy.yaml"))


# trust


def test_trust_is_read_from_where_it_is_said_or_from_here_else_nobody_is_believed() -> None:
    assert read_trust_file(None) is NOBODY
    written("trust.yaml", trust_text())
    here = read_trust_file(None)
    written("elsewhere.yaml", trust_text(lab={"valid_until": "2030-01-01T00:00:00Z"}))

    assert len(here.keys) == 6
    assert read_trust_file(Path("elsewhere.yaml")) != here


@pytest.mark.parametrize("text", [None, "keys: 1", trust_text().replace("reviewer", "king")])
def test_a_trust_file_that_is_none_is_refused(text: str | None) -> None:
    if text is not None:
        written("trust.yaml", text)

    with pytest.raises(UsageError):
        read_trust_file(Path("trust.yaml"))
