from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

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
