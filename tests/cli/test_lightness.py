"""What must start at once, and on a machine without a model: no heavy package is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

HEAVY = ("torch", "torchaudio", "transformers", "mlflow", "matplotlib", "datasets", "pandas", "sklearn", "pyarrow")


@pytest.mark.parametrize(
    "code",
    [
        "import mlflow_rank",
        "from mlflow_rank.cli import main; main(['--help'], standalone_mode=False)",
        "from mlflow_rank.cli import main; main(['measure', '--help'], standalone_mode=False)",
        "import mlflow_rank.workflow",
    ],
)
def test_no_heavy_package_is_loaded(code: str) -> None:
    look = f"\nimport sys, json; sys.stderr.write(json.dumps([name for name in {HEAVY} if name in sys.modules]))"

    ended = subprocess.run([sys.executable, "-c", code + look], capture_output=True, text=True, check=True, timeout=300)

    assert json.loads(ended.stderr) == []


def test_help_names_every_option_with_its_meaning(measure: Callable[..., Result]) -> None:
    from mlflow_rank.cli.measure import measure_command

    text = measure("--help").stdout

    for option in measure_command.params:
        named: Any = option
        assert named.help, option.name
        assert named.opts[0] in text


@pytest.mark.parametrize("words", [["--version"], ["-h"], ["--help"]])
def test_the_command_itself_answers(words: list[str]) -> None:
    from click.testing import CliRunner

    from mlflow_rank.cli import main

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 0
    assert "mlflow-rank" in result.stdout.lower() or "Usage" in result.stdout


def test_a_fault_of_ours_does_not_look_like_a_refusal(
    measure: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("this should never happen")

    monkeypatch.setattr("mlflow_rank.workflow.measure", fail)

    result = measure("--audio", "anything")

    assert result.exit_code == 3
    assert "please report it" in result.stderr
