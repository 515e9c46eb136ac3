from __future__ import annotations

import math

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.signs import Episodes, Sign


def episodes(*, raise_after: int = 2, close_after: int = 2) -> Episodes:
    return Episodes("divergence", raise_after=raise_after, close_after=close_after, advice="Stop.")


def sign(layer: int, size: float = 1.0) -> Sign:
    return Sign(layer, f"saw {layer}", f"sure {layer}", size)


def test_a_sign_counts_once_it_has_shown_often_enough_in_a_row():
    ours = episodes()
    assert ours.take(0, [sign(1)]) is None
    assert ours.take(1, []) is None
    assert ours.take(2, [sign(1)]) is None
    assert ours.take(3, [sign(1)]) == Alarm("divergence@3", "divergence", 2, 3, (1,), "saw 1", "sure 1", "Stop.")


def test_one_alarm_tells_of_the_worst_layer_and_names_all():
    ours = episodes(raise_after=1)
    alarm = ours.take(5, [sign(4), sign(2, size=9.0), sign(3)])
    assert alarm is not None
    assert (alarm.layers, alarm.saw) == ((2, 3, 4), "saw 2")


def test_a_layer_joins_only_once_its_own_sign_lasts():
    ours = episodes()
    ours.take(0, [sign(1)])
    ours.take(1, [sign(1)])
    assert ours.take(2, [sign(1), sign(2)]) is None
    alarm = ours.take(3, [sign(1), sign(2)])
    assert alarm is not None
    assert (alarm.id, alarm.layers, alarm.since_step, alarm.raised_step) == ("divergence@1", (1, 2), 0, 1)


def test_it_closes_with_the_first_of_the_quiet_points_and_keeps_its_id():
    ours = episodes(raise_after=1)
    ours.take(0, [sign(1)])
    assert ours.take(1, []) is None
    assert ours.take(2, [sign(1)]) is None
    assert ours.take(3, []) is None
    alarm = ours.take(4, [])
    assert alarm is not None
    assert (alarm.id, alarm.closed_step, alarm.is_open) == ("divergence@0", 3, False)
    assert ours.alarm is None


def test_an_open_alarm_has_new_words_once_it_is_worse_by_a_factor_of_two_and_keeps_the_rest():
    ours = episodes(raise_after=1)
    ours.take(0, [sign(1, size=0.4)])
    assert ours.take(1, [Sign(1, "a little worse", "sure", 1.0)]) is None
    alarm = ours.take(2, [Sign(1, "much worse", "surer", 1.2)])
    assert alarm == Alarm("divergence@0", "divergence", 0, 0, (1,), "much worse", "surer", "Stop.")
    assert ours.take(3, [Sign(1, "the same", "sure", 1.3)]) is None


def test_nothing_is_worse_than_no_number():
    ours = episodes(raise_after=1)
    ours.take(0, [sign(1, size=math.inf)])
    assert ours.take(1, [Sign(1, "again", "sure", math.inf)]) is None


def test_a_layer_that_joins_is_no_news_of_the_worst():
    ours = episodes(raise_after=1)
    ours.take(0, [sign(1)])
    alarm = ours.take(1, [sign(1), sign(2, size=1.1)])
    assert alarm is not None
    assert (alarm.layers, alarm.saw) == ((1, 2), "saw 1")


def test_a_sign_may_say_since_when_it_has_been_there():
    alarm = episodes(raise_after=1).take(9, [Sign(1, "saw", "sure", since_step=4)])
    assert alarm is not None
    assert (alarm.since_step, alarm.raised_step) == (4, 9)
