"""The run to watch under its monitor, as a command, and as an entry point of the project."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining import __main__ as command
from recipes.pretraining import plan as planning
from recipes.pretraining.carrying_out import carry_out
from recipes.pretraining.plan import PACE, Plan
from recipes.pretraining.pretraining import Pretraining
from recipes.pretraining.registering import chosen_steps
from recipes.pretraining.run_directory import RunDirectory
from recipes.pretraining.watching import monitor_name, monitor_of
from recipes.starter_encoder.schedule import Schedule

ROOT = Path(__file__).parents[2]
ENTRY_POINT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]["pretrain"]
NOT_IN_MLPROJECT = {"mlflow", "passphrase_file"}  # a recorded run is in MLflow; secrets come by environment
STREAM = np.random.default_rng(0).integers(-3_000, 3_000, 8 * 16_000, dtype=np.int16)
PROBE = [np.random.default_rng(each).normal(0, 0.1, 16_000).astype(np.float32) for each in range(3)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(planning, "MFCC_CLUSTERS", 8)
    monkeypatch.setattr(
        planning,
        "_schedule",
        lambda steps, rate: Schedule(steps=steps, learning_rate=rate, warmup=1, batch=1, frames=30),
    )
    yield
    torch.set_num_threads(threads)


def watched(run: Pretraining, place: RunDirectory, stop_after: int | None = None) -> None:
    with monitor_of(run, place, audio=PROBE, every=2, use_mlflow=False) as monitor:
        carry_out(run, place, monitor, stop_after=stop_after, say=lambda text: None)


def points(place: RunDirectory) -> list[dict[str, object]]:
    """Everything of each point that is judged: not when it was taken, nor what it cost."""
    lines = (place.monitor / "points.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0, "at": 0} for line in lines]


def weights(run: Pretraining) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in run.encoder.state_dict().values()])


def test_the_points_of_a_fault_are_reproduced_bit_by_bit_also_by_a_run_that_was_interrupted(tmp_path):
    plan = Plan(minutes=6 / PACE, fault="constant_targets", fault_at=1 / 3)
    whole = Pretraining(plan, STREAM)
    watched(whole, RunDirectory.new(tmp_path / "whole"))

    unwatched = Pretraining(plan, STREAM)
    while not unwatched.is_over:
        unwatched.advance()
    assert torch.equal(weights(unwatched), weights(whole))  # a monitor changes nothing

    first = RunDirectory.new(tmp_path / "interrupted")
    watched(Pretraining(plan, STREAM), first, stop_after=3)
    name = monitor_name(first)
    resumed = Pretraining.resumed(plan, STREAM, first.state())
    watched(resumed, first)

    assert [point["step"] for point in points(first)] == [0, 1, 2, 4, 6]
    for ours, theirs in zip(points(first), points(RunDirectory(tmp_path / "whole")), strict=True):
        if ours["step"] == 4:  # the mean loss since the point before: what came before the interruption is not in it
            ours["loss"] = theirs["loss"]
        assert ours == theirs
    assert torch.equal(weights(resumed), weights(whole))
    assert monitor_name(first) == name


# entry point


def flag(option: click.Parameter) -> str:
    return next(each for each in option.opts if each.startswith("--")).removeprefix("--").replace("-", "_")


def test_the_parameters_are_the_options_of_the_command_with_the_same_defaults():
    options = {flag(option): option for option in command.main.params}

    assert set(ENTRY_POINT["parameters"]) == set(options) - NOT_IN_MLPROJECT
    for name, parameter in ENTRY_POINT["parameters"].items():
        default = options[name].get_default(click.Context(command.main))
        assert parameter["default"] == ("none" if default is None else str(default)), name


def test_the_entry_point_passes_each_parameter_to_its_option():
    parameters = ENTRY_POINT["parameters"]
    words = shlex.split(ENTRY_POINT["command"].format(**{name: each["default"] for name, each in parameters.items()}))
    assert words[:3] == ["python", "-m", "recipes.pretraining"]
    for name in parameters:
        assert f"--{name.replace('_', '-')} {{{name}}}" in ENTRY_POINT["command"]

    given = command.main.make_context("pretrain", words[3:]).params
    assert given == command.main.make_context("pretrain", []).params


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--fault no_stop_gradient --objective clusters", "no gradient to stop"),
        ("--fault-at 2", "no such share"),
        ("--resume {tmp_path}", "no run to go on with"),
        ("--register a/b", "cannot keep a model"),
        ("--register a --no-mlflow", "needs MLflow"),
        ("--stop-on rain", "not one of"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_heard(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(command.main, shlex.split(words.format(tmp_path=tmp_path)))

    assert ended.exit_code == 2
    assert said in ended.output


@pytest.mark.parametrize(
    ("words", "objective"),
    [
        ("--fault no_stop_gradient", "self_distillation"),
        ("--fault no_stop_gradient --objective none", "self_distillation"),
        ("--fault constant_targets", "clusters"),
        ("--objective self_distillation", "self_distillation"),
        ("", "clusters"),
    ],
)
def test_a_fault_brings_the_objective_that_it_belongs_to(tmp_path, monkeypatch, words, objective):
    monkeypatch.chdir(tmp_path)
    planned: list[Plan] = []

    def until_there(plan: Plan, stream: np.ndarray) -> Pretraining:
        planned.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "Pretraining", until_there)
    monkeypatch.setattr(command, "read_stream", lambda corpus, minutes: STREAM)

    assert CliRunner().invoke(command.main, shlex.split(words)).exit_code == command.INTERRUPTED
    assert [plan.objective for plan in planned] == [objective]
    usual = Plan()
    assert (planned[0].minutes, planned[0].fault_at) == (usual.minutes, usual.fault_at)


def test_the_last_checkpoint_and_a_few_before_it_are_registered_and_random_weights_are_not():
    assert chosen_steps([0, 25, 50]) == [25, 50]
    chosen = chosen_steps(Plan(minutes=8).checkpoints)
    assert len(chosen) == 5
    assert chosen[-1] == 800
    assert 0 not in chosen
