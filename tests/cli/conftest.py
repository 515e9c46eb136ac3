from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlflow_rank.cli import main

MODULES = Path(__file__).parents[1] / "modules"

Measure = Callable[..., Result]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Call `mlflow-rank measure` in this process, in `tmp_path`, without MLflow; by default of a tiny encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(MODULES)
    monkeypatch.setenv("MLFLOW_RANK_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str | Path, model: str = "module:listeners:plain", mlflow: bool = False) -> Result:
        words = ["measure", "--model", model, *map(str, arguments)]
        if model.startswith("module:") and "--layers" not in words:
            words += ["--layers", "blocks.*"]
        return CliRunner().invoke(main, words if mlflow else [*words, "--no-mlflow"])

    return call
