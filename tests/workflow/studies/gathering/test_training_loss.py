"""The loss at a checkpoint is the one logged last, wherever a training logs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.workflow.studies.gathering.training_loss import loss_of


def lines(file: Path, *said: object) -> Path:
    file.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in said))
    return file


def test_lines_beside_the_checkpoints_say_it(tmp_path: Path) -> None:
    lines(
        tmp_path / "training.jsonl",
        {"step": 25, "loss": 9.5, "score": 0.1},
        {"step": 50, "loss": 9.0},
        {"seconds": 12.0, "minutes": 1},
        "cut off {",
    )
    loss = loss_of(tmp_path)

    assert [loss(tmp_path, step) for step in (0, 24, 25, 49, 50, 900)] == [None, None, 9.5, 9.5, 9.0, 9.0]


def test_a_training_that_went_back_means_what_it_logged_afterwards(tmp_path: Path) -> None:
    lines(
        tmp_path / "training.jsonl",
        *({"step": step, "loss": 10.0 - step / 100} for step in (100, 200, 300)),
        {"step": 200, "loss": 4.0},
    )

    assert [loss_of(tmp_path)(tmp_path, step) for step in (100, 200, 300)] == [9.0, 4.0, 4.0]


def test_without_lines_it_is_what_a_trainer_left_in_the_checkpoint(tmp_path: Path) -> None:
    history = {"log_history": [{"step": 400, "loss": 3.0}, {"step": 500, "loss": 2.0}, {"step": 600, "loss": 1.0}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(history))

    assert loss_of(tmp_path)(tmp_path, 500) == 2.0


@pytest.mark.parametrize("loss", ["NaN", "Infinity"])
def test_a_loss_that_is_no_number_is_unknown(tmp_path: Path, loss: str) -> None:
    lines(tmp_path / "training.jsonl", f'{{"step": 5, "loss": {loss}}}')

    assert loss_of(tmp_path)(tmp_path, 5) is None


def test_nothing_logged_is_unknown(tmp_path: Path) -> None:
    assert loss_of(tmp_path)(tmp_path, 5) is None


def test_a_named_file_is_looked_for_in_the_run_then_anywhere(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    elsewhere = lines(tmp_path / "log.jsonl", {"step": 1, "loss": 1.0})
    assert loss_of(run, elsewhere)(run, 1) == 1.0
    lines(run / "log.jsonl", {"step": 1, "loss": 7.0})

    assert loss_of(run, Path("log.jsonl"))(run, 1) == 7.0


def test_a_named_file_that_is_missing_or_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file of losses"):
        loss_of(tmp_path, Path("log.jsonl"))
    lines(tmp_path / "log.jsonl", {"epoch": 1})
    with pytest.raises(UsageError, match="no line of this file says a loss"):
        loss_of(tmp_path, Path("log.jsonl"))
