from __future__ import annotations

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.limits import Limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("false_alarms", 0.0),
        ("false_alarms", 1.0),
        ("drop", 1.0),
        ("slow_drop", -0.1),
        ("rank_floor", float("nan")),
        ("first_floor", 1.0),
        ("std_floor", 2.0),
        ("variance_share", 0.0),
        ("warm_up", 7),
        ("unmoved", 0),
        ("persistence", 0),
        ("explosion", 1.5),
        ("disagreement", float("nan")),
    ],
)
def test_a_limit_that_no_judge_could_keep_to_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=name) as caught:
        Limits(**{name: value})
    assert caught.value.got == str(value)


def test_a_slow_fall_that_counts_is_deeper_than_a_quick_one():
    assert Limits().slow_drop > Limits().drop
    with pytest.raises(UsageError, match="slow_drop"):
        Limits(drop=0.4, slow_drop=0.3)
