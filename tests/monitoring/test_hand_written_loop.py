"""A training loop written by hand, monitored."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from training_loops import Pretraining, differing, readings, train_by_hand, watching, weights


def test_weights_and_losses_are_bitwise_the_same_with_a_monitor_and_without(tiny_hubert: Path, tmp_path: Path) -> None:
    with_it, without = Pretraining(tiny_hubert), Pretraining(tiny_hubert)
    monitor = watching(tmp_path / "monitor")(with_it)
    losses = train_by_hand(with_it, monitor)
    monitor.close()
    assert losses == train_by_hand(without, None)
    assert differing(weights(with_it), weights(without)) == []
    assert list(readings(tmp_path / "monitor")) == [0, 1, 2, 4, 6]


def test_a_loop_that_goes_on_under_a_new_monitor_goes_on_with_its_chart(tiny_hubert: Path, tmp_path: Path) -> None:
    model = Pretraining(tiny_hubert)
    for start, steps in ((0, 4), (4, 8)):
        with watching(tmp_path / "monitor")(model) as monitor:
            train_by_hand(model, monitor, start=start, steps=steps)
    assert list(readings(tmp_path / "monitor")) == [0, 1, 2, 4, 6, 8]


def test_a_loop_that_begins_again_at_zero_has_a_chart_of_its_own(tiny_hubert: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with watching(tmp_path / "monitor")(model := Pretraining(tiny_hubert)) as monitor:
            train_by_hand(model, monitor, steps=2)
    assert readings(tmp_path / "monitor") == readings(tmp_path / "monitor" / "previous_1")


def test_the_loop_hears_that_it_should_stop_at_the_first_point_after_weights_became_nan(
    tiny_hubert: Path, tmp_path: Path
) -> None:
    model = Pretraining(tiny_hubert)
    with watching(tmp_path / "monitor", stop_on=["divergence"])(model) as monitor:
        train_by_hand(model, monitor, steps=2)
        assert not monitor.should_stop
        torch.nn.init.constant_(model.hubert.encoder.layers[1].feed_forward.output_dense.weight, math.nan)
        monitor.step(3)
        assert not monitor.should_stop  # no point is due
        monitor.step(4)
        assert monitor.should_stop
        (alarm,) = monitor.alarms
    assert (alarm.kind, alarm.since_step, alarm.layers) == ("divergence", 4, (2,))


def test_a_model_whose_forward_fails_is_said_once_and_the_loop_goes_on(
    tiny_hubert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Pretraining(tiny_hubert)

    def refuse(module: torch.nn.Module, _inputs: object) -> None:
        if not module.training:
            raise RuntimeError("no forward in eval mode")

    model.hubert.encoder.layers[0].register_forward_pre_hook(refuse)
    with watching(tmp_path / "monitor")(model) as monitor:
        assert len(train_by_hand(model, monitor)) == 6
    said = capsys.readouterr().err
    assert said.count("MONITOR FAILED") == 1
    assert "no forward in eval mode" in said
    assert model.training
