from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.past_conventions import baseline_points
from mlflow_rank.monitoring.point import Point


def convention(digest: str = "sha256:aa", dims: tuple[int, ...] = (8, 8), **more: Any) -> dict[str, Any]:
    layers = [{"index": index, "name": f"layers.{index}", "dim": dim} for index, dim in enumerate(dims)]
    return {"probe_set": {"count": 4, "seed": 0, "digest": digest}, "layers": layers, **more}


@pytest.fixture
def past(tmp_path: Path) -> Path:
    lines = [json.dumps(Point(step, ()).document()) + "\n" for step in (10, 20)]
    (tmp_path / "points.jsonl").write_text("".join(lines))
    (tmp_path / "monitor.json").write_text(json.dumps({"monitor": "monitor-1", "convention": convention()}))
    return tmp_path


def test_a_past_run_of_the_same_convention_gives_its_points_however_the_audio_was_drawn(past: Path) -> None:
    now = convention(input="otherwise")
    now["probe_set"]["seed"] = None

    for path in (past, past / "points.jsonl"):
        assert [point.step for point in baseline_points(path, now)] == [10, 20]


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (convention("sha256:bb"), "differs in probe set"),
        (convention(dims=(8,)), "differs in layers"),
        (convention("sha256:bb", (8, 16)), "differs in probe set and layers"),
    ],
)
def test_a_past_run_of_another_probe_set_or_layers_is_refused_by_name(
    past: Path, now: dict[str, Any], names: str
) -> None:
    with pytest.raises(UsageError, match=names) as refused:
        baseline_points(past / "points.jsonl", now)
    assert str(past) in str(refused.value)


def test_points_without_a_convention_are_taken_at_their_word(past: Path) -> None:
    (past / "monitor.json").unlink()

    assert len(baseline_points(past, convention("sha256:bb"))) == 2


def test_a_damaged_convention_is_refused(past: Path) -> None:
    (past / "monitor.json").write_text("{}")

    with pytest.raises(UsageError, match="no convention of a monitor"):
        baseline_points(past, convention())
