from __future__ import annotations

import math

import pytest
from verdicts import alarm, point, verdict

from mlflow_rank.monitoring.point import Point
from mlflow_rank.registry.runs.monitor_metrics import alarm_tags, monitor_metrics, overhead_of

READ = ("rank", "rank_uncentred", "total_variance", "normalised_std", "mean_norm_ratio")


def test_every_number_of_a_point_has_its_name() -> None:
    said = monitor_metrics(verdict(40, alarms=[alarm()]), 0.004)
    assert said["monitor_rank_frame/layer_02"] == 78.4
    assert said["monitor_rank_frame_uncentred/layer_02"] == pytest.approx(0.6 * 78.4)
    assert said["monitor_rank_utterance/layer_00"] == 30.4
    assert said["monitor_total_variance_utterance/layer_01"] == 101.0
    assert said["monitor_normalised_std_frame/layer_01"] == 0.8
    assert said["monitor_mean_norm_ratio_frame/layer_01"] == 0.3
    assert said["monitor_residual_frame/layer_02"] == 0.02
    assert said["monitor_residual_frame/layer_02_lower"] == -0.1
    assert said["monitor_residual_frame/layer_02_upper"] == 0.1
    assert (said["monitor_loss"], said["monitor_overhead"], said["monitor_alarms_open"]) == (2.5, 0.004, 1.0)
    assert len(said) == 3 * 2 * (len(READ) + 3) + 3


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_finite_number_is_left_out(lost: float | None) -> None:
    said = monitor_metrics(verdict(40, loss=lost, rank=None, total_variance=lost, cause="NaN in its activations"))
    assert all(math.isfinite(value) for value in said.values())
    assert not any(name.startswith(("monitor_rank_frame/", "monitor_total", "monitor_loss")) for name in said)
    assert "monitor_normalised_std_frame/layer_00" in said


def test_the_last_metric_of_a_point_is_the_one_that_every_point_has() -> None:
    bare = verdict(0, layers=0, loss=None)
    assert list(monitor_metrics(bare)) == ["monitor_alarms_open"]
    assert list(monitor_metrics(verdict(40), 0.1))[-1] == "monitor_alarms_open"


def test_names_of_layers_sort_as_their_numbers_do() -> None:
    said = [name for name in monitor_metrics(verdict(40, layers=112)) if name.startswith("monitor_rank_frame/")]
    assert said == sorted(said)
    assert "monitor_rank_frame/layer_007" in said


def test_overhead_is_the_share_of_the_last_ten_points() -> None:
    steady = [Point(step, (), seconds=0.02, at=2.0 * step) for step in range(30)]
    assert overhead_of(steady) == pytest.approx(0.01)
    slow_at_first = [Point(step, (), seconds=1.0, at=2.0 * step) for step in range(10)] + steady[10:]
    assert overhead_of(slow_at_first) == pytest.approx(0.01)
    assert overhead_of(steady[:1]) is None
    assert overhead_of([steady[3], steady[3]]) is None


def test_tags_say_how_each_kind_of_alarm_stands() -> None:
    closed = alarm("divergence", since=5, layers=(4,), closed_step=30, saw="Layer 4 held NaN.")
    tags = alarm_tags([closed, alarm(since=1200, layers=(3, 4))])
    assert tags == {
        "mlflow_rank.alarms_open": "1",
        "mlflow_rank.alarm.dimensional_collapse":
            "open since step 1200, layers 3, 4: The rank of frames is 34 % below its trend.",
        "mlflow_rank.alarm.divergence": "closed at step 30, open since step 5, layers 4: Layer 4 held NaN.",
    }  # fmt: skip
    assert alarm_tags([]) == {"mlflow_rank.alarms_open": "0"}


def test_of_several_alarms_of_a_kind_the_open_one_is_told() -> None:
    tags = alarm_tags([alarm(since=10, closed_step=50), alarm(since=100), alarm(since=200, closed_step=250)])
    said = tags["mlflow_rank.alarm.dimensional_collapse"]
    assert said.startswith("open since step 100")
    assert said.endswith("(2 more of this kind)")


def test_a_tag_stays_short_and_on_one_line() -> None:
    talkative = alarm(layers=range(48), saw="Much\nto say. " * 100)
    for alarms in ([talkative], [talkative] * 3):
        said = alarm_tags(alarms)["mlflow_rank.alarm.dimensional_collapse"]
        assert len(said) <= 250
        assert said.isprintable()


def test_points_of_one_layer_and_of_48_fit_one_request() -> None:
    assert len(monitor_metrics(verdict(40, layers=48), 0.01)) <= 1000
    assert len(point(3, layers=48).readings) == 96
