"""`study short-sounds` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mlflow_rank.cli.study.short_sounds import short_sounds_command
from mlflow_rank.errors import UsageError

FEW = ["--lengths", "0.05", "--counts", "12,24", "--strides", "none", "--duties", "none", "--snr", "none"]


@pytest.fixture
def given(words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the options of a tiny study that leaves nothing elsewhere."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "modules")
    monkeypatch.chdir(tmp_path)
    model = ["--model", "module:listeners:plain", "--layers", "blocks.*", "--device", "cpu"]
    return [*model, "--labels", str(words), "--task", "keyword", "--no-mlflow", "--cache", str(tmp_path / "c"), *FEW]


def test_the_document_goes_to_stdout_alone_and_the_readings_to_keep(given: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(
        short_sounds_command, [*given, "--quick", "--json", "-", "--keep", str(tmp_path / "kept")]
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["kind"] == "ShortSoundsStudy"
    conditions = document["settings"]["conditions"]
    assert (conditions["lengths"], conditions["bursts"], conditions["each"]) == ([0.05], [], 200)  # quick, but for ours
    assert {each["other"] for each in document["comparisons"]} == {"shuffled"}
    assert len(list((tmp_path / "kept").glob("sounds-*.json"))) == 2 * 2


@pytest.mark.parametrize(
    ("options", "message"), [(["--lengths", "a"], "bad numbers"), (["--counts", "1.5"], "bad numbers")]
)
def test_numbers_that_are_none_are_refused(given: list[str], options: list[str], message: str) -> None:
    done = CliRunner().invoke(short_sounds_command, [*given, *options])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_its_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner;"
        "from mlflow_rank.cli.study.short_sounds import short_sounds_command as command;"
        "done = CliRunner().invoke(command, ['--help']); assert done.exit_code == 0, done.output;"
        "heavy = ('torch', 'mlflow', 'matplotlib', 'sklearn', 'scipy', 'transformers');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_option_is_explained() -> None:
    options: list[Any] = [each for each in short_sounds_command.params if isinstance(each, click.Option)]
    assert all(each.help for each in options)
