"""`study protocol` and `study compare` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import evidence
import pytest
from click.testing import CliRunner, Result

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.compare import compare_command
from mlflow_rank.cli.study.protocol import protocol_command

RECOMMENDED = Path(__file__).parents[3] / "policies" / "speech-encoder.yaml"


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


main.add_command(compare_command)
main.add_command(protocol_command)


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--no-mlflow"])


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    path = tmp_path / "ranks.json"
    path.write_text(json.dumps(evidence.measurement()))
    return path


def test_the_protocol_is_markdown_on_stdout_and_a_page_in_files(tmp_path: Path) -> None:
    result = call("protocol", "--policy", RECOMMENDED, "--output", tmp_path / "out")

    assert result.exit_code == 0
    assert result.stdout.startswith("# How we measure speech encoders\n")
    assert (tmp_path / "out" / "protocol.md").read_text() == result.stdout
    assert "Rank alone never approves" in (tmp_path / "out" / "study.html").read_text()
    assert json.loads((tmp_path / "out" / "study.json").read_text())["digest"] in result.stdout


def test_the_protocol_as_json_is_its_document_and_nothing_else() -> None:
    document = json.loads(call("protocol", "--policy", RECOMMENDED, "--json", "-").stdout)

    assert document["kind"] == "Protocol"
    assert document["policies"][0]["name"] == "speech-encoder"


def test_a_protocol_without_a_policy_is_a_usage_error() -> None:
    assert call("protocol").exit_code == 2


def test_what_is_comparable_stands_side_by_side(ranks: Path) -> None:
    result = call("compare", ranks, ranks)

    assert result.exit_code == 0
    assert "their numbers mean the same" in result.stdout
    assert "layer 2  rank_frame" in result.stdout


def test_what_is_not_comparable_ends_with_2_and_every_setting_that_differs(ranks: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(evidence.measurement(dtype="bfloat16", protocol={"frame_stride": 5})))

    result = call("compare", ranks, other)

    assert result.exit_code == 2
    assert "numbers of different conventions cannot be compared: rank.dtype, rank.frame_stride" in result.stderr
    assert "rank.frame_stride: 1 and 5" in result.stderr
    assert result.stdout == ""


def test_the_comparison_as_json_has_every_number(ranks: Path) -> None:
    document = json.loads(call("compare", ranks, ranks, "--json", "-").stdout)

    assert document["kind"] == "Comparison"
    assert {each["what"] for each in document["numbers"]} >= {"rank_frame", "rank_utterance", "rankme_t"}
