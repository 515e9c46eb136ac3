"""What the gate goes by: read anew when a byte changes, never half, and said when it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filed import Desk, trust_text

from mlflow_rank.workflow.gating import PASSPHRASE, RuleBook


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk.laid(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policy.yaml").rename(tmp_path / "policies" / "policy.yaml")
    return desk


@pytest.fixture
def book(desk: Desk) -> RuleBook:
    return RuleBook(desk.place / "policies", desk.place / "trust.yaml", desk.place / "gate.key")


def test_policies_trust_and_key_are_in_force(book: RuleBook) -> None:
    rules = book()

    assert rules.problems == ()
    assert [(file, policy.kind) for file, policy in rules.policies] == [("policy.yaml", "PromotionPolicy")]
    assert {each.signer.name for each in rules.trust.keys} == {"lab", "gate", "ann", "bob", "olga", "emma"}
    assert rules.key is not None
    assert rules.key.public in [each.key for each in rules.trust.keys]


def test_nothing_is_read_again_while_no_byte_changes(book: RuleBook, desk: Desk) -> None:
    first = book()
    os.utime(desk.place / "policies" / "policy.yaml")

    assert book() is first


@pytest.mark.parametrize("name", ["policies/policy.yaml", "trust.yaml", "policies/another.yml"])
def test_a_change_of_the_same_size_and_time_is_in_force_at_once(book: RuleBook, desk: Desk, name: str) -> None:
    path = desk.place / name
    path.write_text(path.read_text() if path.exists() else "# none\n")
    first = book()
    before, text = path.stat(), path.read_text()

    path.write_text(text.replace("n", "N", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert path.stat().st_size == before.st_size
    assert book().digest != first.digest


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("policies/policy.yaml", "kind: Promotion\n", "policy.yaml"),
        ("policies/policy.yaml", "a: [", "policy.yaml"),
        ("trust.yaml", trust_text().replace("TrustStore", "Trust"), "trust.yaml"),
        ("gate.key", "no key", "gate.key"),
    ],
)
def test_a_broken_file_is_a_problem_until_it_is_mended(
    book: RuleBook, desk: Desk, name: str, text: str, said: str
) -> None:
    whole = (desk.place / name).read_text()
    (desk.place / name).write_text(text)

    (problem,) = book().problems
    assert said in problem
    assert "\n" not in problem

    (desk.place / name).write_text(whole)
    assert book().problems == ()


@pytest.mark.parametrize("name", ["policies/policy.yaml", "trust.yaml", "gate.key"])
def test_a_file_that_is_gone_is_a_problem(book: RuleBook, desk: Desk, name: str) -> None:
    assert book().problems == ()
    (desk.place / name).unlink()

    assert len(book().problems) == 1


def test_the_digest_names_the_key_by_its_public_half_only(book: RuleBook, desk: Desk) -> None:
    before, path = book().digest, desk.place / "gate.key"

    path.write_bytes(path.read_bytes() + b"\n")
    assert book().digest == before
    path.write_bytes((desk.place / "lab.key").read_bytes())
    assert book().digest != before


def test_a_key_that_others_may_read_is_none(book: RuleBook, desk: Desk) -> None:
    (desk.place / "gate.key").chmod(0o644)

    assert len(book().problems) == 1


def test_a_key_with_a_passphrase_opens_by_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow_rank.evidence.keys import generate_key

    public = generate_key(desk.place / "locked.key", b"correct horse")
    book = RuleBook(None, None, desk.place / "locked.key")
    assert len(book().problems) == 1

    monkeypatch.setenv(PASSPHRASE, "correct horse")
    (desk.place / "locked.key").write_bytes(
        (desk.place / "locked.key").read_bytes() + b"\n"
    )  # so that it is read again
    rules = book()
    assert rules.key is not None
    assert rules.key.public == public


def test_without_anything_nobody_is_believed_and_nothing_covered() -> None:
    rules = RuleBook(None, None, None)()

    assert (rules.policies, rules.trust.keys, rules.key, rules.problems) == ((), (), None, ())


def test_the_environment_names_them_else_what_lies_here(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_RANK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(desk.place)
    assert len(RuleBook.of_environment()().policies) == 1

    (desk.place / "elsewhere").mkdir()
    monkeypatch.setenv("MLFLOW_RANK_POLICIES", str(desk.place / "elsewhere"))
    assert len(RuleBook.of_environment()().problems) == 1
