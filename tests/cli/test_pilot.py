from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import soundfile
from click.testing import CliRunner, Result
from filed import SUFFIX, opened

from mlflow_rank.cli import main
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.runs.pilot_metrics import pilot_metrics_of

Verb = Callable[..., Result]
Document = dict[str, Any]
UTTERANCES = 72


def strict(text: str) -> Document:
    """Read JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in a document")

    document: Document = json.loads(text, parse_constant=refuse)
    return document


def count(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


# end to end, with MLflow


class Recorded(NamedTuple):
    """What `mlflow-rank pilot` of a HuBERT of three layers left, and what it said."""

    directory: Path
    document: Document
    result: Result


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, tiny_hubert: Path, words: Path, make_words: Callable[..., Path]
) -> Iterator[Recorded]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("piloted")
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("MLFLOW_RANK_CACHE", str(directory / "cache"))
        patch.chdir(directory)
        outside = make_words(directory / "outside", speakers=("gil", "hal", "ida"), noise=0.5)
        words_of_call = ["pilot", "--model", tiny_hubert, "--task", "keyword,speaker", "--labels", words]
        words_of_call += [
            "--labels-ood",
            outside,
            "--shots",
            "1,all",
            "--draws",
            "2",
            "--heads",
            "ridge",
            "--json",
            "pilot.json",
        ]
        words_of_call += ["--tracking-uri", "sqlite:///store.db", "--run-name", "the pilot"]
        result = CliRunner().invoke(main, list(map(str, words_of_call)))
        assert result.exit_code == 0, result.output
        yield Recorded(directory, strict((directory / "pilot.json").read_text()), result)


def test_the_tables_go_to_stdout_and_the_talk_to_stderr(recorded: Recorded) -> None:
    assert "keyword" in recorded.result.stdout
    assert "speaker" in recorded.result.stdout
    assert "loading" not in recorded.result.stdout
    assert "the control: the same architecture with random weights" in recorded.result.stderr
    assert "written to pilot.json" in recorded.result.stderr
    assert re.search(r"MLflow run [0-9a-f]{32}", recorded.result.stderr)


def test_the_document_is_of_three_layers_and_two_tasks(recorded: Recorded) -> None:
    document = recorded.document
    assert [layer["index"] for layer in document["model"]["layers"]] == [0, 1, 2]
    assert [task["task"] for task in document["tasks"]] == ["keyword", "speaker"]
    assert {row["layer"] for row in document["rows"]} == {0, 1, 2, "weighted_sum", "pilot_best"}
    known = [row for row in document["rows"] if row["domain"] == "in_domain" and row["status"] == "ok"]
    assert known
    assert all(row["random"] is not None and row["logmel"] is not None for row in known)


def test_the_run_holds_metrics_splits_and_artifacts(recorded: Recorded) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{recorded.directory / 'store.db'}")
    (run_id,) = re.findall(r"MLflow run ([0-9a-f]{32})", recorded.result.stderr)
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("the pilot", "FINISHED")
    assert run.data.metrics == pytest.approx(pilot_metrics_of(recorded.document))
    assert {f"pilot_keyword/layer_{layer:02d}" for layer in range(3)} <= set(run.data.metrics)
    folder = Path(client.download_artifacts(run_id, "mlflow_rank", str(recorded.directory)))
    names = {path.name for path in folder.iterdir()}
    assert {"pilot.json", "pilot.parquet", "splits.json", "pilot_skipped.jsonl", "confusions"} <= names
    assert any(name.endswith(".svg") for name in names)
    assert strict((folder / "pilot.json").read_text()) == recorded.document
    splits = strict((folder / "splits.json").read_text())
    for task in recorded.document["tasks"]:
        assert splits[task["task"]]["draws"] == task["splits"]["draws"]
    assert len(run.inputs.dataset_inputs) == 4  # two domains of two tasks


def test_the_run_holds_unsigned_evidence_about_the_files_of_the_encoder(recorded: Recorded, tiny_hubert: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{recorded.directory / 'store.db'}")
    (run_id,) = re.findall(r"MLflow run ([0-9a-f]{32})", recorded.result.stderr)
    kept = client.download_artifacts(run_id, f"mlflow_rank/evidence/pilot{SUFFIX}", str(recorded.directory))

    envelope, statement = opened(Path(kept))

    digest = file_manifest(tiny_hubert).digest
    assert envelope["signatures"] == []
    assert statement["subject"] == [{"name": str(tiny_hubert), "digest": {"sha256": digest.removeprefix("sha256:")}}]
    assert statement["predicate"]["document"]["rows"] == recorded.document["rows"]
    assert statement["predicate"]["left_out"] == ["skipped", "tasks[].splits", "tasks[].confusions"]
    assert client.get_run(run_id).data.tags["mlflow_rank.files_digest"] == digest


# what it gives without MLflow


def test_with_json_to_stdout_there_is_nothing_else_on_it(pilot: Verb, words: Path, tmp_path: Path) -> None:
    result = pilot("--labels", words, "--json", "-")

    assert result.exit_code == 0, result.output
    assert strict(result.stdout)["kind"] == "PilotResult"
    assert "loading module:listeners:plain" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}  # nothing was written that was not asked for


def test_against_another_encoder_without_control_and_log_mel(pilot: Verb, words: Path) -> None:
    champion = "random:module:listeners:plain"
    words_of_call = ["--labels", words, "--against", champion, "--control", "false", "--log-mel", "false"]
    document = strict(pilot(*words_of_call, "--json", "-").stdout)

    assert document["against"]["spec"] == champion
    assert document["against"]["files_digest"] not in (None, document["model"]["files_digest"])
    assert document["tasks"][0]["protocol"]["compared_with"] == champion
    for row in document["rows"]:
        assert row["delta_low"] <= row["delta"] <= row["delta_high"]
        assert row["random"] is row["logmel"] is None


def test_output_holds_document_table_and_figures(pilot: Verb, words: Path) -> None:
    result = pilot("--labels", words, "--output", "results", "--seed", "3", "--pooling", "mean_std")

    assert result.exit_code == 0, result.output
    assert "written to results" in result.stderr
    names = {path.name for path in Path("results").iterdir()}
    assert {"pilot.json", "pilot.parquet"} <= names
    assert any(name.endswith(".png") for name in names)
    assert [path.name for path in Path("results/evidence").iterdir()] == [f"pilot{SUFFIX}"]
    task = strict(Path("results/pilot.json").read_text())["tasks"][0]
    assert (task["protocol"]["seed"], task["pooling"]) == (3, "mean_std")


def test_labels_that_prove_nothing_end_with_0_and_a_cause(pilot: Verb, words: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(words.parent, tmp_path / "words")) / "one.jsonl"
    copied.write_text("".join(line for line in words.read_text().splitlines(True) if '"ann"' in line))

    result = pilot("--labels", copied)

    assert result.exit_code == 0, result.output
    assert "every item is of one group" in " ".join(result.output.split())


# what it refuses: exit 2


@pytest.mark.parametrize(
    ("options", "what", "got"),
    [
        ({"task": "words"}, "no such task", "'words'"),
        ({"task": "label:"}, "no such task", "'label:'"),
        ({"task": ","}, "no such task", "''"),
        ({"shots": "few"}, "bad numbers of shots", "--shots few"),
        ({"shots": ""}, "bad numbers of shots", "--shots"),
        ({"shots": "1.5"}, "bad numbers of shots", "--shots 1.5"),
        ({"shots": "0"}, "no such number of shots", "[0]"),
        ({"draws": "0"}, "too few draws", "0"),
        ({"test-share": "1"}, "no such share to test", "1"),
        ({"heads": "svm"}, "no such head", "svm"),
        ({"pooling": "max"}, "no such pooling", "'max'"),
        ({"labels": "no_such_file.jsonl"}, "no such audio source", "no_such_file.jsonl"),
        ({"labels": "none"}, "nothing to pilot", "--labels none"),
        ({"task": "label:mood"}, "what the task label:mood asks for", "with the labels keyword, speaker"),
        ({"against": "random:log-mel"}, "no weights to draw at random", "random:log-mel"),
        ({"workers": "0"}, "bad number of processes", "--workers 0"),
        ({"json": "nowhere/pilot.json"}, "cannot be written there", "nowhere/pilot.json"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_was_given(
    pilot: Verb,
    words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    what: str,
    got: str,
) -> None:
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    options = {"labels": str(words)} | options

    result = pilot(*(word for name, value in options.items() for word in (f"--{name}", value)))

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert got in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "heard").exists()


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"path": ', ""),
        ('{"path": "a.wav", "label": ["go"]}', "label"),
        ('{"path": "a.wav", "keyword": "go", "speaker": 1.5}', "speaker"),
    ],
)
def test_a_bad_line_of_the_manifest_is_refused_by_its_number(
    pilot: Verb, words: Path, tmp_path: Path, line: str, column: str
) -> None:
    good = json.loads(words.read_text().splitlines()[0])
    good["path"] = str(words.parent / good["path"])
    (tmp_path / "bad.jsonl").write_text(f"{json.dumps(good)}\n{line}\n")

    result = pilot("--labels", tmp_path / "bad.jsonl")

    assert result.exit_code == 2, result.output
    assert re.search(r"bad\.jsonl:2\b", result.stderr)
    assert column in result.stderr


def test_a_missing_column_names_those_that_there_are(pilot: Verb, words: Path) -> None:
    result = pilot("--labels", words, "--task", "label:alarm")

    assert result.exit_code == 2
    assert re.search(r"expected: +a column 'alarm'", result.stderr)
    assert "label:keyword" in result.stderr


def test_the_same_audio_on_both_sides_ends_with_2_and_names_the_files(pilot: Verb, words: Path, tmp_path: Path) -> None:
    splits = strict(pilot("--labels", words, "--json", "-").stdout)["tasks"][0]["splits"]
    tested, trained = splits["test"][0], splits["pool"][0]
    copied = Path(shutil.copytree(words.parent, tmp_path / "leak"))
    shutil.copy(copied / tested, copied / trained)

    result = pilot("--labels", copied / words.name)

    assert result.exit_code == 2, result.output
    assert f"tested: {tested}; trained: {trained}" in result.stderr
    assert result.stdout == ""


# what it cannot say: exit 3


def test_more_bad_audio_than_allowed_ends_with_3_and_lists_it(pilot: Verb, words: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(words.parent, tmp_path / "bad"))
    for path in sorted(copied.glob("ann_*.wav")):
        soundfile.write(path, [0.0] * 1600, 16_000)

    result = pilot("--labels", copied / words.name)

    assert result.exit_code == 3, result.output
    assert "12 of 72 (16.7%): 12 silent" in result.stderr
    listed = Path("mlflow_rank_results/skipped.jsonl").read_text().splitlines()
    assert [json.loads(line)["cause"] for line in listed] == ["silent"] * 12


# Ctrl-C


@pytest.mark.parametrize("when", [30, UTTERANCES + 10])  # in the candidate's pass, and in the control's
def test_ctrl_c_keeps_what_was_heard_and_resume_gives_what_an_uninterrupted_run_gives(
    pilot: Verb, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    log, arguments = tmp_path / "heard", ["--labels", words, "--task", "keyword,speaker", "--json", "-"]
    whole = pilot(*arguments)
    monkeypatch.setenv("LISTENER_LOG", str(log))
    monkeypatch.setenv("LISTENER_INTERRUPT", str(when))

    stopped = pilot(*arguments)
    before = count(log)
    resumed = pilot(*arguments, "--resume")

    assert stopped.exit_code == 130
    assert stopped.stdout == ""
    assert "the same command with --resume goes on from there" in stopped.stderr
    assert before == when
    assert resumed.exit_code == 0, resumed.output
    assert count(log) <= 2 * UTTERANCES + 1  # the one that was interrupted may be heard again
    assert resumed.stdout == whole.stdout
    assert not list((tmp_path / "cache").rglob("*.npz"))


# help


@pytest.mark.parametrize("verb", ["pilot", "assess"])
def test_help_shows_examples_that_are_calls_of_the_verb(verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0
    examples = re.findall(rf"^ +mlflow-rank {verb}\b.*$", result.output.split("Examples:")[1], flags=re.MULTILINE)
    assert len(examples) >= 2
    options = {option for command in (main.commands[verb],) for each in command.params for option in each.opts}
    for example in examples:
        assert set(re.findall(r"(?<!\S)--[a-z-]+", example)) <= options
