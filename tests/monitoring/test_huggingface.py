"""Hugging Face's Trainer, monitored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from training_loops import Pretraining, differing, huggingface_trainer, readings, recording, settings, watching, weights

import mlflow_rank


@pytest.fixture(scope="module")
def trainer_hook() -> Any:
    """The hook's class; transformers is imported by whoever runs these tests, not by whoever collects them."""
    from mlflow_rank.monitoring.huggingface import TrainerHook

    return TrainerHook


def test_a_monitor_hears_of_every_step_from_zero_with_the_loss_that_was_logged_before_it(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    model = Pretraining(tiny_hubert)
    trainer = huggingface_trainer(model, tmp_path, [trainer_hook(open_monitor)], logging_steps=2)
    trainer.train()
    (monitor,) = opened
    assert monitor.model is model
    assert monitor.steps == [0, 1, 2, 3, 4, 5, 6]
    logged = {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}
    assert monitor.losses == {3: logged[2], 5: logged[4]}
    assert monitor.closed == 1


def test_steps_are_the_optimisers_whatever_the_gradient_accumulation(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    hook = trainer_hook(open_monitor)
    huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [hook], gradient_accumulation_steps=3, max_steps=2).train()
    assert opened[0].steps == [0, 1, 2]


def test_a_training_stops_at_the_step_at_which_its_monitor_asks_for_it(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording(stop_at=3)
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(open_monitor)])
    trainer.train()
    assert trainer.state.global_step == 3
    assert (opened[0].steps, opened[0].closed) == ([0, 1, 2, 3], 1)


def test_a_resumed_training_begins_at_the_step_of_its_checkpoint(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    hook = trainer_hook(open_monitor)
    huggingface_trainer(
        Pretraining(tiny_hubert), tmp_path, [hook], max_steps=4, save_strategy="steps", save_steps=2
    ).train()
    resumed = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [hook], max_steps=6)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert [monitor.steps for monitor in opened] == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]


def test_a_monitor_hears_where_each_checkpoint_lies_once_it_is_there(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()

    class Looking(trainer_hook):
        def on_save(self, *args: object, **more: object) -> None:
            super().on_save(*args, **more)
            assert (opened[0].checkpoints[-1][0] / "model.safetensors").is_file()

    trainer = huggingface_trainer(
        Pretraining(tiny_hubert), tmp_path, [Looking(open_monitor)], max_steps=4, save_strategy="steps", save_steps=2
    )
    trainer.train()
    assert opened[0].checkpoints == [(tmp_path / "checkpoint-2", 2), (tmp_path / "checkpoint-4", 4)]
    assert opened[0].told.index(("checkpoint", tmp_path / "checkpoint-2", 2)) == 3  # after steps 0, 1 and 2


def test_evaluating_and_predicting_open_no_monitor(trainer_hook: Any, tiny_hubert: Path, tmp_path: Path) -> None:
    opened, open_monitor = recording()
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(open_monitor)])
    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)
    assert opened == []


def test_each_training_of_a_trainer_has_a_monitor_of_its_own(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(open_monitor)], max_steps=2)
    trainer.train()
    trainer.evaluate()
    trainer.train()
    assert [(monitor.steps, monitor.closed) for monitor in opened] == [([0, 1, 2], 1), ([0, 1, 2], 1)]


def test_a_training_that_an_exception_ended_has_its_monitor_closed_as_the_next_begins(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    opened, open_monitor = recording()
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(open_monitor)], max_steps=2)
    forward = trainer.model.forward

    def out_of_memory(**_batch: object) -> None:
        raise MemoryError

    trainer.model.forward = out_of_memory
    with pytest.raises(MemoryError):
        trainer.train()
    trainer.model.forward = forward
    trainer.train()
    assert [(monitor.steps, monitor.closed) for monitor in opened] == [([0], 1), ([0, 1, 2], 1)]


@pytest.mark.parametrize("fail_at", [0, 2])
def test_a_monitor_that_raises_is_said_once_and_the_training_goes_on(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fail_at: int
) -> None:
    opened, open_monitor = recording(fail_at=fail_at)
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(open_monitor)])
    trainer.train()
    assert trainer.state.global_step == 6
    assert (opened[0].steps[-1], opened[0].closed) == (fail_at, 1)
    said = capsys.readouterr().err
    assert said.count("THE MONITOR IS OFF") == 1
    assert f"it failed at step {fail_at}; training goes on without it. RuntimeError: the probe set has gone" in said


def test_a_monitor_that_cannot_be_opened_is_said_once_and_the_training_goes_on(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_model: object) -> object:
        raise OSError("no such manifest: dev.jsonl")

    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [trainer_hook(refuse)])
    trainer.train()
    assert trainer.state.global_step == 6
    said = capsys.readouterr().err
    assert said.count("MONITOR") == 1
    assert "it could not begin" in said
    assert "no such manifest: dev.jsonl" in said


def test_weights_are_bitwise_the_same_with_a_monitor_and_without(tiny_hubert: Path, tmp_path: Path) -> None:
    with_it, without = Pretraining(tiny_hubert), Pretraining(tiny_hubert)
    monitored = huggingface_trainer(with_it, tmp_path)
    monitored.add_callback(mlflow_rank.RankTrainerCallback(**settings(tmp_path / "monitor")))
    monitored.train()
    huggingface_trainer(without, tmp_path).train()
    assert list(readings(tmp_path / "monitor")) == [0, 1, 2, 4, 6]
    assert differing(weights(with_it), weights(without)) == []
    assert differing(weights(with_it), weights(Pretraining(tiny_hubert))) != []  # it did train


def test_a_training_that_broke_off_and_resumes_ends_with_the_chart_of_one_that_never_did(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path
) -> None:
    class BreaksOff(trainer_hook):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            super().on_step_end(args, state, control, **more)
            if state.global_step == 5:
                raise ConnectionError

    def train(hook: type, directory: Path, checkpoint: Path | None = None) -> None:
        huggingface_trainer(
            Pretraining(tiny_hubert),
            directory,
            [hook(watching(directory / "monitor"))],
            save_strategy="steps",
            save_steps=3,
        ).train(resume_from_checkpoint=checkpoint and str(checkpoint))

    train(trainer_hook, tmp_path / "whole")
    with pytest.raises(ConnectionError):
        train(BreaksOff, tmp_path / "broken")
    assert list(readings(tmp_path / "broken" / "monitor")) == [0, 1, 2, 4]
    train(trainer_hook, tmp_path / "broken", tmp_path / "broken" / "checkpoint-3")
    assert readings(tmp_path / "broken" / "monitor") == readings(tmp_path / "whole" / "monitor")


def test_a_training_whose_weights_become_nan_stops_where_that_was_asked_for(
    trainer_hook: Any, tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaks(trainer_hook):
        def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **more: Any) -> Any:
            if state.global_step == 4:
                torch.nn.init.constant_(next(model.hubert.encoder.layers[1].parameters()), math.nan)
            return super().on_step_end(args, state, control, model=model, **more)

    hook = Breaks(watching(tmp_path / "monitor", stop_on=["divergence"]))
    trainer = huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [hook])
    trainer.train()
    assert trainer.state.global_step == 4
    assert "ALARM divergence" in capsys.readouterr().err


def test_a_monitor_draws_in_the_run_that_the_trainers_own_mlflow_callback_began(
    tiny_hubert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    callback = mlflow_rank.RankTrainerCallback(**settings(tmp_path / "monitor", use_mlflow=True))
    huggingface_trainer(Pretraining(tiny_hubert), tmp_path, [callback], report_to="mlflow").train()
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED"
    assert {"loss", "monitor_rank_frame/layer_01"} <= set(run.data.metrics)
    drawn = mlflow.MlflowClient().get_metric_history(run.info.run_id, "monitor_rank_frame/layer_01")
    assert [each.step for each in drawn] == [0, 1, 2, 4, 6]
