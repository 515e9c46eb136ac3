"""What a decision is about: evidence, names, files and champion brought together, without a command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import evidence
import pytest
from evidence import NOW, rule
from filed import SUFFIX, Desk, key_of, opened, trust

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.policy import Case, Champion, NoChampion, UnknownChampion, decide
from mlflow_rank.workflow import deciding
from mlflow_rank.workflow.deciding import (
    PromotionQuestion,
    asked_target,
    case_of,
    evidence_paths,
    has_files,
    present_files,
    read_evidence,
    watch_all,
    write_decision,
)

Ask = Callable[..., Case]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk.laid(tmp_path)


@pytest.fixture
def ask(desk: Desk) -> Ask:
    """The case of a question about the evidence on the desk."""
    return lambda **how: case_of(PromotionQuestion(**{"evidence": (desk.evidence,)} | how), trust())


# which model


def test_evidence_says_which_model_it_is_and_that_nobody_has_looked(ask: Ask, desk: Desk) -> None:
    request = ask().request

    assert (request.model, request.candidate.digest, request.candidate.checked) == ("encoder", desk.digest, False)


def test_files_say_which_model_they_are_and_evidence_what_it_is_called(ask: Ask, desk: Desk) -> None:
    called, alone = ask(files=desk.model).request, ask(evidence=(), files=desk.model).request

    assert (called.model, called.candidate.checked) == ("encoder", True)
    assert (alone.model, alone.candidate) == ("model", called.candidate)


def test_a_name_that_is_given_goes_before_any_other(ask: Ask, desk: Desk) -> None:
    assert ask(model="speech").request.model == "speech"
    assert ask(model="speech", files=desk.model).request.model == "speech"


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("models:/speech/12", "speech"), ("models:/speech@champion", "speech"), ("checkpoints/step_2000", "step_2000"),
        ("lab/hubert", "hubert"), ("starter", "starter"), ("module:listeners:plain", "module:listeners:plain"),
    ],
)  # fmt: skip
def test_a_model_is_known_to_policies_by_its_registered_name_else_by_its_last_one(
    ask: Ask, desk: Desk, called: str, name: str
) -> None:
    desk.measurement(called=called)
    desk.pilot(called=called)

    assert ask().request.model == name


def test_the_model_that_was_logged_is_meant_before_the_checkpoint_it_was_logged_of(ask: Ask, desk: Desk) -> None:
    for file in desk.evidence.iterdir():
        file.unlink()
    desk.measurement(called="/checkpoints/step")
    desk.pilot(called="models:/encoder/3", about=evidence.digest("logged"))

    assert (ask().request.model, ask().request.candidate.digest) == ("encoder", evidence.digest("logged"))


@pytest.mark.parametrize("files", [{}, {"junk": b"{"}])
def test_where_nothing_says_which_model_it_is_the_call_is_wrong(ask: Ask, desk: Desk, files: dict[str, bytes]) -> None:
    paths = tuple(desk.write(f"{name}{SUFFIX}", content) for name, content in files.items())

    with pytest.raises(UsageError, match="nothing says which model the evidence is about"):
        ask(evidence=paths)


def test_a_model_that_cannot_be_hashed_is_an_error(ask: Ask, desk: Desk) -> None:
    (desk.model / "link").symlink_to("config.json")

    with pytest.raises(EvidenceError, match="only files"):
        ask(files=desk.model)


# evidence


def test_evidence_at_hand_counts_beside_files(ask: Ask, desk: Desk) -> None:
    given = tuple(file.read_bytes() for file in desk.evidence.iterdir())

    assert ask(evidence=(), given=given) == ask() == ask(given=given)


def test_the_order_of_files_and_where_they_lie_change_nothing(ask: Ask, desk: Desk) -> None:
    files = sorted(desk.evidence.iterdir())
    moved = [desk.write(f"moved/deep/{number}{SUFFIX}", file.read_bytes()) for number, file in enumerate(files)]
    desk.write(f"moved/junk{SUFFIX}", b"{")

    assert ask(evidence=tuple(files)) == ask(evidence=tuple(reversed(moved)))
    junk = desk.write(f"junk{SUFFIX}", b"{")
    assert ask(evidence=(*files, junk)) == ask(evidence=(desk.place / "moved",))


def test_only_evidence_is_evidence(ask: Ask, desk: Desk) -> None:
    decision = decide([evidence.policy()], ask(), NOW)
    write_decision(decision, desk.evidence, key_of("gate"), NOW)

    assert {each.kind for each in present_files([desk.evidence], trust())} == {
        "measurement", "pilot", "decision", "summary",
    }  # fmt: skip
    assert ask() == decision.case


def test_directories_stand_for_the_evidence_in_them_each_file_once(desk: Desk) -> None:
    desk.write("evidence/deep/er/alarms.dsse.json", "{}")
    desk.write("evidence/notes.json", "{}")

    found = evidence_paths([desk.evidence, desk.evidence / f"pilot{SUFFIX}"])

    assert [path.name for path in found] == [f"alarms{SUFFIX}", f"measurement{SUFFIX}", f"pilot{SUFFIX}"]
    with pytest.raises(UsageError, match="no evidence is in this directory"):
        evidence_paths([desk.model])


def test_what_is_too_large_to_be_evidence_is_not_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_MOST_BYTES", 10)

    with pytest.raises(UsageError, match="too large for evidence"):
        read_evidence(desk.evidence / f"pilot{SUFFIX}")


def test_a_directory_is_no_evidence_file(desk: Desk) -> None:
    with pytest.raises(UsageError, match="this evidence cannot be read"):
        read_evidence(desk.evidence)


# target and champion


@pytest.mark.parametrize(
    ("text", "target"),
    [("alias:Champion", "alias:champion"), ("stage:production", "stage:Production"), ("ALIAS:x-1", "alias:x-1")],
)
def test_a_target_has_one_spelling(ask: Ask, text: str, target: str) -> None:
    assert asked_target(text) == ask(target=text).request.target == target


@pytest.mark.parametrize("text", ["champion", "stage:Live", "alias:", "alias:é", "", "alias:a/b"])
def test_what_is_no_target_is_refused(ask: Ask, text: str) -> None:
    with pytest.raises(UsageError, match="there is no such target"):
        ask(target=text)


def test_nobody_knows_the_champion_unless_somebody_says_who_it_is(ask: Ask, desk: Desk) -> None:
    champion = desk.write("champion/model.safetensors", "old").parent
    digest = file_manifest(champion).digest
    theirs = desk.measurement(about=digest, name="theirs").rename("theirs.dsse.json")

    assert ask().champion == UnknownChampion()
    assert ask(first_promotion=True).champion == NoChampion()
    assert ask(champion=str(champion)).champion == Champion(digest)
    of_evidence = ask(champion_evidence=(theirs,)).champion
    assert of_evidence == Champion(digest, None, present_files([theirs], trust()))
    assert ask(champion=str(champion), champion_evidence=(theirs,), first_promotion=True).champion == of_evidence


def test_the_starter_encoder_can_be_champion_but_a_module_has_no_files(ask: Ask) -> None:
    assert isinstance(ask(champion="starter").champion, Champion)
    for spec in ("module:listeners:plain", "random:starter", "nobody/knows"):
        assert not has_files(spec)
        with pytest.raises(UsageError, match="the champion has no files here"):
            ask(champion=spec)
    assert has_files("models:/encoder@champion")
    assert has_files("runs:/0/encoder")


def test_champion_evidence_that_says_nothing_is_a_wrong_call(ask: Ask, desk: Desk) -> None:
    junk = desk.write(f"junk{SUFFIX}", b"{")

    with pytest.raises(UsageError, match="the champion's evidence is about"):
        ask(champion_evidence=(junk,))


@pytest.mark.parametrize("version", ["encoder/7", "models:/encoder", "models:/encoder@champion", "models:/m-1"])
def test_a_version_is_named_in_full(ask: Ask, version: str) -> None:
    with pytest.raises(UsageError, match="this is no registered version"):
        ask(version=version)


# what comes of it


def test_only_watch_policies_that_match_say_something(ask: Ask) -> None:
    matching, other = (
        evidence.policy(rule("no_open_alarm"), kind="WatchPolicy", match={"models": [glob]}) for glob in ("enc*", "x")
    )

    (watched,) = watch_all([matching, other], ask(), NOW)

    assert watched.policy == matching


@pytest.mark.parametrize("key", [None, "gate"])
def test_a_decision_is_written_as_two_statements_about_the_candidate(ask: Ask, desk: Desk, key: str | None) -> None:
    decision = decide([evidence.policy()], ask(), NOW)

    paths = write_decision(decision, desk.place / "new" / "out", None if key is None else key_of(key), NOW)

    assert [path.name for path in paths] == [f"decision{SUFFIX}", f"summary{SUFFIX}"]
    for path in paths:
        envelope, statement = opened(path)
        assert len(envelope["signatures"]) == (0 if key is None else 1)
        assert statement["subject"][0]["digest"]["sha256"] == desk.digest.removeprefix("sha256:")


def test_where_nothing_can_be_written_it_is_said(ask: Ask, desk: Desk) -> None:
    decision = decide([evidence.policy()], ask(), NOW)

    with pytest.raises(UsageError, match="evidence cannot be written there"):
        write_decision(decision, desk.place / "policy.yaml", None, NOW)
