"""The README's recipes for a pipeline: what they call exists, they agree, and running them again does nothing twice."""

from __future__ import annotations

import ast
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from mlflow_rank.cli import main
from mlflow_rank.workflow.evaluator import MODEL_TYPE
from mlflow_rank.workflow.evaluator_config import EvaluatorConfig

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("\n## In a pipeline\n") : README.index("\n## Reading the numbers\n")]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)
    return str(found)


SCRIPT, WORKFLOW = block("bash"), yaml.safe_load(block("yml"))
STEPS = WORKFLOW["jobs"]["promote"]["steps"]
AS_ON_GITHUB = "\n".join(step["run"] for step in STEPS if "run" in step)


def commands(shell: str) -> list[list[str]]:
    """Return our commands in a script, as lists of words, with the version that the variable stands for."""
    lines = [line.strip() for line in shell.replace("\\\n", " ").splitlines()]
    ours = [re.split(r"\s(?:2>&1|[|>&;])", line)[0] for line in lines if line.startswith("mlflow-rank ")]
    known = [re.sub(r'"\$V"|"\$\(cat version\)"', "models:/encoder/7", line) for line in ours]
    return [shlex.split(line)[1:] for line in known]


@pytest.mark.parametrize("words", commands(SCRIPT), ids=lambda words: words[0])
def test_each_command_is_one_that_the_command_line_takes(words: list[str]) -> None:
    main.commands[words[0]].make_context(words[0], words[1:])  # raises where an option or an argument is none


def test_the_workflow_does_what_the_script_does() -> None:
    assert commands(AS_ON_GITHUB) == commands(SCRIPT)
    assert [words[0] for words in commands(SCRIPT)] == ["assess", "submit", "promote"]


def test_the_workflow_is_one_that_github_runs() -> None:
    assert {"name", True, "jobs"} <= set(WORKFLOW)  # YAML 1.1 reads `on` as true, and GitHub as itself
    assert all(("run" in step) is not ("uses" in step) for step in STEPS)
    for step in STEPS:
        assert re.fullmatch(r"actions/[a-z/-]+@v[0-9]+", step.get("uses", "actions/checkout@v4"))
    assert STEPS[0]["uses"] == "actions/checkout@v4"
    restored, saved = (
        next(step for step in STEPS if f"cache/{sort}@" in step.get("uses", "")) for sort in ("restore", "save")
    )
    assert restored["with"] == saved["with"]


def test_secrets_come_by_the_environment_and_never_stand_in_a_command() -> None:
    assert "secrets." in block("yml")
    assert "secrets." not in AS_ON_GITHUB


STAND_IN = """#!/usr/bin/env bash
echo "$@" >> calls
[ "$1" != assess ] || echo "registered as models:/encoder/7" >&2
[ "$1" != "$(cat failing 2>/dev/null)" ] || exit 3
"""


def run(place: Path) -> int:
    """Run the script with a stand-in for our command, which writes down what it was called with."""
    tool = place / "bin" / "mlflow-rank"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(STAND_IN)
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    environment = {"PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", SCRIPT], cwd=place, env=environment, capture_output=True, timeout=60, check=False
    ).returncode


def test_run_again_the_script_assesses_nothing_twice_and_asks_for_the_same_version(tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    assert run(tmp_path) == 0

    verbs = [line.split()[:2] for line in (tmp_path / "calls").read_text().splitlines()]
    version = "models:/encoder/7"
    assert verbs == [["assess", "--model"], *[["submit", version], ["promote", version]] * 2]


@pytest.mark.parametrize(("failing", "called"), [("assess", 1), ("submit", 2), ("promote", 3)])
def test_what_fails_fails_the_script_and_nothing_comes_after_it(tmp_path: Path, failing: str, called: int) -> None:
    (tmp_path / "failing").write_text(failing)

    assert run(tmp_path) == 3
    assert len((tmp_path / "calls").read_text().splitlines()) == called
    if failing == "assess":
        assert not (tmp_path / "version").exists()


def test_the_evaluation_in_the_readme_is_one_that_the_evaluator_takes() -> None:
    (call,) = [
        node.value
        for node in ast.parse(block("py")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    ]
    given = {each.arg: ast.literal_eval(each.value) for each in call.keywords}

    assert (given["evaluators"], given["model_type"]) == ("mlflow_rank", MODEL_TYPE)
    assert EvaluatorConfig.of(given["evaluator_config"]).shots == (5, "all")
