"""Which utterances carry what a task asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.tasks import parse_task
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.labelled import group_of, group_unit, label_of, labelled
from mlflow_rank.speech.utterance import AudioFile, Phone, Utterance


def utterance(key: str, **more: Any) -> Utterance:
    return Utterance(key=key, source=AudioFile(Path(key)), duration=1.0, **more)


def corpus(*utterances: Utterance) -> Corpus:
    return Corpus("dev.jsonl", "jsonl", utterances, ())


def test_utterances_with_the_label_come_in_the_order_of_their_keys_and_the_others_are_counted() -> None:
    listed = corpus(
        utterance("c.wav", labels={"alarm": "fire"}),
        utterance("a.wav", labels={"alarm": "door"}),
        utterance("b.wav", labels={"other": "x"}),
    )
    found = labelled(listed, parse_task("label:alarm"))
    assert [each.key for each in found.utterances] == ["a.wav", "c.wav"]
    assert [label_of(each, found.task) for each in found.utterances] == ["door", "fire"]
    assert found.unlabelled == 1
    assert found.corpus is listed


def test_a_keyword_is_read_from_its_column_and_else_from_the_column_label() -> None:
    task = parse_task("keyword")
    both = utterance("a.wav", labels={"keyword": "go", "label": "speech"})
    one = utterance("b.wav", labels={"label": "stop"})
    assert [label_of(each, task) for each in labelled(corpus(both, one), task).utterances] == ["go", "stop"]
    assert label_of(both, parse_task("label:label")) == "speech"


def test_the_speaker_and_the_phones_are_labels_by_themselves() -> None:
    phones = utterance("a.wav", speaker="ann", phones=(Phone("a", 0.0, 0.5),))
    listed = corpus(phones, utterance("b.wav", phones=()))
    assert [each.key for each in labelled(listed, parse_task("speaker")).utterances] == ["a.wav"]
    assert label_of(phones, parse_task("speaker")) == "ann"
    assert [each.key for each in labelled(listed, parse_task("phone")).utterances] == ["a.wav"]


@pytest.mark.parametrize(
    ("utterances", "got", "remedy"),
    [
        ([utterance("a.wav")], "dev.jsonl with the labels none", "none is there"),
        (
            [utterance("a.wav", labels={"kind": "x", "accent": "y"}), utterance("b.wav", speaker="ann")],
            "dev.jsonl with the labels accent, kind, speaker",
            "label:accent, label:kind",
        ),
        ([utterance("a.wav", phones=(Phone("a", 0, 1),))], "dev.jsonl with the labels phones", "none is there"),
    ],
)
def test_a_label_that_nobody_carries_is_refused_with_those_that_there_are(
    utterances: list[Utterance], got: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as raised:
        labelled(corpus(*utterances), parse_task("keyword"))
    assert raised.value.got == got
    assert raised.value.expected == "a column 'keyword' or 'label'"
    assert str(raised.value.remedy).endswith(remedy)


@pytest.mark.parametrize(
    ("known", "unit", "groups"),
    [
        ([("ann", "x"), ("bob", "x")], "speaker", ["ann", "bob"]),
        ([("ann", "x"), (None, "y")], "session", ["x", "y"]),
        ([("ann", "x"), (None, None)], "utterance", ["0.wav", "1.wav"]),
        ([(None, None), (None, None)], "utterance", ["0.wav", "1.wav"]),
    ],
)
def test_groups_are_of_what_is_known_of_every_utterance(
    known: list[tuple[str | None, str | None]], unit: str, groups: list[str]
) -> None:
    utterances = [utterance(f"{n}.wav", speaker=who, session=when) for n, (who, when) in enumerate(known)]
    found = group_unit(iter(utterances))
    assert found == unit
    assert [group_of(each, found) for each in utterances] == groups
