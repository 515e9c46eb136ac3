"""`study correlate` on the command line: from sources to words, and what is refused on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from checkpoints import write_checkpoint
from click.testing import CliRunner, Result

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.correlate import correlate_command
from mlflow_rank.cli.study.sources import plan_of, sources_of, window_of
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

Correlate = Callable[..., Result]
HEAVY = ("torch", "transformers", "mlflow", "matplotlib", "sklearn", "scipy", "pandas")
QUICK = ("--resamples", "100", "--permutations", "100")


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


main.add_command(correlate_command)


def table(runs: int = 4, steps: int = 9, **settings: Any) -> Trajectories:
    """Trajectories in which rank and pilot share a trend and what is beside it."""
    rng = np.random.default_rng(5)
    observations = []
    for run in range(runs):
        for step in (0, *(25 * 2**place for place in range(steps))):
            for layer in range(4):
                beside = rng.normal()
                known = {"rank_frame": 20 + np.log1p(step) + beside, "rankme_t": 9 + rng.normal()}
                scores = {"pilot_keyword": 0.4 + 0.03 * np.log1p(step) + 0.02 * beside}
                observations.append(Observation(f"seed_{run}", step, layer, 9 - np.log1p(step) / 2, known, scores))
    outcome = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
    said = {"rank.dtype": "float32", "pilot.keyword.seed": 0} | settings
    return Trajectories(tuple(observations), (outcome,), Conventions(said))


@pytest.fixture
def correlate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Correlate:
    """Call `study correlate` in `tmp_path`, where `table.json` lies, without MLflow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_RANK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "table.json").write_text(json.dumps(table().document()))

    def call(*words: str | Path) -> Result:
        return CliRunner().invoke(main, ["correlate", "--no-mlflow", *map(str, words)])

    return call


def test_it_says_what_was_found_and_in_which_window(correlate: Correlate) -> None:
    result = correlate("--table", "table.json", *QUICK)

    assert result.exit_code == 0, result.output
    assert "keyword" in result.stdout
    assert "from step 1 on; that is the default" in " ".join(result.stdout.split())


def test_the_document_says_the_window_and_the_seed_and_stdout_holds_nothing_else(correlate: Correlate) -> None:
    result = correlate("--table", "table.json", *QUICK, "--from-step", "50", "--seed", "3", "--json", "-")

    document = json.loads(result.stdout)

    assert document["kind"] == "CorrelationStudy"
    assert document["asked_window"] == {"from_step": 50, "to_step": None, "chosen": True}
    assert document["window"]["from_step"] == 50
    assert document["seed"] == 3


def test_only_what_was_asked_for_is_looked_at(correlate: Correlate) -> None:
    asked = ("--predictors", "rankme_t", "--outcomes", "pilot_keyword", "--correction", "bh")

    document = json.loads(correlate("--table", "table.json", *QUICK, *asked, "--json", "-").stdout)

    assert document["predictors"] == ["rankme_t"]
    assert {each["correction"] for each in document["families"]} == {"bh"}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "nothing to study"),
        (("--table", "gone.json"), "this table cannot be read"),
        (("--table", "table.json,other.json"), "rank.dtype"),
        (("--table", "table.json", "--predictors", "rank_of_nobody"), "no such rank"),
        (("--table", "table.json", "--outcomes", "pilot_nobody"), "no such pilot score"),
        (("--table", "table.json", "--from-step", "100000"), "no checkpoint lies in the window"),
        (("--table", "table.json", "--from-step", "9", "--to-step", "3"), "ends before it begins"),
        (("--table", "table.json", "--resamples", "3"), "too few draws"),
        (("--checkpoints", "empty"), "there is no checkpoint here"),
        (("--checkpoints", "empty", "--as", "nothing"), "where the checkpoint comes in"),
    ],
)
def test_what_cannot_be_studied_is_a_wrong_call(
    correlate: Correlate, tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text(json.dumps(table(**{"rank.dtype": "bfloat16"}).document()))

    result = correlate(*words)

    assert result.exit_code == 2, result.output
    assert what in result.stderr
    assert "Traceback" not in result.output


def test_checkpoints_are_assessed_once_and_the_table_serves_again(
    correlate: Correlate, tiny_hubert: Path, words: Path, tmp_path: Path
) -> None:
    for step in (10, 20):
        write_checkpoint(tiny_hubert, tmp_path / "runs" / f"checkpoint-{step}", seed=step, loss=3.0)
    given = ("--checkpoints", "runs", "--audio", words, "--labels", words, "--device", "cpu", "--save-table", "t.json")

    first = correlate(*given, *QUICK)
    again = correlate(*given, *QUICK)
    from_table = correlate("--table", "t.json", *QUICK)

    assert first.exit_code == 0, first.output
    assert "runs, step 20: assessed (2 of 2)" in first.stderr
    assert "2 of 2 checkpoints were assessed before" in again.stderr
    assert "not enough" in first.stdout
    assert first.stdout == again.stdout == from_table.stdout
    saved = json.loads((tmp_path / "t.json").read_text())
    assert {row[saved["columns"].index("loss")] for row in saved["rows"]} == {3.0}


def given_options(*words: str) -> tuple[dict[str, Any], bool]:
    """Return the options that words mean, and whether versions would be assessed."""
    with correlate_command.make_context("correlate", list(words)) as context:
        return dict(context.params), sources_of(context.params).assess_versions


def test_the_studys_seed_is_not_that_of_the_pilots() -> None:
    options, _ = given_options("--seed", "7")
    assert {each.seed for each in plan_of(options).pilots} == {0}
    options, _ = given_options("--pilot-seed", "7", "--task", "keyword,speaker")
    assert [(each.task, each.seed) for each in plan_of(options).pilots] == [("keyword", 7), ("speaker", 7)]


def test_versions_are_assessed_only_where_labels_are_named() -> None:
    assert given_options()[1] is False
    assert given_options("--labels", "words.jsonl")[1] is True


def test_the_window_says_whether_a_person_chose_it() -> None:
    assert "that is the default" in window_of(given_options()[0]).sentence()
    assert "that was asked for" in window_of(given_options("--to-step", "9")[0]).sentence()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mlflow_rank.cli.study.correlate import correlate_command as c; "
        f"c.main(['--help'], standalone_mode=False); sys.exit(str([m for m in {HEAVY!r} if m in sys.modules] or ''))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == ""
    assert "--checkpoints" in done.stdout
