"""`study plan` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mlflow_rank.cli.main import Verbs
from mlflow_rank.cli.study.compare import compare_command
from mlflow_rank.cli.study.plan import plan_command
from mlflow_rank.cli.study.protocol import protocol_command

HEAVY = ("torch", "transformers", "mlflow", "matplotlib", "sklearn", "scipy", "pandas")


@click.group(cls=Verbs)
def main() -> None:
    """Stand where the command line stands."""


main.add_command(plan_command)


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["plan", "--no-mlflow", *words])


def test_a_plan_says_what_is_needed_and_what_is_saved() -> None:
    result = call("--discordant", "0.1", "--icc", "0.03", "--full-labels", "10000", "--price-per-label", "0.1")

    assert result.exit_code == 0
    assert "540 test items of at least 27 speakers show a difference of 5 points with 80 % power" in result.stdout
    assert "Labels saved: 9,260 of 10,000, worth 926.00 at 0.1 a label" in result.stdout


def test_the_document_says_all_of_it() -> None:
    document = json.loads(call("--json", "-", "--speakers", "400", "--margin", "0.1").stdout)

    assert document["kind"] == "Plan"
    assert [each["kind"] for each in document["needs"]] == ["difference", "margin"]
    assert document["labels"] == document["test_items"] + document["train_labels"]


def test_files_hold_the_figures(tmp_path: Path) -> None:
    result = call("--output", str(tmp_path / "out"))

    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "out").rglob("*.svg")} == {"power_by_items.svg", "power_by_speakers.svg"}


def test_a_number_that_makes_no_sense_is_a_usage_error() -> None:
    result = call("--resolution", "5")

    assert result.exit_code == 2
    assert "expected: a share above 0 and below 1" in result.stderr


@pytest.mark.parametrize("command", [plan_command, protocol_command, compare_command], ids=lambda each: each.name)
def test_every_option_has_a_meaning(command: click.Command) -> None:
    for option in command.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), option.name


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys, json\n"
        "for name in ('plan', 'protocol', 'compare'):\n"
        "    module = __import__(f'mlflow_rank.cli.study.{name}', fromlist=['x'])\n"
        "    getattr(module, f'{name}_command').main(['--help'], standalone_mode=False)\n"
        f"sys.stderr.write(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert json.loads(ended.stderr) == []
