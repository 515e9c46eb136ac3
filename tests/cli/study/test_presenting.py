"""What a study leaves: words, files, a run; and where the run cannot be had, the files all the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from studied import study

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.options import PRESENTATION, STUDY_SEED
from mlflow_rank.cli.study.presenting import present

Correlate = Callable[..., Result]
PLAIN = replace(study(), figures=study().figures[:1])  # drawing takes longer than all else here


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


@main.command("correlate")
@STUDY_SEED
@PRESENTATION
def correlate_command(**options: Any) -> None:
    present(PLAIN, options)


@pytest.fixture
def correlate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Correlate:
    """Call a command that presents a study, in `tmp_path`."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> Result:
        return CliRunner().invoke(main, ["correlate", *map(str, words)])

    return call


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


def only_run_in(store: str, experiment: str) -> Any:
    client = MlflowClient(store)
    (found,) = client.search_experiments(filter_string=f"name = '{experiment}'")
    (run,) = client.search_runs([found.experiment_id])
    return run


def left(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


FILES = {
    "study.json", "study.html", "tables/within_layer.csv", "tables/by_step.csv",
    "figures/scatter.svg", "figures/scatter.png",
}  # fmt: skip


def test_without_anything_asked_for_it_prints_and_writes_nothing(correlate: Correlate, tmp_path: Path) -> None:
    result = correlate("--no-mlflow")
    assert result.exit_code == 0
    assert result.stdout.startswith(PLAIN.title)
    assert result.stderr == ""
    assert left(tmp_path) == set()


def test_with_json_to_stdout_there_is_nothing_else_on_it(correlate: Correlate) -> None:
    result = correlate("--json", "-", "--no-mlflow")
    assert json.loads(result.stdout) == PLAIN.document


def test_with_json_to_a_file_both_are_given(correlate: Correlate, tmp_path: Path) -> None:
    result = correlate("--json", "study.json", "--no-mlflow")
    assert json.loads((tmp_path / "study.json").read_bytes()) == PLAIN.document
    assert PLAIN.title in result.stdout
    assert "written to study.json" in result.stderr


def test_output_and_a_run_hold_the_same_files(correlate: Correlate, tmp_path: Path, store: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "policy.yaml").write_text("ours")
    result = correlate("--output", "out", "--tracking-uri", store, "--run-name", "weekly")
    assert result.exit_code == 0, result.output
    assert left(tmp_path / "out") == FILES | {"policy.yaml"}

    run = only_run_in(store, "mlflow_rank")
    assert f"MLflow run {run.info.run_id} (to see it: " in result.stderr
    assert run.info.run_name == "weekly"
    assert run.data.metrics == {"study_correlate/spearman/keyword": 0.71, "study_correlate/regret": 0.063}
    assert "\n- Within a layer" in run.data.tags["mlflow.note.content"]
    (tmp_path / "read").mkdir()
    read = MlflowClient(store).download_artifacts(
        run.info.run_id, "mlflow_rank/study_correlate", str(tmp_path / "read")
    )
    assert left(Path(read)) == FILES
    assert (Path(read) / "study.html").read_bytes() == (tmp_path / "out" / "study.html").read_bytes()
    assert not (tmp_path / "mlflow_rank_results").exists()


@pytest.mark.parametrize("output", ["out", None])
def test_a_store_that_is_none_is_exit_3_and_the_results_are_kept_where_it_says(
    correlate: Correlate, tmp_path: Path, output: str | None
) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    words = ["--tracking-uri", f"sqlite:///{tmp_path / 'broken.db'}"]
    result = correlate(*words, *(["--output", output] if output else []))
    place = output or "mlflow_rank_results/study_correlate"
    assert result.exit_code == 3
    assert PLAIN.title in result.stdout
    assert result.stderr.count(f"the results are kept at {place}") == 2  # said when done, and by the error
    assert left(tmp_path) == {f"{place}/{name}" for name in FILES} | {"broken.db"}


def test_ctrl_c_while_it_is_recorded_loses_nothing(
    correlate: Correlate, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "log_artifacts", stopped)
    result = correlate("--tracking-uri", store, "--experiment", "stopped")
    assert result.exit_code == 130
    assert "the results are kept at mlflow_rank_results/study_correlate" in result.stderr
    assert left(tmp_path / "mlflow_rank_results" / "study_correlate") == FILES
    run = only_run_in(store, "stopped")
    assert run.info.status == "FAILED"
