"""Directories of trainings are read as people lay them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.workflow.studies.gathering.found_checkpoints import FoundRun, found_runs
from mlflow_rank.workflow.studies.gathering.window import Window

FORM = CheckpointForm()
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write something that looks like a checkpoint, in transformers' form."""

    def one(*parts: str) -> Path:
        place = tmp_path.joinpath(*parts)
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        (place / "model.safetensors").write_bytes(b"")
        return place

    return one


def steps(runs: tuple[FoundRun, ...]) -> dict[str, list[int]]:
    return {run.name: [each.step for each in run.checkpoints] for run in runs}


def test_a_directory_of_checkpoints_is_a_run_named_after_it(write: Write, tmp_path: Path) -> None:
    write("pretrain", "checkpoint-500")
    write("pretrain", "checkpoint-90")
    (tmp_path / "pretrain" / "logs").mkdir()

    assert steps(found_runs([tmp_path / "pretrain"], FORM)) == {"pretrain": [90, 500]}


def test_a_directory_of_runs_is_all_of_them(write: Write, tmp_path: Path) -> None:
    for seed in (0, 1):
        for step in (0, 25):
            write("runs", f"seed_{seed}", f"step_{step:06d}")
    (tmp_path / "runs" / "seed_0" / "training_state.pt").write_bytes(b"")

    assert steps(found_runs([tmp_path / "runs"], FORM)) == {"seed_0": [0, 25], "seed_1": [0, 25]}


def test_a_last_model_beside_the_checkpoints_makes_a_run_no_checkpoint(write: Write, tmp_path: Path) -> None:
    for seed in (0, 1):
        write("runs", f"seed_{seed}")
        write("runs", f"seed_{seed}", "checkpoint-10")

    assert steps(found_runs([tmp_path / "runs"], FORM)) == {"seed_0": [10], "seed_1": [10]}
    assert steps(found_runs([tmp_path / "runs" / "seed_0"], FORM)) == {"seed_0": [10]}


def test_runs_of_one_name_are_told_apart_and_one_given_twice_is_one(write: Write, tmp_path: Path) -> None:
    write("a", "run", "step_1")
    write("b", "run", "step_1")
    places = [tmp_path / "a" / "run", tmp_path / "b" / "run"]

    assert list(steps(found_runs([*places, places[0]], FORM))) == [str(place) for place in places]


def test_files_of_weights_are_checkpoints_where_they_are_said_to_be(tmp_path: Path) -> None:
    for name in ("update_5.pt", "update_10.pt", "update_20.pt.tmp", "log.txt"):
        (tmp_path / name).write_bytes(b"")
    form = CheckpointForm("torchaudio:HUBERT_BASE@{path}", r"update_(\d+)")

    [run] = found_runs([tmp_path], form)

    assert [form.spec(each.place) for each in run.checkpoints] == [
        f"torchaudio:HUBERT_BASE@{tmp_path / name}" for name in ("update_5.pt", "update_10.pt")
    ]


def test_what_is_unfinished_or_a_second_name_is_no_checkpoint(write: Write, tmp_path: Path) -> None:
    whole = write("run", "checkpoint-5")
    write("run", "tmp-checkpoint-6")
    (tmp_path / "run" / "latest-7").symlink_to(whole)

    assert steps(found_runs([tmp_path / "run"], FORM)) == {"run": [5]}


def test_what_has_no_step_of_its_own_is_left_out_by_name(write: Write, tmp_path: Path) -> None:
    for name in ("step_5", "epoch-1-step-5", "best"):
        write("run", name)

    [run] = found_runs([tmp_path / "run"], FORM)

    assert [each.step for each in run.checkpoints] == [5]
    assert dict(run.left_out).keys() == {"best", "step_5"}


def test_where_no_name_says_a_step_it_is_refused(write: Write, tmp_path: Path) -> None:
    write("run", "best")

    with pytest.raises(UsageError, match="no checkpoint says its step") as refused:
        found_runs([tmp_path / "run"], FORM)
    assert "--step-pattern" in str(refused.value)


def test_a_directory_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no checkpoint here"):
        found_runs([tmp_path], FORM)
    with pytest.raises(UsageError, match="no such directory"):
        found_runs([tmp_path / "gone"], FORM)


def test_a_few_of_many_are_spread_by_the_logarithm_of_the_step(write: Write, tmp_path: Path) -> None:
    for step in (0, 1, 2, 4, 8, 16, 32, 64, 100, 110, 120, 128):
        write("run", f"step_{step}")
    [run] = found_runs([tmp_path / "run"], FORM)

    assert [each.step for each in run.thinned(4).checkpoints] == [0, 4, 32, 128]
    assert run.thinned(None) == run.thinned(50) == run
    with pytest.raises(UsageError, match="too few checkpoints"):
        run.thinned(1)


@pytest.mark.parametrize("most", range(2, 13))
def test_however_few_first_and_last_are_among_them_and_none_twice(write: Write, tmp_path: Path, most: int) -> None:
    for step in (5, 6, 7, 1000, 1001, 1002, 1003, 1004, 1005, 9000):
        write("run", f"step_{step}")
    [run] = found_runs([tmp_path / "run"], FORM)

    chosen = [each.step for each in run.thinned(most).checkpoints]

    assert len(set(chosen)) == min(most, 10)
    assert (chosen[0], chosen[-1]) == (5, 9000)
    assert chosen == sorted(chosen)


def test_a_window_leaves_out_what_is_not_in_it(write: Write, tmp_path: Path) -> None:
    for step in (0, 1, 50):
        write("run", f"step_{step}")
    [run] = found_runs([tmp_path / "run"], FORM)

    assert [each.step for each in run.within(Window()).checkpoints] == [1, 50]
    assert [each.step for each in run.within(Window(0, 20)).checkpoints] == [0, 1]
    assert run.within(None) == run
