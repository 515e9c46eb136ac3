from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from evidence import policy_text, rule
from filed import SUFFIX, Desk, opened

from mlflow_rank.workflow import DEFAULT_OUTPUT

Verb = Callable[..., Result]
UTTERANCES = 72


def count(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_both_tables_stand_on_stdout(assess: Verb, words: Path) -> None:
    result = assess("--audio", words, "--labels", words, "--task", "keyword, speaker", "--blocks", "4")

    assert result.exit_code == 0, result.output
    assert "frames, centred, D = 8" in result.stdout
    assert result.stdout.index("frames, centred") < result.stdout.index("keyword")
    assert "speaker" in result.stdout


def test_one_document_holds_both_and_audio_of_both_is_heard_once(
    assess: Verb, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    arguments = ["--audio", words, "--labels", words, "--task", "keyword,speaker", "--json", "-", "--blocks", "4"]

    result = assess(*arguments)

    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["kind"] == "Assessment"
    assert document["measurement"]["kind"] == "RankMeasurement"
    assert [task["task"] for task in document["pilot"]["tasks"]] == ["keyword", "speaker"]
    assert {row["layer"] for row in document["measurement"]["ranks"]} == {1, 2}
    assert count(tmp_path / "heard") == 2 * UTTERANCES  # the encoder and its control


def test_output_holds_what_measure_and_pilot_leave(assess: Verb, words: Path) -> None:
    result = assess("--audio", words, "--labels", words, "--control", "false", "--output", "results")

    assert result.exit_code == 0, result.output
    names = {path.name for path in Path("results").iterdir()}
    assert {"measurement.json", "layers.parquet", "skipped.jsonl", "pilot.json", "pilot.parquet"} <= names


def test_without_labels_only_ranks_are_measured(assess: Verb, words: Path) -> None:
    result = assess("--audio", words, "--labels", "none", "--control", "false", "--json", "-")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kind"] == "RankMeasurement"


def test_ctrl_c_then_resume_gives_what_an_uninterrupted_run_gives(
    assess: Verb, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--audio", words, "--labels", words, "--utterances", "30", "--blocks", "4", "--control", "false"]
    whole = json.loads(assess(*arguments, "--json", "-").stdout)
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    monkeypatch.setenv("LISTENER_INTERRUPT", "50")  # behind the ranking's sample, among what is only labelled

    stopped = assess(*arguments)
    resumed = assess(*arguments, "--json", "-", "--resume")

    assert stopped.exit_code == 130
    assert resumed.exit_code == 0, resumed.output
    assert count(tmp_path / "heard") <= UTTERANCES + 1
    assert json.loads(resumed.stdout) == whole


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--task", "keyword,words"], "no such task"),
        (["--task", ","], "no such task"),
        (["--register", "encoder"], "--register needs MLflow"),
        (["--preset", "best"], "no such preset"),
        (["--shots", "some"], "bad numbers of shots"),
        (["--task", "label:mood"], "what the task label:mood asks for"),
    ],
)
def test_a_wrong_call_ends_with_2_before_anything_is_heard(
    assess: Verb, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], what: str
) -> None:
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))

    result = assess("--audio", words, "--labels", words, *arguments)

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "heard").exists()


# how it ends


BRIEFLY = (
    "--task", "keyword", "--shots", "all", "--heads", "ridge", "--control", "false", "--log-mel", "false",
    "--blocks", "4", "--intervals", "false", "--utterances", "8",
)  # fmt: skip


@pytest.fixture
def decide_on(assess: Verb, words: Path, tmp_path: Path) -> Verb:
    """Assess with a policy of these rules, by default in mode audit; signed by the lab, whom the policy trusts."""
    Desk.laid(tmp_path)

    def call(*options: str | Path, rules: list[dict[str, Any]], **how: Any) -> Result:
        Path("policy.yaml").write_text(policy_text(*rules, **{"mode": "enforce"} | how))
        return assess("--audio", words, "--labels", words, *BRIEFLY, "--policy", "policy.yaml", *options)

    return call


EASY = rule("pilot_at_least", "pilot", value=0.34, bound="point")
HARD = rule("pilot_at_least", "pilot", value=1.0)
KEY = ("--key", "lab.key")


@pytest.mark.parametrize(
    ("rules", "options", "said", "code"),
    [
        ([EASY], KEY, "APPROVED", 0),
        ([HARD], KEY, "DENIED", 1),
        ([EASY], (), "COULD NOT DECIDE", 3),  # nobody has signed
        ([EASY, rule("no_open_alarm")], KEY, "COULD NOT DECIDE", 3),
    ],
)
def test_with_enforce_it_ends_as_the_decision_does_and_else_with_0(
    decide_on: Verb, rules: list[dict[str, Any]], options: tuple[str, ...], said: str, code: int
) -> None:
    enforced = decide_on(*options, "--enforce", rules=rules)
    shown = decide_on(*options, "--enforce", "false", "--json", "-", rules=rules)

    assert enforced.exit_code == code, enforced.output
    assert shown.exit_code == 0
    assert said in enforced.stdout
    assert said in shown.stderr
    assert json.loads(shown.stdout)["kind"] == "Assessment"


def test_a_watch_policy_warns_at_the_end(decide_on: Verb) -> None:
    floor = rule("rank_at_least", "floor", value=100.0, bound="point")

    result = decide_on("--enforce", rules=[floor], mode=None, kind="WatchPolicy")

    assert result.exit_code == 1
    assert "floor" in result.stdout


def test_measurement_and_pilot_are_left_as_evidence_of_one_model(decide_on: Verb) -> None:
    decide_on(*KEY, rules=[EASY])

    statements = [opened(DEFAULT_OUTPUT / "evidence" / f"{name}{SUFFIX}")[1] for name in ("measurement", "pilot")]
    assert statements[0]["subject"] == statements[1]["subject"]
    assert [each["predicateType"] for each in statements] == [
        "urn:mlflow-rank:measurement:v1", "urn:mlflow-rank:pilot:v1",
    ]  # fmt: skip


def test_whom_the_pilot_was_taken_against_is_champion_if_it_is_files(decide_on: Verb, tiny_hubert: Path) -> None:
    not_worse = rule("pilot_not_worse", "not-worse", bound="point")
    model = ("--model", tiny_hubert, "--layers", "all")

    files = decide_on(*KEY, *model, "--against", tiny_hubert, "--enforce", rules=[EASY, not_worse])
    code = decide_on(*KEY, "--against", "module:listeners:plain", "--enforce", rules=[EASY, not_worse])

    assert files.exit_code == 0, files.output
    assert code.exit_code == 3, code.output
    assert "COULD NOT DECIDE" in code.stdout


def test_features_without_weights_cannot_be_decided_on(decide_on: Verb) -> None:
    shown = decide_on("--model", "log-mel", "--layers", "all", rules=[EASY])
    enforced = decide_on("--model", "log-mel", "--layers", "all", "--enforce", rules=[EASY])

    assert (shown.exit_code, enforced.exit_code) == (0, 3), shown.output
    assert "nothing to decide" in enforced.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--to", "champion"], "there is no such target"),
        (["--policy", "none.yaml"], "this file cannot be read"),
        (["--policy", "broken.yaml"], "broken.yaml:1:"),
        (["--trust", "none.yaml"], "this file cannot be read"),
        (["--key", "none.key"], "this key file cannot be read"),
    ],
)
def test_what_the_decision_needs_is_looked_at_before_anything_is_heard(
    decide_on: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], what: str
) -> None:
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    Path("broken.yaml").write_text("kind: Policy")

    result = decide_on(*options, rules=[EASY])

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert not (tmp_path / "heard").exists()


def test_there_is_nothing_to_enforce_without_a_policy(assess: Verb, words: Path) -> None:
    result = assess("--audio", words, "--labels", words, "--enforce")

    assert result.exit_code == 2
    assert "there is no policy to enforce" in result.stderr
