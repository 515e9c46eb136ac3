"""Ranks and pilots in one pass: the same numbers as by themselves, and audio of both is heard once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.sampling import Sampling
from mlflow_rank.workflow import PilotRequest, RankRequest, Setting, assess, both, measure, pilot
from mlflow_rank.workflow.assessing import widest_layer

UTTERANCES = 72


def keyword(labels: Path, **more: Any) -> PilotRequest:
    return PilotRequest(**{"task": "keyword", "labels": str(labels), "shots": (1, "all"), "draws": 2, **more})


def ranking(audio: Path, **more: Any) -> RankRequest:
    return RankRequest(str(audio), sampling=Sampling(**{"hours": None, "blocks": 4, **more}))


@pytest.mark.parametrize(
    ("budget", "control"), [({}, False), ({"utterances": 20}, False), ({"max_duration": 0.09}, False), ({}, True)]
)
def test_audio_that_is_measured_and_labelled_is_heard_once_by_each_encoder(
    make_setting: Callable[..., Setting],
    make_recordings: Callable[..., Path],
    words: Path,
    heard: Any,
    tmp_path: Path,
    budget: dict[str, Any],
    control: bool,
) -> None:
    audio = make_recordings(tmp_path / "short", count=5, lengths=(1200,)) if "max_duration" in budget else words
    alone = 5 if "max_duration" in budget else 0  # measured, but not labelled
    setting = make_setting(control=control)
    assess(setting, ranking(audio, **budget), [keyword(words), keyword(words, task="speaker")])
    assert heard.times == (UTTERANCES + alone) * (2 if control else 1)
    assert setting.cache is not None
    assert not list(setting.cache.rglob("*.npz"))


@pytest.mark.parametrize("budget", [{}, {"utterances": 30}])
def test_the_numbers_are_those_of_measure_and_of_pilot_by_themselves(
    make_setting: Callable[..., Setting], words: Path, budget: dict[str, Any]
) -> None:
    setting = make_setting(control=True)
    requests = [keyword(words, pooling="segments"), keyword(words, task="speaker")]
    together = assess(setting, ranking(words, **budget), requests)
    measured = measure(setting, ranking(words, **budget))
    for own, alone in (
        (together.measurement.document, measured.document),
        (together.measurement.control, measured.control),
    ):
        assert own is not None
        assert alone is not None
        assert {name: own[name] for name in own if name != "ranks"} == {
            name: alone[name] for name in alone if name != "ranks"
        }
        for mine, theirs in zip(rows_of(own, "ranks"), rows_of(alone, "ranks"), strict=True):
            for name, value in theirs.items():
                assert mine[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
    apart = [pilot(setting, [request]) for request in requests]
    assert rows_of(together.pilot, "rows") == [row for document in apart for row in rows_of(document, "rows")]
    for task, document in zip(rows_of(together.pilot, "tasks"), apart, strict=True):
        (own,) = rows_of(document, "tasks")
        assert task["layer_choice"] == own["layer_choice"] | {"rank_best": widest_layer(measured.document)}
        assert {**task, "layer_choice": None} == {**own, "layer_choice": None}
    assert together.pilot["model"] == apart[0]["model"]


def test_the_layer_of_the_highest_rank_is_named_and_chosen_by_nobody(
    make_setting: Callable[..., Setting], words: Path
) -> None:
    assessment = assess(make_setting(), ranking(words), [keyword(words, log_mel=False)])
    ranks = {
        row["layer"]: row["corrected"]
        for row in rows_of(assessment.measurement.document, "ranks")
        if (row["metric"], row["level"], row["centred"]) == ("effective_rank", "frame", True)
    }
    (task,) = rows_of(assessment.pilot, "tasks")
    assert task["layer_choice"]["rank_best"] == max(ranks, key=lambda layer: ranks[layer])
    assert task["layer_choice"]["pilot_best"] in (1, 2)


def test_both_documents_are_one_without_nan(make_setting: Callable[..., Setting], words: Path) -> None:
    document = both(assess(make_setting(), ranking(words), [keyword(words, log_mel=False)]))
    assert list(document) == ["kind", "measurement", "pilot"]
    assert json.loads(json.dumps(document, allow_nan=False))["pilot"]["kind"] == "PilotResult"


def test_without_ranks_no_layer_is_the_widest() -> None:
    row = {"metric": "effective_rank", "level": "frame", "centred": True, "layer": 1, "value": None, "corrected": None}
    assert widest_layer({"ranks": [row]}) is None
    assert widest_layer({"ranks": [row, {**row, "layer": 2, "value": 3.0}, {**row, "layer": 3, "value": 3.0}]}) == 2


def test_nothing_to_pilot_is_refused_before_anything_is_heard(
    make_setting: Callable[..., Setting], words: Path, heard: Any
) -> None:
    with pytest.raises(UsageError, match="no task") as raised:
        assess(make_setting(), ranking(words), [])
    assert raised.value.exit_code == 2
    assert heard.times == 0


def test_a_task_asked_for_twice_is_refused_before_anything_is_heard(
    make_setting: Callable[..., Setting], words: Path, heard: Any
) -> None:
    with pytest.raises(UsageError, match="twice") as raised:
        assess(make_setting(), ranking(words), [keyword(words), keyword(words, pooling="segments")])
    assert raised.value.got == "keyword"
    assert heard.times == 0


def rows_of(document: Mapping[str, object], name: str) -> list[dict[str, Any]]:
    rows = document[name]
    assert isinstance(rows, list)
    return rows
