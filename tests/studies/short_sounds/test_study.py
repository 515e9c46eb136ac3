"""Right, wrong, undecided, unknown: what two ranks and two pilots together say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mlflow_rank.errors import MeasurementError
from mlflow_rank.studies.short_sounds.rank_reading import RankReading
from mlflow_rank.studies.short_sounds.readings import Condition, PilotReading, SoundReading, read_sound_reading
from mlflow_rank.studies.short_sounds.study import RANDOM, SHUFFLED, TRAINED, Targets, short_sounds_study

WHOLE = Condition("whole", "whole clips", None)
GROUPS = tuple(f"device {number % 6}" for number in range(240))
TRUTH = tuple(number // 6 % 4 for number in range(240))


def rank(value: float, level: str, wobble: float = 0.01, n: int = 1000) -> RankReading:
    without = tuple(value * (1 + wobble * (-1) ** number / 9) for number in range(10))
    return RankReading(2, level, n, 20, value, value, without, (n // 10,) * 10)


def called(share: float) -> tuple[int, ...]:
    wrong = np.random.default_rng(0).random(len(TRUTH)) > share
    return tuple((truth + int(off)) % 4 for truth, off in zip(TRUTH, wrong, strict=True))


def reading(value: float, share: float | None, *, clips: int = 400, condition: Condition = WHOLE) -> SoundReading:
    pilot = PilotReading(cause="every item carries the label 'a'")
    if share is not None:
        pilot = PilotReading(4, TRUTH, GROUPS, {2: called(share)}, 240, 2)
    return SoundReading(condition, clips, 0.5, (rank(value, "frame"), rank(value, "utterance")), pilot)


def order(trained: SoundReading, shuffled: SoundReading) -> tuple[str, str | None]:
    readings = {TRAINED: [trained], SHUFFLED: [shuffled]}
    study = short_sounds_study(readings, layer=2, targets=Targets(), settings={})
    found = study.of(SHUFFLED, "frame")[0]
    return found.order, found.cause


@pytest.mark.parametrize(
    ("mine", "its", "expected"),
    [
        ((60, 0.9), (40, 0.4), "right"),
        ((40, 0.4), (60, 0.9), "right"),
        ((60, 0.9), (85, 0.4), "wrong"),
        ((85, 0.4), (60, 0.9), "wrong"),
        ((60, 0.9), (60, 0.4), "undecided"),
        ((60, 0.9), (85, 0.9), "undecided"),
        ((60, None), (85, None), "unknown"),
    ],
)
def test_the_order_is_right_where_rank_and_pilot_agree_and_wrong_where_they_do_not(mine, its, expected):
    found, cause = order(reading(*mine), reading(*its))
    assert found == expected
    assert (cause is None) == (expected in ("right", "wrong"))


def test_a_rank_of_too_few_rows_leaves_the_order_unknown_with_its_cause():
    few = replace(
        reading(60, 0.9), ranks=(RankReading(2, "frame", 9, 20, cause="9 rows for 20"), rank(60, "utterance"))
    )
    assert order(few, few) == ("unknown", "9 rows for 20")


def test_a_reading_survives_its_document():
    for each in (reading(60, 0.9), reading(60, None)):
        assert read_sound_reading(json.loads(json.dumps(each.document(), allow_nan=False))) == each


def test_the_layer_is_the_pilots_unless_it_is_asked_for_and_no_pilot_chooses_none():
    readings = {TRAINED: [reading(60, 0.9)], SHUFFLED: [reading(85, 0.4)]}
    chosen = short_sounds_study(readings, layer=None, targets=Targets(), settings={})
    assert (chosen.layer, chosen.layer_asked) == (2, False)
    none = {TRAINED: [reading(60, None)], SHUFFLED: [reading(85, None)]}
    with pytest.raises(MeasurementError, match="chose no layer") as raised:
        short_sounds_study(none, layer=None, targets=Targets(), settings={})
    assert raised.value.got == "every item carries the label 'a'"


def test_who_heard_fewer_conditions_is_compared_on_those_and_the_counts_say_how_many_clips_are_needed():
    counts = [Condition("count", f"{n} clips", n) for n in (25, 100)]
    own = [reading(60, 0.9), *(reading(60, 0.9, clips=int(each.at or 0), condition=each) for each in counts)]
    readings = {TRAINED: own, SHUFFLED: own, RANDOM: own[:1]}
    study = short_sounds_study(readings, layer=None, targets=Targets(), settings={})
    assert (len(study.of(SHUFFLED, "frame")), len(study.of(RANDOM, "frame"))) == (3, 1)
    assert json.loads(json.dumps(study.document(), allow_nan=False))["precision"]["pilot"]["status"] == "ok"
