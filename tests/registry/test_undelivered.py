from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.undelivered import (
    POINTS,
    RECORD,
    Belonging,
    Delivery,
    add_points,
    forget,
    points_in,
)


def delivery(step: int, value: float = 1.0) -> Delivery:
    return Delivery(step, 1000 * step, {"monitor_rank_frame/layer_00": value, "monitor_alarms_open": 0.0}, {"a": "b"})


def test_points_come_back_in_the_order_of_their_steps_each_once(tmp_path: Path) -> None:
    add_points(tmp_path, [delivery(4), delivery(2)])
    add_points(tmp_path, [delivery(4, 5.0), delivery(1)])
    assert list(points_in(tmp_path)) == [delivery(1), delivery(2), delivery(4, 5.0)]


def test_a_line_that_was_cut_off_is_left_out_and_spoils_nothing_after_it(tmp_path: Path) -> None:
    add_points(tmp_path, [delivery(1)])
    with (tmp_path / POINTS).open("a") as file:
        file.write('{"step": 2, "at"')
    assert list(points_in(tmp_path)) == [delivery(1)]
    add_points(tmp_path, [delivery(3)])
    assert list(points_in(tmp_path)) == [delivery(1), delivery(3)]


def test_a_damaged_line_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / POINTS).write_text("no JSON\n")
    with pytest.raises(UsageError, match="cannot be read") as raised:
        list(points_in(tmp_path))
    assert "points.jsonl" in str(raised.value.remedy)


def test_where_it_belongs_comes_back_as_it_was_written(tmp_path: Path) -> None:
    to = Belonging("http://lab:5000", "monitor-1", "ab", True, "pretraining", "night", {"every": "200"}, "KILLED", 7, 2)
    to.write(tmp_path / RECORD)
    assert Belonging.read(tmp_path / RECORD) == to
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    add_points(tmp_path, [delivery(1)])
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Belonging.read(tmp_path / RECORD) is None


@pytest.mark.parametrize("text", ["", "[]", '{"tracking_uri": 1, "more": 2}'])
def test_a_damaged_record_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        Belonging.read(tmp_path / RECORD)
