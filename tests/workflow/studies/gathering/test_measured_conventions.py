"""What numbers mean is read from their documents: everything that changes them, and nothing of the encoder."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from evidence import measurement
from pilots import pilot

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions, differing
from mlflow_rank.workflow.studies.gathering.measured_conventions import agreed, conventions_of, parts_of

Document = dict[str, Any]
MEASUREMENT, PILOT = measurement(), pilot(tasks=("keyword", "label:alarm.kind"))


def changed(document: Document, *path: str | int, to: object) -> Document:
    whole = copy.deepcopy(document)
    part: Any = whole
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = to
    return whole


def names(left: Conventions, right: Conventions) -> list[str]:
    return [each.setting for each in differing(left, right)]


@pytest.mark.parametrize(
    ("path", "to", "setting"),
    [
        (("protocol", "preset"), "rankme_t", "rank.preset"),
        (("protocol", "frame_stride"), 5, "rank.frame_stride"),
        (("protocol", "dtype"), "bfloat16", "rank.dtype"),
        (("protocol", "channel"), 1, "rank.channel"),
        (("protocol", "blocks"), 4, "rank.blocks"),
        (("protocol", "sampling", "seed"), 3, "rank.sampling.seed"),
        (("protocol", "epsilon", "rankme"), 1e-5, "rank.epsilon.rankme"),
        (("audio", "corpus_digest"), "sha256:0", "rank.corpus_digest"),
        (("audio", "utterances"), 89, "rank.utterances"),
    ],
)
def test_what_changes_a_rank_is_a_setting(path: tuple[str, ...], to: object, setting: str) -> None:
    other = changed(MEASUREMENT, *path, to=to)

    assert names(conventions_of(MEASUREMENT, PILOT), conventions_of(other, PILOT)) == [setting]


@pytest.mark.parametrize(
    ("path", "to", "setting"),
    [
        (("tasks", 0, "pooling"), "segments", "pilot.keyword.pooling"),
        (("tasks", 0, "protocol", "seed"), 4, "pilot.keyword.seed"),
        (("tasks", 0, "protocol", "draws"), 3, "pilot.keyword.draws"),
        (("tasks", 0, "protocol", "test_share"), 0.3, "pilot.keyword.test_share"),
        (("tasks", 0, "protocol", "train_items"), 7, "pilot.keyword.train_items"),
        (("tasks", 0, "protocol", "test_items"), 7, "pilot.keyword.test_items"),
        (("tasks", 0, "protocol", "disjoint_by"), "utterance", "pilot.keyword.disjoint_by"),
        (("tasks", 0, "heads", "ridge"), "not standardised", "pilot.keyword.normalisation"),
        (("tasks", 0, "domains", "in_domain", "corpus_digest"), "x", "pilot.keyword.in_domain.corpus_digest"),
        (("tasks", 0, "domains", "out_of_domain", "corpus_digest"), "x", "pilot.keyword.out_of_domain.corpus_digest"),
        (("tasks", 1, "pooling"), "segments", "pilot.label_alarm_kind.pooling"),
    ],
)
def test_what_changes_a_score_is_a_setting_of_its_task(path: tuple[str | int, ...], to: object, setting: str) -> None:
    other = changed(PILOT, *path, to=to)

    assert names(conventions_of(MEASUREMENT, PILOT), conventions_of(MEASUREMENT, other)) == [setting]


def test_the_score_that_is_meant_has_the_most_labels_and_the_first_head() -> None:
    few = copy.deepcopy(PILOT)
    few["rows"] = [row for row in few["rows"] if row["shots"] != "all"]

    said = conventions_of(None, PILOT).settings

    assert (said["pilot.keyword.shots"], said["pilot.keyword.head"]) == ("all", "ridge")
    assert said["pilot.keyword.metric"] == "balanced_accuracy"
    assert conventions_of(None, few).settings["pilot.keyword.shots"] == 20


def test_the_encoder_and_its_layers_are_no_settings() -> None:
    other = measurement(layers=7, dim=9, layers_asked="0-6")
    other["model"] |= {"spec": "elsewhere", "digest": "sha256:1", "parameters": 5}

    assert names(conventions_of(MEASUREMENT, None), conventions_of(other, None)) == []
    assert names(conventions_of(None, pilot(layers=3)), conventions_of(None, pilot(layers=5, digest="1" * 64))) == []


def test_one_document_alone_has_its_own_settings_only() -> None:
    assert parts_of(conventions_of(MEASUREMENT, None)) == {"rank."}
    assert parts_of(conventions_of(None, PILOT)) == {"pilot.keyword.", "pilot.label_alarm_kind."}
    assert conventions_of(None, None).settings == {}


def test_a_document_that_is_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="this is not a pilot"):
        conventions_of(None, MEASUREMENT)


def test_who_lacks_a_task_contradicts_nobody_and_all_settings_are_agreed_on() -> None:
    both, ranks = conventions_of(MEASUREMENT, PILOT), conventions_of(MEASUREMENT, None)

    assert agreed({"a": ranks, "b": both, "c": conventions_of(None, PILOT)}) == both


def test_two_conventions_of_one_task_are_refused_by_name() -> None:
    other = changed(PILOT, "tasks", 0, "pooling", to="segments")

    with pytest.raises(UsageError, match=r"pilot\.keyword\.pooling: 'mean' and 'segments'") as refused:
        agreed({"step 1": conventions_of(MEASUREMENT, PILOT), "step 2": conventions_of(MEASUREMENT, other)})
    assert "step 1 and step 2" in str(refused.value)


def test_nothing_is_no_convention() -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        agreed({})
