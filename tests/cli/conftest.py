from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filed import Desk

from mlflow_rank.cli import main

MODULES = Path(__file__).parents[1] / "modules"

Measure = Callable[..., Result]
Verb = Callable[..., Result]


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


@pytest.fixture
def labelled_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Verb]:
    """Make a call of `mlflow-rank VERB` in this process, in `tmp_path`, without MLflow; of a tiny encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(MODULES)
    monkeypatch.setenv("MLFLOW_RANK_CACHE", str(tmp_path / "cache"))

    def verb(name: str) -> Verb:
        def call(*arguments: str | Path, model: str = "module:listeners:plain") -> Result:
            words = [name, "--model", model, *map(str, arguments)]
            for option, value in (("--shots", "1,all"), ("--draws", "2"), ("--layers", "blocks.*")):
                if option not in words and (option != "--layers" or model.startswith("module:")):
                    words += [option, value]
            return CliRunner().invoke(main, [*words, "--no-mlflow"])

        return call

    return verb


@pytest.fixture
def pilot(labelled_verb: Callable[[str], Verb]) -> Verb:
    """Call `mlflow-rank pilot`."""
    return labelled_verb("pilot")


@pytest.fixture
def assess(labelled_verb: Callable[[str], Verb]) -> Verb:
    """Call `mlflow-rank assess`."""
    return labelled_verb("assess")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Work at a desk with everything on it that a decision needs."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Desk.laid(tmp_path)


@pytest.fixture
def rank(desk: Desk) -> Verb:
    """Call `mlflow-rank` in this process, at the desk."""

    def call(*words: str | Path, **more: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], **more)  # type: ignore[arg-type]

    return call
