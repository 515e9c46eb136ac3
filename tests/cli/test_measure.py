from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import Result
from filed import SUFFIX, Desk, opened, trust

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.presented import present
from mlflow_rank.spectra import METRICS, PRESETS
from mlflow_rank.workflow import DEFAULT_OUTPUT

Measure = Callable[..., Result]
FATAL_SAMPLES = 3999  # as tests/modules/listeners.py has it
ROW = {
    "layer", "name", "level", "centred", "metric", "value", "corrected", "se", "low", "high",
    "n", "n_utterances", "n_speakers", "n_effective", "dim", "status", "cause",
}  # fmt: skip


def strict(text: str) -> dict[str, Any]:
    """Read JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in a document")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


# what it gives


def test_the_table_goes_to_stdout_and_the_talk_to_stderr(measure: Measure, recordings: Path) -> None:
    result = measure("--audio", recordings)

    assert result.exit_code == 0
    assert "frames, centred, D = 8" in result.stdout
    assert "utterance means" in result.stdout
    assert "loading module:listeners:plain" in result.stderr
    assert "loading" not in result.stdout


def test_with_json_to_stdout_there_is_nothing_else_on_it(
    mlflow_rank: Callable[..., Any], recordings: Path, tmp_path: Path
) -> None:
    ended = mlflow_rank(
        "measure", "--model", "module:listeners:plain", "--layers", "blocks.*", "--audio", recordings, "--no-mlflow",
        "--json", "-",
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert strict(ended.stdout)["kind"] == "RankMeasurement"
    assert "listening" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}  # nothing was written that was not asked for


def test_with_json_to_a_file_the_table_stays(measure: Measure, recordings: Path) -> None:
    result = measure("--audio", recordings, "--json", "ranks.json")

    assert strict(Path("ranks.json").read_text())["kind"] == "RankMeasurement"
    assert "frames, centred, D = 8" in result.stdout
    assert "written to ranks.json" in result.stderr


def test_output_holds_document_table_figures_and_what_was_skipped(measure: Measure, recordings: Path) -> None:
    result = measure("--audio", recordings, "--output", "results", "--control")

    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("results").iterdir()} == {
        "measurement.json", "control.json", "layers.parquet", "skipped.jsonl", "rank_by_layer.svg", "rank_by_layer.png",
        "evidence",
    }  # fmt: skip
    measured, control = (strict(Path("results", name).read_text()) for name in ("measurement.json", "control.json"))
    assert control["model"]["spec"] == "random:module:listeners:plain"
    assert control["model"]["digest"] != measured["model"]["digest"]
    assert control["audio"]["corpus_digest"] == measured["audio"]["corpus_digest"]


# the evidence it leaves


def test_without_a_key_evidence_is_left_unsigned_with_the_results(measure: Measure, recordings: Path) -> None:
    result = measure("--audio", recordings, "--output", "results", "--utterances", "4", "--intervals", "false")

    (path,) = Path("results/evidence").iterdir()
    envelope, statement = opened(path)
    assert "evidence, unsigned (no --key): results/evidence" in result.stderr
    assert path.name == f"measurement{SUFFIX}"
    assert envelope["signatures"] == []
    assert (
        statement["predicate"]["document"]["audio"]["corpus_digest"]
        == (strict(Path("results/measurement.json").read_text())["audio"]["corpus_digest"])
    )


def test_with_a_key_it_is_signed_and_left_even_where_nothing_else_is(
    measure: Measure, recordings: Path, tmp_path: Path
) -> None:
    desk = Desk.laid(tmp_path)

    result = measure(
        "--audio", recordings, "--utterances", "4", "--intervals", "false", "--key", desk.place / "lab.key"
    )

    assert result.exit_code == 0, result.output
    (path,) = (DEFAULT_OUTPUT / "evidence").iterdir()
    seen = present(path.read_bytes(), trust=trust())
    assert ([signer.name for signer in seen.signers], seen.problems) == (["lab"], ())


def test_an_encoder_without_files_of_its_own_is_bound_to_its_export(measure: Measure, recordings: Path) -> None:
    measure("--audio", recordings, "--output", "results", "--utterances", "4", "--intervals", "false", "--control")
    export_encoder(load_encoder("module:listeners:plain", layers="blocks.*"), Path("exported"))

    _, statement = opened(Path("results/evidence") / f"measurement{SUFFIX}")

    digest = file_manifest(Path("exported")).digest
    control = strict(Path("results/control.json").read_text())["model"]
    assert statement["subject"] == [
        {"name": "module:listeners:plain", "digest": {"sha256": digest.removeprefix("sha256:")}}
    ]
    assert statement["predicate"]["document"]["model"]["files_digest"] == digest
    assert control["files_digest"] is None


def test_features_without_weights_leave_no_evidence(measure: Measure, recordings: Path) -> None:
    result = measure("--audio", recordings, "--output", "results", "--utterances", "4", model="log-mel")

    assert result.exit_code == 0, result.output
    assert not Path("results/evidence").exists()
    assert "evidence" not in result.stderr


# the document


@pytest.fixture
def document(measure: Measure, recordings: Path) -> dict[str, Any]:
    return strict(measure("--audio", recordings, "--json", "-", "--blocks", "4").stdout)


def test_the_document_has_its_parts_and_rows_have_exactly_their_columns(document: dict[str, Any]) -> None:
    assert set(document) == {"kind", "model", "audio", "protocol", "skipped", "ranks"}
    assert {frozenset(row) for row in document["ranks"]} == {frozenset(ROW)}
    assert document["skipped"] == []
    assert document["model"]["spec"] == "module:listeners:plain"
    assert document["model"]["digest"].startswith("sha256:")
    assert document["audio"]["utterances"] == 24
    assert document["protocol"]["frame_stride"] == 1


def test_every_metric_is_there_once_for_each_layer_level_and_centring(document: dict[str, Any]) -> None:
    found = [(row["layer"], row["level"], row["metric"], row["centred"]) for row in document["ranks"]]

    expected = {
        (layer, level, name, centred)
        for layer in (1, 2)
        for level in PRESETS["robust"].levels
        for name in PRESETS["robust"].metrics
        if level in METRICS[name].levels
        for centred in METRICS[name].centrings
    }
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert {(2, "frame", "effective_rank", True), (2, "frame", "effective_rank", False)} <= expected
    assert (2, "frame", "rankme", False) in expected
    assert (2, "frame", "rankme", True) not in expected


def test_a_row_says_what_it_rests_on(document: dict[str, Any]) -> None:
    for row in document["ranks"]:
        frames = row["level"] == "frame"
        assert row["n"] == (24 * 319 if frames else 24)  # a third each have 239, 319 and 399 frames
        assert (row["n_utterances"], row["n_speakers"], row["dim"]) == (24, 0, 8)
        assert (row["cause"] is None) == (row["status"] == "ok")
        if row["status"] == "ok":
            assert row["low"] <= row["corrected"] <= row["high"]


def test_the_same_request_gives_the_same_bytes(measure: Measure, recordings: Path) -> None:
    arguments = ["--audio", recordings, "--json", "-", "--hours", "0.0008", "--seed", "3"]  # a part of the 4.8 s

    assert measure(*arguments).stdout_bytes == measure(*arguments).stdout_bytes


def test_the_budget_leaves_utterances_out_and_says_so(measure: Measure, recordings: Path) -> None:
    audio = strict(measure("--audio", recordings, "--json", "-", "--utterances", "9").stdout)["audio"]

    assert audio["utterances"] == 9
    assert audio["left_out"] == {"over_budget": 15}


def test_the_paper_preset_gives_rankme_of_summed_frames_only(measure: Measure, recordings: Path) -> None:
    document = strict(measure("--audio", recordings, "--json", "-", "--preset", "rankme_t").stdout)

    assert {(row["metric"], row["level"], row["centred"]) for row in document["ranks"]} == {
        ("rankme_t", "utterance_sum", False)
    }
    assert "Reconstructed from secondary readings" in document["protocol"]["preset_note"]


def test_too_few_frames_are_unknown_with_the_minutes_still_needed(measure: Measure, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.random.default_rng(0).normal(size=60) * 0.1, 1000 * 16)

    document = strict(measure("--audio", tmp_path, "--json", "-", "--min-duration", "0", "--hours", "none").stdout)

    unknown = [row for row in document["ranks"] if row["metric"] == "effective_rank" and row["level"] == "frame"]
    assert {row["status"] for row in unknown} == {"unknown"}
    for row in unknown:
        assert (row["n"], row["value"], row["low"]) == (5, None, None)
        assert "5 rows for 8 dimensions" in row["cause"]
        assert re.search(r"about [0-9.e-]+ more minutes of such audio", row["cause"])


# what it refuses: exit 2


@pytest.mark.parametrize(
    ("options", "what", "got"),
    [
        ({"model": "no/such/directory/here"}, "no such directory", "no/such/directory/here"),
        ({"model": "module:listeners:nobody"}, "factory cannot be imported", "listeners:nobody"),
        ({"audio": "no_such_file.jsonl"}, "no such audio source", "no_such_file.jsonl"),
        ({"audio": "empty"}, "no audio there", "empty"),
        ({"layers": "attention.*"}, "no module of the encoder has this name", "attention.*"),
        ({"preset": "best"}, "no such preset", "best"),
        ({"frame-stride": "0"}, "frame_stride", "0"),
        ({"channel": "left"}, "bad channel", "left"),
        ({"max-skipped": "2"}, "bad share", "2"),
        ({"device": "tpu"}, "device", "tpu"),
        ({"dtype": "float8"}, "number format", "float8"),
        ({"json": "nowhere/ranks.json"}, "cannot be written there", "nowhere/ranks.json"),
        ({"output": __file__}, "cannot be written there", __file__),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_was_given(
    measure: Measure, recordings: Path, tmp_path: Path, options: dict[str, str], what: str, got: str
) -> None:
    (tmp_path / "empty").mkdir()
    options = {"model": "module:listeners:plain", "audio": str(recordings)} | options
    model = options.pop("model")

    result = measure(*(word for name, value in options.items() for word in (f"--{name}", value)), model=model)

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert got in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_layer_that_a_hubert_does_not_have_is_refused_with_those_it_has(
    measure: Measure, recordings: Path, tiny_hubert: Path
) -> None:
    result = measure("--audio", recordings, "--layers", "0,7", model=str(tiny_hubert))

    assert result.exit_code == 2
    assert re.search(r"got: +.*7", result.stderr)
    assert re.search(r"expected: .*2", result.stderr)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"path": "a.wav", "start": 2, "end": 1}', "end"),
        ('{"file": "a.wav"}', "path"),
        ('{"path": "a.wav", "path": "b.wav"}', "path"),
        ('{"path": ', ""),
    ],
)
def test_a_bad_line_of_a_manifest_is_refused_by_its_number(
    measure: Measure, tmp_path: Path, line: str, column: str
) -> None:
    (tmp_path / "list.jsonl").write_text(f'{{"path": "good.wav"}}\n{line}\n')
    soundfile.write(tmp_path / "good.wav", np.random.default_rng(0).normal(size=4000) * 0.1, 16_000)

    result = measure("--audio", tmp_path / "list.jsonl")

    assert result.exit_code == 2, result.output
    assert re.search(r"list\.jsonl:2\b", result.stderr)
    assert column in result.stderr


def test_register_without_mlflow_is_refused_before_anything_is_loaded(measure: Measure) -> None:
    result = measure("--register", "encoder", model="no/such/model")

    assert result.exit_code == 2
    assert "--register needs MLflow" in result.stderr


# what it cannot say: exit 3


def test_more_bad_audio_than_allowed_ends_with_3_and_lists_it(
    measure: Measure, make_recordings: Callable[..., Path], tmp_path: Path
) -> None:
    directory = make_recordings(tmp_path / "audio", count=8)
    (directory / "text.wav").write_text("not audio")
    soundfile.write(directory / "silent.wav", np.zeros(4000), 16_000)
    (directory / "cut.wav").write_bytes((directory / "utterance_02.wav").read_bytes()[:5000])

    result = measure("--audio", directory)

    assert result.exit_code == 3, result.output
    assert "3 of 11 (27.3%)" in result.stderr
    assert "mlflow_rank_results/skipped.jsonl" in result.stderr
    listed = [json.loads(line) for line in Path("mlflow_rank_results/skipped.jsonl").read_text().splitlines()]
    assert {each["key"]: each["cause"] for each in listed} == {
        "cut.wav": "truncated",
        "silent.wav": "silent",
        "text.wav": "unreadable",
    }

    allowed = measure("--audio", directory, "--max-skipped", "0.3", "--json", "-")
    assert allowed.exit_code == 0, allowed.output
    assert [each["cause"] for each in strict(allowed.stdout)["skipped"]] == ["truncated", "silent", "unreadable"]


@pytest.mark.parametrize("max_skipped", ["0.05", "1"])
def test_nothing_but_silence_ends_with_3(measure: Measure, tmp_path: Path, max_skipped: str) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(4000), 16_000)

    result = measure("--audio", tmp_path, "--max-skipped", max_skipped)

    assert result.exit_code == 3, result.output
    assert "silent" in result.stderr or "peak" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_encoder_that_returns_nan_ends_with_3_and_names_layer_and_utterance(
    measure: Measure, make_recordings: Callable[..., Path], tmp_path: Path
) -> None:
    directory = make_recordings(tmp_path / "audio", count=4, lengths=(FATAL_SAMPLES - 1, FATAL_SAMPLES))

    result = measure("--audio", directory, model="module:listeners:faulty")

    assert result.exit_code == 3
    assert "NaN or infinity in layer 2 (blocks.1)" in result.stderr
    assert re.search(r"utterance_0[13]\.wav", result.stderr)


def test_without_mlflow_s_server_the_results_are_kept_and_it_ends_with_3(
    measure: Measure, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    # Port 9 is the discard service's: nothing listens there.
    result = measure("--audio", recordings, "--tracking-uri", "http://127.0.0.1:9", mlflow=True)

    assert result.exit_code == 3, result.output
    assert "MLflow cannot be used at http://127.0.0.1:9" in result.stderr
    assert "the results are kept at mlflow_rank_results" in result.stderr
    assert Path("mlflow_rank_results/skipped.jsonl").exists()
    assert strict(Path("mlflow_rank_results/measurement.json").read_text())["kind"] == "RankMeasurement"
    assert Path("mlflow_rank_results/rank_by_layer.svg").exists()
    assert "frames, centred, D = 8" in result.stdout


# what it takes


def test_a_stereo_mp3_at_44_1_khz_is_heard(measure: Measure, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(44_100, 2)) * 0.1
    soundfile.write(tmp_path / "music.mp3", samples, 44_100)

    document = strict(measure("--audio", tmp_path, "--json", "-").stdout)

    assert document["audio"]["utterances"] == 1
    assert document["audio"]["minutes"] == pytest.approx(1 / 60, rel=0.1)  # MP3 pads to whole blocks


@pytest.mark.parametrize("absent", ["none", "", "None"])
def test_none_leaves_an_option_out(measure: Measure, recordings: Path, absent: str) -> None:
    result = measure(
        "--audio", recordings, "--json", absent, "--register", absent, "--utterances", absent, "--hours", absent
    )

    assert result.exit_code == 0, result.output
    assert not Path("none").exists()
    assert "frames, centred, D = 8" in result.stdout


@pytest.mark.parametrize(("words", "switched"), [((), False), (("--control",), True), (("--control", "false"), False)])
def test_a_switch_takes_a_value_or_none(
    measure: Measure, recordings: Path, words: tuple[str, ...], switched: bool
) -> None:
    result = measure("--audio", recordings, *words, "--intervals", "false")

    assert result.exit_code == 0, result.output
    assert ("random weights" in result.stderr) == switched
