"""`study predict` on the command line: from a table to words, a document and files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from told_by_rank import trainings

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.predict import predict_command

Predict = Callable[..., Result]
HEAVY = ("torch", "transformers", "mlflow", "matplotlib", "sklearn", "scipy", "pandas")


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


main.add_command(predict_command)


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Call `study predict` on a table of simulated trainings in `tmp_path`, without MLflow."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, **how: Any) -> Result:
        table = trainings(1, **{"own": 1.0, "layers": 1, "runs": 3} | how)
        (tmp_path / "table.json").write_text(json.dumps(table.document()), encoding="utf-8")
        return CliRunner().invoke(main, ["predict", "--table", "table.json", "--no-mlflow", *words])

    return call


def test_it_says_whether_ranks_are_good_enough_and_leaves_files(predict: Predict, tmp_path: Path) -> None:
    result = predict("--output", "study", runs=4)

    assert result.exit_code == 0, result.output
    assert "Keyword in domain: ranks are good enough for triage." in result.stdout
    assert "approves nothing" in result.stdout
    assert json.loads((tmp_path / "study" / "study.json").read_text())["kind"] == "PredictionStudy"
    assert "ranks and step" in (tmp_path / "study" / "study.html").read_text()


def test_json_on_stdout_is_the_document_alone(predict: Predict) -> None:
    result = predict("--json", "-", "--clear-difference", "0.1", "--seed", "4", "--predictors", "rank_frame")

    document = json.loads(result.stdout)
    assert (document["clear_difference"], document["seed"], document["predictors"]) == (0.1, 4, ["rank_frame"])


def test_one_run_is_not_enough_and_no_number_is_given(predict: Predict) -> None:
    result = predict(runs=1)

    assert result.exit_code == 0, result.output
    assert "not enough: 1 runs of 8 checkpoints or more, 3 needed" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--outcomes", "pilot_speaker"), "no such pilot score"),
        (("--predictors", "rankme_t"), "no such rank"),
        (("--clear-difference", "0"), "this difference is none"),
        (("--model", "forest"), "Invalid value for '--model'"),
        (("--from-step", "5000"), "no checkpoint lies in the window"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(predict: Predict, words: tuple[str, ...], said: str) -> None:
    result = predict(*words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, json; from mlflow_rank.cli.study.predict import predict_command as it; "
        "it(['--help'], standalone_mode=False); "
        f"sys.stderr.write(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)

    assert json.loads(ended.stderr) == []
    assert "--clear-difference" in ended.stdout
