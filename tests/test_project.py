"""The files around the package agree with one another and with the command line, and `mlflow run` runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import loaded_once
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlflow_rank.cli.assess import assess_command
from mlflow_rank.cli.decide import decide_command
from mlflow_rank.cli.measure import measure_command
from mlflow_rank.cli.pilot import pilot_command
from mlflow_rank.cli.promote import promote_command
from mlflow_rank.cli.study.calibrate import calibrate_command
from mlflow_rank.cli.study.correlate import correlate_command
from mlflow_rank.cli.study.predict import predict_command
from mlflow_rank.cli.study.short_sounds import short_sounds_command

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
# Where MLflow is, which `mlflow run` says itself; what is for one call rather than a recorded run; code from elsewhere;
# secrets, which come by environment.
NOT_IN_MLPROJECT = {"tracking_uri", "experiment", "run_name", "mlflow"}
NOT_IN_MLPROJECT |= {"cache", "resume", "intervals", "trust_remote_code", "passphrase_file"}
OF_DECIDING_ONLY = {"output"}  # what measures keeps its results in the run
STUDIES = {
    "correlate": correlate_command, "predict": predict_command, "calibrate": calibrate_command,
    "short_sounds": short_sounds_command,
}  # fmt: skip
LEFT_OUT = dict.fromkeys(("main", "measure", "pilot"), NOT_IN_MLPROJECT | OF_DECIDING_ONLY) | {
    "decide": NOT_IN_MLPROJECT,
    "promote": NOT_IN_MLPROJECT - {"tracking_uri"} | {"json"},  # the registry may be elsewhere; a flag takes no `none`
    **dict.fromkeys(STUDIES, NOT_IN_MLPROJECT | {"force", "quick"}),  # flags, as above
}
VERBS = {
    "main": assess_command, "measure": measure_command, "pilot": pilot_command, "decide": decide_command,
    "promote": promote_command, **STUDIES,
}  # fmt: skip
ARGUMENTS = {"promote": {"version": "models:/encoder/7"}}  # what has no default
OTHER_DEFAULTS = {
    ("main", "policy"): "policies/starter.yaml",  # a run of the project ends with a decision
    ("decide", "policy"): "policies",
    # a recorded run shows the random-weights reference beside the ranks
    **{(entry_point, "control"): "true" for entry_point in VERBS},
}


def flag(option: click.Parameter) -> str:
    """Return an option as a parameter is named after it: `--frame-stride` is `frame_stride`."""
    if isinstance(option, click.Argument):
        return str(option.name)
    return next(each for each in option.opts if each.startswith("--")).removeprefix("--").replace("-", "_")


def pinned(lines: list[str]) -> dict[str, str]:
    requirements = [Requirement(line) for line in lines]
    assert all(str(each.specifier).startswith("==") for each in requirements), "each at one exact version"
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in requirements}


LOCK = pinned([line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"])
DIRECT = [
    Requirement(text)
    for text in (
        *PYPROJECT["project"]["dependencies"],
        *(each for extra in PYPROJECT["project"]["optional-dependencies"].values() for each in extra),
    )
]


# versions


@pytest.mark.parametrize("requirement", [*DIRECT, *map(Requirement, PYPROJECT["dependency-groups"]["dev"])], ids=str)
def test_every_dependency_is_locked_within_its_range(requirement: Requirement) -> None:
    version = LOCK[canonicalize_name(requirement.name)]

    assert requirement.specifier.contains(version, prereleases=True)


def test_torch_is_locked_at_the_version_that_comes_without_gigabytes_of_gpu_libraries() -> None:
    assert LOCK["torch"] == "2.13.0"


def test_the_lock_lists_each_package_once_and_no_place_to_get_it_from() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    names = [canonicalize_name(line.partition("==")[0]) for line in lines if line and line[0] != "#"]

    assert len(names) == len(set(names))
    assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_conda_asks_for_the_direct_dependencies_at_the_locked_versions_and_for_the_package_itself() -> None:
    (pip,) = (each["pip"] for each in CONDA["dependencies"] if isinstance(each, Mapping))

    assert CONDA["dependencies"][:2] == ["python=3.11", "pip"]
    assert pip[-1] == "-e ."
    assert pinned(pip[:-1]) == {canonicalize_name(each.name): LOCK[canonicalize_name(each.name)] for each in DIRECT}


# entry points


@pytest.mark.parametrize("entry_point", VERBS)
def test_the_parameters_are_options_of_the_verb_with_the_same_defaults(entry_point: str) -> None:
    parameters = PROJECT["entry_points"][entry_point]["parameters"]
    options = {flag(option): option for option in VERBS[entry_point].params}

    assert set(parameters) == set(options) - LEFT_OUT[entry_point]
    assert {name for name, each in parameters.items() if "default" not in each} == {
        name for name, option in options.items() if option.required
    }
    for name, parameter in parameters.items():
        if options[name].required:
            continue
        default = options[name].get_default(click.Context(VERBS[entry_point]))
        text = "none" if default in (None, ()) else str(default).lower() if isinstance(default, bool) else str(default)
        assert parameter["default"] == OTHER_DEFAULTS.get((entry_point, name), text), name


@pytest.mark.parametrize("entry_point", VERBS)
def test_the_command_passes_each_parameter_to_its_option(entry_point: str) -> None:
    parameters = PROJECT["entry_points"][entry_point]["parameters"]
    command = PROJECT["entry_points"][entry_point]["command"]
    arguments = ARGUMENTS.get(entry_point, {})
    defaults = {name: each["default"] for name, each in parameters.items() if "default" in each}
    words = shlex.split(command.format(**defaults, **arguments))
    verb = VERBS[entry_point]
    called = ["python", "-m", "mlflow_rank", *(["study"] if entry_point in STUDIES else []), verb.name]
    assert words[: len(called)] == called

    given = verb.make_context("verb", words[len(called) :]).params
    alone = verb.make_context("verb", list(arguments.values())).params
    ours = {"control", "policy"}  # where the project differs from the verb, see OTHER_DEFAULTS

    assert {name: value for name, value in given.items() if name not in ours} == {
        name: value for name, value in alone.items() if name not in ours
    }
    for name in parameters:
        assert f"{{{name}}}" in command if name in arguments else f"--{name.replace('_', '-')} {{{name}}}" in command


# `mlflow run`


def mlflow_run(
    directory: Path, *words: str, **parameters: str | Path
) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = kept | {
        "PATH": os.pathsep.join((str(loaded_once.commands(directory / "bin")), os.environ["PATH"])),
        "MLFLOW_TRACKING_URI": f"sqlite:///{directory / 'mlflow.db'}",
        "MLFLOW_RANK_CACHE": str(directory / "cache"),
    }
    options = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
    ended = subprocess.run(
        [directory / "bin" / "mlflow", "run", str(ROOT), "--env-manager", "local", *words, *options],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,  # s; forty times what it takes on a quiet machine
        check=False,
    )
    return ended, environment


def test_mlflow_run_leaves_everything_in_one_run_and_fails_where_an_enforced_decision_refuses(
    tmp_path: Path, tiny_hubert: Path, recordings: Path
) -> None:
    from mlflow import MlflowClient

    labels = tmp_path / "labels.jsonl"
    rows = [
        {"path": str(path), "speaker": f"s{number // 2 % 4}", "keyword": ("yes", "no")[number % 2]}
        for number, path in enumerate(sorted(recordings.glob("*.wav")))
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))

    ended, environment = mlflow_run(
        tmp_path, "--experiment-name", "from here",
        model=tiny_hubert, audio=recordings, labels=labels, shots="1,all", json=tmp_path / "assessed.json",
        enforce="true",
    )  # fmt: skip
    assert ended.returncode != 0

    client = MlflowClient(environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("from here")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    document: dict[str, Any] = json.loads((tmp_path / "assessed.json").read_text())
    files = {Path(each.path).name for each in client.list_artifacts(run.info.run_id, "mlflow_rank")}
    assert run.info.status == "FAILED"  # as MLflow calls a run whose command refused
    assert {"rank_frame/layer_02", "rank_frame_random/layer_02", "rank_utterance/layer_00"} <= set(run.data.metrics)
    assert {"pilot_keyword/layer_02", "pilot_keyword/layer_02_low", "pilot_keyword_random/layer_02"} <= set(
        run.data.metrics
    )
    assert {"measurement.json", "control.json", "layers.parquet", "rank_by_layer.svg", "skipped.jsonl"} <= files
    assert {"pilot.json", "pilot.parquet", "splits.json"} <= files
    assert document["kind"] == "Assessment"
    assert run.data.tags["mlflow_rank.model_digest"] == document["measurement"]["model"]["digest"]
    assert document["pilot"]["model"]["digest"] == document["measurement"]["model"]["digest"]
    assert not (tmp_path / "none").exists()
    assert not (ROOT / "none").exists()
    assert "DENIED (not enforced)  hubert to alias:champion" in ended.stdout  # by policies/starter.yaml
    assert "FAIL     keywords-good-enough" in ended.stdout or "unknown  keywords-good-enough" in ended.stdout
