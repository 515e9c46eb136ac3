"""The journal: what was measured is there again, whatever ended the run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.journal import Journal, read_points
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.verdict import Verdict

CONVENTION = {"probe": "sha256:00", "layers": (0, 1)}


def point(step: int, rank: float = 7.5, loss: float | None = None) -> Point:
    reading = Reading(0, "frame", 100, 8, rank, rank - 1, 3.0, 0.9, 0.1)
    unknown = Reading(1, "frame", 100, 8, cause="3 frames hold NaN")
    return Point(step, (reading, unknown), loss=loss, seconds=0.5, at=1_700_000_000.0)


def kept(directory: Path, steps: list[int], *, begin: int | None = 0) -> Journal:
    journal = Journal(directory)
    journal.begin(CONVENTION, step=begin)
    for step in steps:
        journal.keep(Verdict(point(step), (), ()))
    return journal


@pytest.mark.parametrize("loss", [None, 2.5, math.inf, math.nan])
def test_a_point_is_read_as_it_was_written(loss: float | None) -> None:
    written = point(3, loss=loss)
    read = Point.read(json.loads(json.dumps(written.document(), allow_nan=False)))
    assert (read.step, read.readings) == (written.step, written.readings)
    assert read.loss is None if loss is None else str(read.loss) == str(loss)


@pytest.mark.parametrize("damage", [{"stepp": 1}, {"readings": [{"layer": 0}]}, {"loss": "much"}])
def test_what_is_no_point_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no point of a monitor"):
        Point.read({**point(3).document(), **damage})


def test_a_run_that_goes_on_has_its_points_and_its_name(tmp_path: Path) -> None:
    first = kept(tmp_path, [0, 10, 20])
    first.close()
    second = kept(tmp_path, [], begin=25)
    assert [each.step for each in second.points] == [0, 10, 20]
    assert second.monitor == first.monitor


def test_a_line_cut_off_in_writing_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    kept(tmp_path, [0, 10, 20]).close()
    file = tmp_path / "points.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    second = kept(tmp_path, [20], begin=15)
    second.close()
    assert [each.step for each in read_points(tmp_path)] == [0, 10, 20]


def test_a_line_that_is_damaged_further_up_is_an_error(tmp_path: Path) -> None:
    kept(tmp_path, [0, 10]).close()
    file = tmp_path / "points.jsonl"
    file.write_text("{}\n" + file.read_text())
    with pytest.raises(UsageError, match="this line holds no point"):
        Journal(tmp_path)


def test_training_that_went_back_to_a_checkpoint_measures_the_way_again(tmp_path: Path) -> None:
    kept(tmp_path, [0, 10, 20, 30]).close()
    second = kept(tmp_path, [20], begin=10)
    second.close()
    assert [each.step for each in read_points(tmp_path)] == [0, 10, 20]
    aside = (tmp_path / "points_put_aside.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in aside] == [20, 30]


def test_a_new_training_puts_the_old_one_aside_whatever_its_convention(tmp_path: Path) -> None:
    first = kept(tmp_path, [0, 10])
    first.close()
    second = Journal(tmp_path)
    second.begin({"probe": "another"}, step=0)
    assert second.points == []
    assert second.monitor != first.monitor
    assert [each.step for each in read_points(tmp_path / "previous_1")] == [0, 10]


def test_a_run_goes_on_only_under_its_convention(tmp_path: Path) -> None:
    kept(tmp_path, [0, 10]).close()
    journal = Journal(tmp_path)
    with pytest.raises(UsageError, match=r"another convention than its points: layers"):
        journal.begin({**CONVENTION, "layers": (0, 2)}, step=10)


def test_who_does_not_know_the_step_goes_on_after_the_points_there_are(tmp_path: Path) -> None:
    kept(tmp_path, [5], begin=None).close()
    assert [each.step for each in kept(tmp_path, [], begin=None).points] == [5]


def test_two_monitors_do_not_write_one_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(UsageError, match="another process keeps its monitor there"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_alarms_are_on_disk_with_the_point_that_raised_them(tmp_path: Path) -> None:
    journal = kept(tmp_path, [])
    alarm = Alarm("divergence@7", "divergence", 6, 7, (0,), "Layer 0 holds NaN.", "It is certain.", "Stop.")
    journal.keep(Verdict(point(7), (), (alarm,), raised=(alarm,)))
    document = json.loads((tmp_path / "alarms.json").read_text())
    assert document["monitor"] == journal.monitor
    assert [(each["id"], each["state"]) for each in document["alarms"]] == [("divergence@7", "open")]


def test_a_past_run_without_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no points of a monitor there"):
        read_points(tmp_path)
    (tmp_path / "points.jsonl").touch()
    with pytest.raises(UsageError, match="no points of a monitor in it"):
        read_points(tmp_path)


def test_what_a_full_disk_took_is_written_with_the_next_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = kept(tmp_path, [0, 10])

    def full(descriptor: int) -> None:
        with (tmp_path / "points.jsonl").open("r+b") as file:
            file.truncate(file.seek(0, 2) - 30)  # half a line got there
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            journal.keep(Verdict(point(20), (), ()))
    journal.keep(Verdict(point(30), (), ()))
    journal.close()
    assert [each.step for each in read_points(tmp_path)] == [0, 10, 20, 30]
