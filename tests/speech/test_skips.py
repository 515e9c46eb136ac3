from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.skips import counts_by_cause, too_many_skipped, write_skipped
from mlflow_rank.speech.utterance import SkipCause, Skipped

THREE = (
    Skipped("c.wav", SkipCause.SILENT, "peak 0"),
    Skipped("a.wav", SkipCause.MISSING, "no such file: a.wav"),
    Skipped("ü.wav", SkipCause.SILENT, "peak 0"),
)


def test_a_share_up_to_the_limit_is_put_up_with():
    assert too_many_skipped(THREE, 60, 0.05) is None
    assert too_many_skipped((), 0, 0.0) is None
    assert too_many_skipped(THREE, 3, 1.0) is None


def test_more_than_the_limit_is_an_error_that_counts_causes_and_ends_with_exit_3():
    error = too_many_skipped(THREE, 59, 0.05)
    assert error is not None
    assert error.exit_code == 3
    assert error.got == "3 of 59 (5.1%): 2 silent, 1 missing; first: c.wav: peak 0"
    assert error.expected == "at most 5.0%"
    assert "skipped.jsonl" in str(error.remedy)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UsageError, match="share"):
        too_many_skipped(THREE, 60, share)


def test_more_skipped_than_tried_is_refused():
    with pytest.raises(UsageError, match="3 of 2"):
        too_many_skipped(THREE, 2, 0.5)


def test_the_file_lists_each_with_key_cause_and_detail(tmp_path: Path):
    path = tmp_path / "skipped.jsonl"
    write_skipped(THREE, path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["key"] for row in rows] == ["a.wav", "c.wav", "ü.wav"]
    assert rows[0] == {"key": "a.wav", "cause": "missing", "detail": "no such file: a.wav"}
    write_skipped([], path)
    assert path.read_bytes() == b""


def test_causes_are_counted_most_frequent_first():
    assert list(counts_by_cause(THREE).items()) == [("silent", 2), ("missing", 1)]
