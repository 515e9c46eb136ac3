from __future__ import annotations

from pathlib import Path

from filed import opened

from mlflow_rank.monitoring.checkpoint_log import Heard
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.workflow.watch_evidence import WatchEvidence


def test_checkpoints_of_one_step_and_name_in_two_places_each_have_their_statement(tmp_path: Path) -> None:
    evidence = WatchEvidence(tmp_path, lambda: "monitor-1", None)
    for place, digit in (("student", "1"), ("teacher", "2")):
        evidence.say_of(Heard("hf", f"runs/{place}/hf", 500, f"sha256:{64 * digit}"), Verdict(Point(500, ()), (), ()))
    assert len(set(evidence.written)) == 2
    about = [opened(file.read_bytes())[1]["subject"][0]["name"] for file in evidence.written]
    assert about == ["runs/student/hf", "runs/teacher/hf"]


def test_what_is_stated_again_is_written_over_what_was_stated_before(tmp_path: Path) -> None:
    evidence = WatchEvidence(tmp_path, lambda: "monitor-1", None)
    heard = Heard("step_500", "runs/step_500", 500, f"sha256:{64 * '1'}")
    for step in (500, 700):
        evidence.say_of(heard, Verdict(Point(step, ()), (), ()))
    (file,) = evidence.written
    assert list((tmp_path / "evidence").iterdir()) == [file]
    assert opened(file.read_bytes())[1]["predicate"]["heard_until"] == 700
