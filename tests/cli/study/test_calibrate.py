"""`study calibrate` on the command line: from a table and a file of outcomes to words and a policy."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from pasts import past

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.calibrate import calibrate_command
from mlflow_rank.workflow.policies import read_policies

Calibrate = Callable[..., Result]
HEAVY = ("torch", "transformers", "mlflow", "matplotlib", "sklearn", "scipy", "pandas")


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


main.add_command(calibrate_command)


@pytest.fixture
def calibrate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrate:
    """Call `study calibrate` on a table of past versions in `tmp_path`, without MLflow."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, **how: Any) -> Result:
        table, outcomes = past(**how)
        (tmp_path / "past.json").write_text(json.dumps(table.document()), encoding="utf-8")
        with (tmp_path / "outcomes.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["run", "step", "full_score"])
            lines.writerows([run, step, 0.9 if good else 0.6] for (run, step), good in outcomes.items())
        given = ["--table", "past.json", "--no-mlflow", "--outcomes", "outcomes.csv", "--good-from", "0.85"]
        return CliRunner().invoke(main, ["calibrate", *given, *words])

    return call


POLICY = ("--policy-out", "calibrated.yaml", "--owner", "speech-platform", "--model-name", "encoder*")


def test_it_prints_what_was_found_and_writes_a_policy(calibrate: Calibrate, tmp_path: Path) -> None:
    result = calibrate(*POLICY, "--name", "horns", "--to", "Alias:Champion", "--repeats", "run 20,run 21")

    assert result.exit_code == 0, result.output
    assert "A guarantee at 5 % takes 19 bad trainings." in result.stdout
    assert "policy horns with" in result.stderr
    (read,) = read_policies([tmp_path / "calibrated.yaml"])
    policy: Any = read.policy
    assert (policy.metadata.name, policy.metadata.owners) == ("horns", ("speech-platform",))
    assert (policy.match.models, policy.match.targets) == (("encoder*",), ("alias:champion",))
    assert policy.mode == "warn"


def test_json_on_stdout_is_the_document_alone(calibrate: Calibrate) -> None:
    result = calibrate("--json", "-", "--false-promotion-rate", "0.2", "--pilot-layer", "1", bad=5, good=5)

    document = json.loads(result.stdout)
    assert (document["kind"], document["alpha"], document["layer"]) == ("Calibration", 0.2, 1)
    assert document["window"] == {"from_step": 1, "to_step": None, "chosen": False}


def test_where_no_pilot_proves_the_study_is_printed_and_no_policy_written(calibrate: Calibrate, tmp_path: Path) -> None:
    result = calibrate(*POLICY, bad_score=0.8)

    assert result.exit_code == 3
    assert "No policy is proposed" in result.stdout
    assert "no policy is written" in result.stderr
    assert not (tmp_path / "calibrated.yaml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy-out", "calibrated.yaml"), "nobody answers for the policy"),
        ((*POLICY, "--name", "Not This"), "no policy can be written with this"),
        ((*POLICY, "--to", "nowhere"), "there is no such target"),
        (("--policy-out", "past.json", "--owner", "ann"), "this file is there already"),
        (("--pilot-layer", "best of all"), "no such layer"),
        (("--false-promotion-rate", "0"), "false-promotion rate"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(calibrate: Calibrate, words: tuple[str, ...], said: str) -> None:
    result = calibrate(*words, bad=3, good=3)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_neither_outcomes_nor_repeats_are_nothing_to_calibrate_on(tmp_path: Path) -> None:
    table, _ = past(bad=1, good=1)
    (tmp_path / "past.json").write_text(json.dumps(table.document()), encoding="utf-8")

    result = CliRunner().invoke(main, ["calibrate", "--table", str(tmp_path / "past.json"), "--no-mlflow"])

    assert result.exit_code == 2
    assert "nothing to calibrate on" in result.stderr


def test_help_is_complete_and_loads_nothing_heavy() -> None:
    look = f"import sys; sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules))"
    ask = "from mlflow_rank.cli.study.calibrate import calibrate_command as command\n"
    ask += "command(['--help'], standalone_mode=False)\n"

    ended = subprocess.run([sys.executable, "-c", ask + look], capture_output=True, text=True, check=False, timeout=300)

    assert ended.stderr.strip() == ""
    assert "--false-promotion-rate" in ended.stdout
    for option in calibrate_command.params:
        named: Any = option
        assert named.help, option.name
