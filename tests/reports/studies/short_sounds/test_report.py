"""What people see of a study of short sounds: sentences with both ranks and both pilots, tables, figures."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlflow_rank.reports.studies.short_sounds.report import report
from mlflow_rank.reports.studies.terminal import print_study
from mlflow_rank.studies.short_sounds.rank_reading import RankReading
from mlflow_rank.studies.short_sounds.readings import Condition, PilotReading, SoundReading
from mlflow_rank.studies.short_sounds.study import (
    RANDOM,
    SHUFFLED,
    TRAINED,
    ShortSoundsStudy,
    Targets,
    short_sounds_study,
)

CONDITIONS = (
    (Condition("whole", "whole clips", None), 400),
    (Condition("count", "50 clips", 50), 50),
    (Condition("count", "200 clips", 200), 200),
    (Condition("stride", "every 5th frame", 5), 400),
    (Condition("length", "at most 0.1 s", 0.1), 200),
    (Condition("silence", "10 % of 1 s", 0.1), 200),
    (Condition("noise", "25 %, noise at 10 dB", 10), 200),
)
SETTINGS: dict[str, Any] = {
    "model": "starter", "clips": 400, "labels": "starter:sounds", "groups": 6, "group_unit": "session", "classes": 4,
    "task": "label:kind", "median_seconds": 0.5, "clips_skipped": 2, "clips_left_over": 0, "dtype": "float32",
    "seed": 0, "blocks": 10, "block_unit": "utterance", "head": "ridge", "noise": "motor hum by formula",
}  # fmt: skip


def readings(value: float, share: float) -> list[SoundReading]:
    rng = np.random.default_rng(1)
    found = []
    for condition, clips in CONDITIONS:
        truth = tuple(number // 6 % 4 for number in range(clips))
        called = tuple((code + int(rng.random() > share)) % 4 for code in truth)
        wobble = 0.3 / clips**0.5
        without = tuple(value * (1 + wobble * (-1) ** number / 9) for number in range(10))
        ranks = [RankReading(2, "frame", 20 * clips, 100, value, value, without, (2 * clips,) * 10)]
        if clips > 100:
            ranks.append(RankReading(2, "utterance", clips, 100, value, None, without, (clips // 10,) * 10))
        else:
            ranks.append(RankReading(2, "utterance", clips, 100, cause=f"{clips} rows for 100 dimensions"))
        groups = tuple(f"device {number % 6}" for number in range(clips))
        pilot = PilotReading(4, truth, groups, {2: called}, clips, 2)
        found.append(SoundReading(condition, clips, 0.5, tuple(ranks), pilot))
    return found


def made(shuffled: float) -> ShortSoundsStudy:
    roles = {TRAINED: readings(61.2, 0.92), SHUFFLED: readings(shuffled, 0.31), RANDOM: readings(90.0, 0.3)[:4]}
    return short_sounds_study(roles, layer=None, targets=Targets(), settings=SETTINGS)


def test_a_wrong_order_is_said_with_both_ranks_and_both_pilots_before_all_else() -> None:
    first, *others = report(made(85.0)).verdicts
    assert "the order is WRONG, rank 61.2 < 85.0 (ratio 0.72 [0.72, 0.72])" in first
    assert "while the pilot says 9" in first
    assert " % against 3" in first
    assert any("let the pilot decide" in each for each in others)
    assert any("wrong in 7" in each for each in others)
    assert any("wrong in 6, unknown in 1" in each for each in others)


def test_a_right_order_promises_no_more_than_an_early_sign() -> None:
    found = report(made(40.0))
    assert "the order is RIGHT, rank 61.2 > 40.0" in found.verdicts[0]
    assert "no approval by it" in found.verdicts[-1]
    assert (found.metrics["right_frame"], found.metrics["wrong_frame"]) == (7.0, 0.0)


def test_an_unknown_rank_is_a_gap_and_no_number_of_clips_is_named_from_two_counts() -> None:
    found = report(made(85.0))
    tables = {each.name: each for each in found.tables}
    row = next(each for each in tables["shuffled_utterance"].rows if each[0] == "50 clips")
    assert row[3:8] == (None,) * 5
    assert row[-1] == "unknown"
    assert len(tables["every_layer"].rows) == 2 * (7 + 4)
    needed = {row[0]: row for row in tables["clips_needed"].rows}
    assert needed["rank, frames of all clips pooled"][2] is not None
    assert needed["rank, one mean per clip"][2] is None
    assert "not enough" in str(needed["rank, one mean per clip"][-1])
    assert any("is not known, an interval at 2 numbers of clips" in each for each in found.verdicts)


def test_every_figure_can_be_drawn_and_names_its_encoders() -> None:
    figures = {each.name: each.draw() for each in report(made(85.0)).figures}
    assert list(figures) == ["clip_length", "clip_count", "bursts", "clips_needed"]
    for name in ("clip_length", "clip_count", "bursts"):
        labels = [text.get_text() for text in figures[name].legends[0].get_texts()]
        assert labels == ["trained", "shuffled copy", "random weights"]
    axis = figures["clip_length"].axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0.1", "whole"]


@pytest.mark.parametrize("width", [80, 120])
def test_it_prints(width: int) -> None:
    stream = io.StringIO()
    study = made(85.0)
    print_study(report(replace(study, settings={**study.settings, "model": "\x1b[31mred"})), stream=stream, width=width)
    assert "\x1b" not in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= width
