"""From a checkpoint to a champion, on a real store: what assess leaves, and what is decided on it later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from evidence import rule
from filed import SUFFIX, Desk, opened

from mlflow_rank.cli import main
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.workflow import DEFAULT_OUTPUT

Document = dict[str, Any]


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def decided(*words: str | Path) -> Document:
    result = call("decide", "--policy", "policy.yaml", "--json", "-", *words)
    document: Document = json.loads(result.stdout)
    return document | {"exit": result.exit_code, "results": results(document)}


def results(document: Document) -> dict[str, str]:
    return {each["rule"]: each["cause"] or each["result"] for each in document["policies"][0]["findings"]}


@dataclass(frozen=True)
class Promoted:
    """Version 1 of `encoder` was assessed, registered and became champion; version 2 was then assessed against it."""

    desk: Desk
    first: Result
    second: Result

    def digest_of(self, version: int) -> str:
        resolved = resolve_model(f"models:/encoder/{version}", into=self.desk.place / "downloads")
        assert resolved.files is not None
        return file_manifest(resolved.files).digest


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, tiny_hubert: Path, words: Path) -> Iterator[Promoted]:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        for draw in ("draw_figures", "draw_pilot"):  # which takes longest, and is looked at elsewhere
            patch.setattr(f"mlflow_rank.workflow.recording.{draw}", lambda *_: [])
        place = tmp_path_factory.mktemp("promoted")
        patch.setenv("MLFLOW_RANK_CACHE", str(place / "cache"))
        patch.chdir(place)
        desk = Desk.laid(place)
        for file in desk.evidence.iterdir():
            file.unlink()
        size = {"items": 10, "groups": 2}
        desk.policy(
            rule("pilot_at_least", "above-chance", value=0.34, bound="point"),
            rule("pilot_size_at_least", "tested", **size),
            rule("pilot_not_worse", "not-worse", no_champion="pass", bound="point"),
            rule("rank_within_envelope", "like-before", no_champion="pass", bound="corrected"),
            match={"models": ["encoder"], "targets": ["alias:champion"]},
        )
        asked = (
            "assess", "--model", tiny_hubert, "--audio", words, "--labels", words, "--shots", "all", "--draws", "1",
            "--heads", "ridge", "--control", "false", "--log-mel", "false", "--blocks", "4", "--register", "encoder",
            "--key", "lab.key", "--policy", "policy.yaml", "--enforce",
        )  # fmt: skip
        first = call(*asked, "--json", "-")
        DEFAULT_OUTPUT.rename("first")
        MlflowClient().set_registered_model_alias("encoder", "Champion", "1")
        second = call(*asked, "--against", "models:/encoder@Champion")
        DEFAULT_OUTPUT.rename("second")
        yield Promoted(desk, first, second)


# what assess leaves


def test_stdout_holds_the_document_alone_and_the_decision_is_said_beside_it(promoted: Promoted) -> None:
    assert json.loads(promoted.first.stdout)["kind"] == "Assessment"
    assert promoted.first.exit_code == 0, promoted.first.output
    assert "APPROVED  encoder" in promoted.first.stderr
    assert "registered as models:/encoder/1" in promoted.first.stderr
    assert "evidence, signed by key sha256:" in promoted.first.stderr


def test_the_run_ends_with_the_decision(promoted: Promoted) -> None:
    assert promoted.second.exit_code == 0, promoted.second.output
    said = promoted.second.stdout
    assert said.index("frames, centred") < said.index("keyword") < said.index("APPROVED  encoder")


@pytest.mark.parametrize("name", ["measurement", "pilot"])
def test_evidence_is_about_the_checkpoint_and_about_the_model_that_was_registered_of_it(
    promoted: Promoted, tiny_hubert: Path, name: str
) -> None:
    _, statement = opened(promoted.desk.place / "first" / "evidence" / f"{name}{SUFFIX}")

    assert statement["subject"] == [
        {"name": str(tiny_hubert), "digest": {"sha256": sha(file_manifest(tiny_hubert).digest)}},
        {"name": "models:/encoder/1", "digest": {"sha256": sha(promoted.digest_of(1))}},
    ]


def sha(digest: str) -> str:
    return digest.removeprefix("sha256:")


def test_the_run_holds_the_same_evidence_and_the_digest_of_the_files_as_a_tag(
    promoted: Promoted, tiny_hubert: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    run = client.get_run(client.get_model_version("encoder", "1").run_id)
    listed = client.list_artifacts(run.info.run_id, "mlflow_rank/evidence")

    assert run.data.tags["mlflow_rank.files_digest"] == file_manifest(tiny_hubert).digest
    assert [Path(each.path).name for each in listed] == [f"measurement{SUFFIX}", f"pilot{SUFFIX}"]
    for each in listed:
        kept = Path(client.download_artifacts(run.info.run_id, each.path, str(promoted.desk.place / "downloads")))
        assert kept.read_bytes() == (promoted.desk.place / "first" / "evidence" / kept.name).read_bytes()


def test_the_pilot_names_the_champion_by_the_files_of_its_version(promoted: Promoted) -> None:
    _, statement = opened(promoted.desk.place / "second" / "evidence" / f"pilot{SUFFIX}")

    assert statement["predicate"]["against"] == {"spec": "models:/encoder@Champion", "files": promoted.digest_of(1)}


def test_the_evidence_holds_years_later_with_the_files_of_the_registered_model(promoted: Promoted) -> None:
    resolved = resolve_model("models:/encoder/1", into=promoted.desk.place / "downloads")

    result = call("evidence", "verify", "first/evidence", "--model", str(resolved.files))

    assert result.exit_code == 0, result.output


# deciding on what MLflow has


def test_a_version_is_decided_on_with_the_evidence_of_its_run_and_compared_with_the_champion(
    promoted: Promoted,
) -> None:
    document = decided("--version", "models:/encoder/2")

    assert document["exit"] == 0
    assert document["results"] == {
        "above-chance": "pass", "like-before": "pass", "not-worse": "pass", "tested": "pass",
    }  # fmt: skip
    assert document["request"] | {"digest": ""} == {
        "model": "encoder", "version": "2", "target": "alias:champion", "digest": "", "digest_checked": True,
        "requester": None,
    }  # fmt: skip
    assert document["request"]["digest"] == promoted.digest_of(2)
    assert (document["champion"]["version"], document["champion"]["digest"]) == ("1", promoted.digest_of(1))
    assert len(document["champion"]["evidence"]) == 2
    (compared,) = (each for each in document["policies"][0]["findings"] if each["rule"] == "not-worse")
    assert compared["observed"]["estimate"] == 0.0  # the same weights, on the same words


def test_the_champion_itself_was_piloted_against_nobody(promoted: Promoted) -> None:
    document = decided("--version", "models:/encoder/1")

    assert (document["exit"], document["results"]["not-worse"]) == (3, "other_champion")


def test_where_an_alias_points_at_nothing_it_is_a_first_promotion(promoted: Promoted) -> None:
    promoted.desk.policy(
        rule("pilot_at_least", "above-chance", value=0.34, bound="point"),
        rule("pilot_not_worse", "not-worse", no_champion="fail"),
        name="first.yaml", metadata={"name": "first"},
    )  # fmt: skip

    result = call(
        "decide", "--policy", "first.yaml", "--json", "-", "--version", "models:/encoder/2", "--to", "alias:next"
    )
    document = json.loads(result.stdout)

    assert document["champion"] == {"none": "first promotion"}
    assert (result.exit_code, results(document)) == (1, {"above-chance": "pass", "not-worse": "fail"})


def test_the_champion_can_be_named_beside_a_version(promoted: Promoted) -> None:
    named = decided("--version", "models:/encoder/2", "--champion", "models:/encoder/1")

    assert named["exit"] == 0
    assert named["champion"] == decided("--version", "models:/encoder/2")["champion"]


def test_what_was_registered_is_decided_on_offline_as_well(promoted: Promoted) -> None:
    document = decided("--evidence", "second/evidence", "--champion", "models:/encoder@Champion")

    assert document["exit"] == 0
    assert (document["request"]["model"], document["request"]["digest"]) == ("encoder", promoted.digest_of(2))
    assert len(document["champion"]["evidence"]) == 2


def test_the_files_of_one_version_are_not_another_s(promoted: Promoted) -> None:
    resolved = resolve_model("models:/encoder/2", into=promoted.desk.place / "downloads")

    document = decided("--evidence", "first/evidence", "--model", str(resolved.files), "--name", "encoder")

    assert document["exit"] == 3
    assert set(document["results"].values()) == {"wrong_subject"}


def test_one_byte_that_changes_in_the_registry_is_seen(promoted: Promoted) -> None:
    resolved = resolve_model("models:/encoder/2", into=promoted.desk.place / "downloads")
    assert resolved.files is not None
    weights = next(resolved.files.rglob("model.safetensors"))
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        document = decided("--version", "models:/encoder/2")
    finally:
        weights.write_bytes(before)

    assert document["exit"] == 3
    assert set(document["results"].values()) == {"wrong_subject"}


@pytest.mark.parametrize(
    ("version", "what"),
    [("models:/encoder/9", "there is no version 9"), ("models:/nobody/1", "there is no version 1 of 'nobody'")],
)
def test_a_version_that_is_not_there_ends_with_2(promoted: Promoted, version: str, what: str) -> None:
    result = call("decide", "--policy", "policy.yaml", "--version", version)

    assert result.exit_code == 2
    assert what in result.stderr


def test_an_approval_holds_for_a_version(promoted: Promoted) -> None:
    promoted.desk.policy(
        rule("pilot_at_least", "above-chance", value=0.34, bound="point"),
        name="approved.yaml", metadata={"name": "approved"}, approvals={"count": 1},
    )  # fmt: skip
    question = ("--policy", "approved.yaml", "--version", "models:/encoder/2")

    before = call("decide", *question)
    into = ("--output", "bob.dsse.json", "--policy", "approved.yaml")
    given = call("approve", "models:/encoder/2", *into, "--key", "bob.key", "--comment", "heard it")
    after = call("decide", *question, "--approval", "bob.dsse.json")

    assert (before.exit_code, given.exit_code, after.exit_code) == (3, 0, 0), given.output


# coverage


def test_models_that_no_policy_covers_come_first_and_end_with_1(promoted: Promoted) -> None:
    from mlflow import MlflowClient

    MlflowClient().create_registered_model("horn")
    MlflowClient().register_prompt("a-prompt", "Say it again.")

    result = call("policy", "coverage", "--policy", "policy.yaml")
    as_json = call("policy", "coverage", "--policy", "policy.yaml", "--json")
    promoted.desk.policy(name="all.yaml", metadata={"name": "all"})
    covered = call("policy", "coverage", "--policy", "policy.yaml,all.yaml", "--to", "alias:Champion")

    assert result.exit_code == as_json.exit_code == 1
    assert result.stdout.splitlines() == [
        "horn  alias:champion  NOT COVERED", "encoder  alias:champion  speech-encoder",
    ]  # fmt: skip
    assert [each["policies"] for each in json.loads(as_json.stdout)] == [[], ["speech-encoder"]]
    assert covered.exit_code == 0
    assert "encoder  alias:champion  all, speech-encoder" in covered.stdout
