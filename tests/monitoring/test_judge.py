"""Laws of the judge, and what it says of runs whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_runs import RANDOM_WEIGHTS, SHAPES, Noise, points_of, ramp, sudden
from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.verdict import Verdict

CALM = Noise(0.02, 0.5)
POINTS, LAYERS, FALL_AT = 90, 3, 70


def run_of(shape="fall and recovery", *, noise=CALM, seed=0, fall=None, layers=(1,), points=POINTS):
    at = np.arange(points, dtype=float)
    ranks = RANDOM_WEIGHTS + SHAPES[shape](at)[:, None] + noise.draw(points, LAYERS, np.random.default_rng(seed))
    if fall is not None:
        ranks[:, list(layers)] += fall(at)[:, None]
    return points_of(ranks)


def judged(points: Sequence[Point], limits: Limits = Limits(), **more) -> list[Verdict]:  # noqa: B008
    judge = Judge(limits, **more)
    return [judge.judge(point) for point in points]


def alarms(points: Sequence[Point], *more, **named) -> tuple[Alarm, ...]:
    return judged(points, *more, **named)[-1].alarms


@pytest.mark.parametrize("fall", [sudden(0.3, FALL_AT), ramp(0.3, FALL_AT)], ids=["sudden", "ramp"])
@pytest.mark.parametrize("layers", [(1,), (0, 1, 2)], ids=["one layer", "all layers"])
def test_a_fall_of_thirty_percent_is_found_within_five_points_in_its_layers_and_dated_to_it(fall, layers):
    points = run_of(fall=fall, layers=layers)
    verdicts = judged(points)
    [alarm] = verdicts[-1].alarms
    assert alarm.kind == "dimensional_collapse"
    assert alarm.layers == layers
    steps = [point.step for point in points]
    assert steps[FALL_AT] <= alarm.since_step <= alarm.raised_step < steps[FALL_AT + 5]
    assert alarm.id == f"dimensional_collapse@{alarm.raised_step}"
    assert alarm.is_open
    assert [alarm.id for verdict in verdicts for alarm in verdict.raised] == [alarm.id]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_healthy_run_raises_nothing(shape):
    assert alarms(run_of(shape, points=220)) == ()


def test_a_series_that_never_moves_raises_nothing():
    assert alarms(points_of(np.full((150, LAYERS), 3.0))) == ()


def test_the_same_points_give_the_same_verdicts_whatever_they_cost_and_whenever_they_were_taken():
    points = run_of(fall=sudden(0.4, FALL_AT))
    other = [replace(point, seconds=9.0, at=1e9 + point.step) for point in points]
    ours, theirs = judged(points), judged(other)
    assert [(each.charts, each.alarms, each.raised, each.closed) for each in ours] == [
        (each.charts, each.alarms, each.raised, each.closed) for each in theirs
    ]


def test_a_run_that_resumes_by_judging_its_points_again_goes_on_as_if_it_had_not_stopped():
    points = run_of(fall=ramp(0.4, FALL_AT))
    resumed = Judge()
    for point in [Point.read(point.document()) for point in points[:75]]:
        resumed.judge(point)
    assert [resumed.judge(point) for point in points[75:]] == judged(points)[75:]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.permutations(range(LAYERS)), st.floats(0.1, 0.6))
def test_permuting_layers_permutes_charts_and_alarms(order, share):
    points = run_of(fall=sudden(share, FALL_AT), layers=(0, 2))
    place = dict(enumerate(order))
    moved = [
        replace(
            point,
            readings=tuple(
                sorted((replace(each, layer=place[each.layer]) for each in point.readings), key=lambda each: each.layer)
            ),
        )
        for point in points
    ]
    for ours, theirs in zip(judged(points), judged(moved), strict=True):
        residuals = {place[chart.layer]: chart.residual for chart in ours.charts}
        assert {chart.layer: chart.residual for chart in theirs.charts} == residuals
        phases = {place[chart.layer]: chart.phase for chart in ours.charts}
        assert {chart.layer: chart.phase for chart in theirs.charts} == phases
        begun = [(alarm.id, alarm.since_step) for alarm in ours.alarms]
        assert [(alarm.id, alarm.since_step) for alarm in theirs.alarms] == begun
        layers = [tuple(sorted(place[layer] for layer in alarm.layers)) for alarm in ours.alarms]
        assert [alarm.layers for alarm in theirs.alarms] == layers


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.floats(1e-3, 1e3), st.floats(0.0, 0.5))
def test_activations_of_another_scale_give_the_same_alarms(scale, share):
    points = run_of(fall=sudden(share, FALL_AT))
    scaled = [
        replace(
            point,
            readings=tuple(replace(each, total_variance=scale * each.total_variance) for each in point.readings),
        )
        for point in points
    ]
    assert alarms(points) == alarms(scaled)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 50), st.floats(0.15, 0.5), st.floats(1.02, 1.6))
def test_a_deeper_fall_never_alarms_later(seed, share, deeper):
    noise = Noise(0.04, 0.8)
    first = [
        next((alarm.raised_step for alarm in alarms(run_of(seed=seed, noise=noise, fall=sudden(each, FALL_AT)))), None)
        for each in (share, min(0.9, share * deeper))
    ]
    shallow, deep = first
    assert shallow is None or (deep is not None and deep <= shallow)


def test_an_alarm_closes_when_the_rank_has_been_back_for_the_persistence_and_a_new_fall_is_a_new_alarm():
    back = lambda at: sudden(0.4, FALL_AT)(at) * (at < 80) + sudden(0.4, 110)(at)  # noqa: E731
    points = run_of(fall=back, points=120)
    verdicts = judged(points)
    first, second = verdicts[-1].alarms
    assert first.closed_step == points[80].step
    [closing] = [verdict for verdict in verdicts if verdict.closed]
    assert closing.point.step == points[80 + Limits().persistence - 1].step
    assert second.is_open
    assert second.since_step == points[110].step


def test_a_layer_that_falls_later_joins_the_open_alarm_which_is_not_raised_again():
    later = run_of(fall=sudden(0.4, 75), layers=(2,))
    points = [
        replace(ours, readings=(*ours.readings[:2], theirs.readings[2]))
        for ours, theirs in zip(run_of(fall=sudden(0.4, FALL_AT)), later, strict=True)
    ]
    verdicts = judged(points)
    [alarm] = verdicts[-1].alarms
    assert alarm.layers == (1, 2)
    assert sum(len(verdict.raised) for verdict in verdicts) == 1
    assert {alarm.layers for verdict in verdicts for alarm in verdict.alarms} == {(1,), (1, 2)}


def test_a_fall_that_stays_does_not_become_the_new_normal():
    verdicts = judged(run_of("flat", fall=sudden(0.3, FALL_AT), points=130))
    [alarm] = verdicts[-1].alarms
    assert alarm.is_open
    assert verdicts[-1].charts[1].residual == pytest.approx(np.log(0.7), abs=0.1)


def test_a_collapse_too_slow_for_the_local_trend_is_found_against_the_level_that_was_held():
    points = run_of("flat", fall=ramp(0.7, FALL_AT, length=200), points=290)
    [alarm] = alarms(points)
    assert alarm.kind == "dimensional_collapse"
    assert "slowly" in alarm.saw
    assert points[FALL_AT].step <= alarm.since_step


@pytest.mark.parametrize("rate", [0.02, 0.03])
def test_a_slow_fall_is_dated_to_where_it_began(rate):
    points = run_of("flat", fall=lambda at: -rate * np.clip(at - FALL_AT, 0, None), layers=(0, 1, 2), points=130)
    [alarm] = alarms(points)
    lost = -np.expm1(-rate * max(0, alarm.since_step / points[1].step - FALL_AT))
    assert lost < 0.12
    assert alarm.raised_step - alarm.since_step > 5 * points[1].step


@pytest.mark.parametrize("rate", [0.02, 0.03, 0.05])
def test_a_rank_that_falls_from_the_first_point_on_is_found_below_what_an_early_fall_takes(rate):
    at = np.arange(110)[:, None]
    ranks = RANDOM_WEIGHTS - rate * at + Noise(0.005).draw(110, LAYERS, np.random.default_rng(0))
    points = points_of(ranks)
    alarm = next(alarm for verdict in judged(points) for alarm in verdict.raised)
    assert alarm.kind == "dimensional_collapse"
    assert alarm.raised_step <= points[round(2.05 / rate)].step
    assert "below its first" in alarm.saw


def test_an_early_fall_by_four_fifths_is_healthy():
    at = np.arange(120, dtype=float)
    shape = -1.55 * np.clip((at - 6) / 6, 0, 1) + 0.4 * np.clip((at - 20) / 60, 0, 1)
    noise = Noise(0.02, 0.5).draw(120, LAYERS, np.random.default_rng(0))
    assert alarms(points_of(RANDOM_WEIGHTS + shape[:, None] + noise)) == ()


def test_a_deep_collapse_of_trained_weights_does_not_pass_as_an_early_fall():
    points = run_of("flat", fall=sudden(0.9, 20), layers=(0, 1, 2), points=60)
    [alarm] = alarms(points)
    assert (alarm.since_step, alarm.layers) == (points[20].step, (0, 1, 2))
    assert alarm.is_open


def test_a_run_from_trained_weights_that_says_so_is_watched_early():
    points = run_of("flat", fall=sudden(0.3, 26), points=31)
    assert alarms(points) == ()
    [alarm] = alarms(points, Limits(unmoved=8))
    assert alarm.since_step == points[26].step


def test_an_open_alarm_that_becomes_much_worse_is_raised_again_with_its_id_and_its_beginning():
    fall = lambda at: sudden(0.3, FALL_AT)(at) + sudden(0.8, 100)(at)  # noqa: E731
    points = run_of(fall=fall, points=110)
    verdicts = judged(points)
    first, again = [(verdict.point.step, alarm) for verdict in verdicts for alarm in verdict.raised]
    assert again[0] == points[100].step
    assert (again[1].id, again[1].since_step, again[1].raised_step) == (first[1].id, points[FALL_AT].step, first[0])
    assert again[1].saw != first[1].saw
    assert "8.6, 84% below" in again[1].saw
    assert verdicts[-1].alarms == (again[1],)


@pytest.mark.parametrize("length", [3, 6, 10, 30])
def test_a_spike_that_is_over_is_no_fall_and_the_next_fall_is_one(length):
    spike = lambda at: 0.47 * ((at >= 50) & (at < 50 + length))  # noqa: E731
    assert alarms(run_of(fall=spike, layers=(0, 1, 2), points=130)) == ()
    then = lambda at: spike(at) + sudden(0.3, 100)(at)  # noqa: E731
    points = run_of(fall=then, layers=(0, 1, 2), points=110)
    [alarm] = alarms(points)
    assert alarm.since_step == points[100].step


def test_a_fall_from_a_level_that_was_reached_slowly_is_one():
    points = run_of("recovery and plateau", fall=sudden(0.4, FALL_AT), points=80)
    [alarm] = alarms(points)
    assert alarm.since_step == points[FALL_AT].step


def test_late_compression_that_is_read_at_every_fifth_point_does_not_alarm():
    """Five times the fall from point to point, of which the CUSUM alone would make an alarm in every run."""
    steps = np.concatenate([np.arange(60), 60 + 5 * np.arange(1, 41)])
    shape = SHAPES["fall and recovery"](steps.astype(float)) - 0.006 * np.clip(steps - 60, 0, 100)
    alarmed = 0
    for seed in range(4):
        ranks = RANDOM_WEIGHTS + shape[:, None] + CALM.draw(len(steps), LAYERS, np.random.default_rng(seed))
        points = [replace(point, step=20 * int(at)) for point, at in zip(points_of(ranks), steps, strict=True)]
        alarmed += bool(alarms(points))
    assert alarmed == 0


def test_a_layer_without_numbers_has_not_recovered():
    points = run_of(fall=sudden(0.6, FALL_AT), points=90)
    lost = [
        replace(point, readings=tuple(replace(each, rank=None) if each.layer == 1 else each for each in point.readings))
        for point in points[FALL_AT + 5 :]
    ]
    [alarm] = alarms([*points[: FALL_AT + 5], *lost])
    assert alarm.is_open


def test_too_few_calm_points_give_no_odds():
    points = run_of(fall=sudden(0.8, 32), points=36)
    alarm = alarms(points)[0]
    assert "too few" in alarm.sure
    assert "once in" not in alarm.sure


def test_late_compression_of_forty_percent_does_not_alarm():
    assert alarms(run_of("flat", fall=ramp(0.4, FALL_AT, length=150), points=240)) == ()


def test_a_sudden_rise_is_no_collapse_and_the_chart_follows_it():
    verdicts = judged(run_of(fall=lambda at: 0.5 * (at >= FALL_AT), points=100))
    assert verdicts[-1].alarms == ()
    assert abs(verdicts[-1].charts[1].residual) < 0.15


def test_a_fall_is_found_while_the_rank_still_recovers_steeply():
    """A level that lags behind a recovery of 2 % a point would hide two fifths of the fall."""
    at = np.arange(FALL_AT + 4, dtype=float)
    shape = -1.1 * np.clip((at - 6) / 4, 0, 1) + 0.02 * np.clip(at - 12, 0, None)
    ranks = RANDOM_WEIGHTS + shape[:, None] + Noise(0.005).draw(len(at), LAYERS, np.random.default_rng(0))
    ranks[FALL_AT:, 1] += np.log(0.7)
    points = points_of(ranks)
    [alarm] = alarms(points)
    assert alarm.since_step == points[FALL_AT].step


def test_a_layer_that_hardly_falls_in_the_beginning_is_watched_when_the_others_are():
    at = np.arange(60, dtype=float)
    ranks = RANDOM_WEIGHTS + SHAPES["fall and recovery"](at)[:, None] * np.array([1.0, 1.0, 0.1])
    ranks = ranks + Noise(0.005).draw(60, LAYERS, np.random.default_rng(0))
    last = judged(points_of(ranks))[-1]
    assert [chart.phase for chart in last.charts] == ["watching"] * LAYERS


def test_a_run_collapsed_from_its_start_is_found_without_any_healthy_part():
    alarm = alarms(points_of(np.full((6, LAYERS), np.log(3.0))))[0]
    assert alarm.kind == "dimensional_collapse"
    assert alarm.layers == (0, 1, 2)
    assert alarm.since_step == 0
    assert "3.0 of 160" in alarm.saw


def test_a_chart_says_when_it_warms_up_calibrates_and_watches():
    verdicts = judged(run_of())
    phases = [verdict.charts[0].phase for verdict in verdicts]
    assert list(dict.fromkeys(phases)) == ["warming up", "calibrating", "watching"]
    assert verdicts[0].charts[0].residual is None
    assert verdicts[-1].charts[0].lower == -verdicts[-1].charts[0].upper <= np.log1p(-Limits().drop)


def test_every_second_point_left_out_finds_the_fall_too():
    points = run_of(fall=sudden(0.3, 140), points=160)[::2]
    [alarm] = alarms(points)
    assert points[70].step <= alarm.raised_step <= points[74].step


@pytest.mark.parametrize("shape", SHAPES)
def test_points_that_begin_log_spaced_and_are_thinned_later_raise_nothing_in_a_healthy_run(shape):
    random = np.random.default_rng(3)
    steps = [0, 1]
    while len(steps) < 120:
        thinned = random.integers(2, 6) if len(steps) > 40 and random.random() < 0.3 else 1
        steps.append(steps[-1] + min(steps[-1], 200) * int(thinned))
    at = np.array(steps) / 40  # the fall of `fall and recovery` ends at step 600
    ranks = RANDOM_WEIGHTS + SHAPES[shape](at)[:, None] + CALM.draw(len(steps), LAYERS, random)
    points = [replace(point, step=step) for point, step in zip(points_of(ranks), steps, strict=True)]
    assert alarms(points) == ()


def test_utterance_charts_are_drawn_and_do_not_alarm():
    noise = CALM.draw(POINTS, 2, np.random.default_rng(0))
    ranks = RANDOM_WEIGHTS + noise
    ranks[FALL_AT:, 1] += np.log(0.3)
    verdicts = judged(points_of(ranks, levels=("frame", "utterance")))
    assert verdicts[-1].alarms == ()
    assert {chart.level for chart in verdicts[-1].charts} == {"frame", "utterance"}
    assert min(verdict.charts[1].residual or 0.0 for verdict in verdicts) < np.log(0.4)


def test_every_alarm_says_what_was_seen_how_sure_that_is_and_what_to_do():
    [alarm] = alarms(run_of(fall=sudden(0.4, FALL_AT)))
    assert "layer 1" in alarm.saw
    assert "% below" in alarm.saw
    assert "points" in alarm.sure
    assert "pilot" in alarm.next


@pytest.mark.parametrize("step", [40, 20])
def test_points_out_of_order_are_refused(step):
    judge = Judge()
    [_, _, third] = run_of()[:3]
    judge.judge(third)
    with pytest.raises(UsageError, match=f"step {step} after step 40"):
        judge.judge(replace(third, step=step))
