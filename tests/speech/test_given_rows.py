from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.given_rows import GivenRows
from mlflow_rank.speech.sources import open_corpus

ROWS: list[dict[str, Any]] = [
    {"path": "a.wav", "speaker": "ann", "mood": "calm", "session": None},
    {"path": "deeper/b.wav", "speaker": "bob", "mood": None, "start": 0.1, "end": 0.3},
    {"path": "absent.wav", "speaker": "bob", "mood": "calm"},
]


@pytest.fixture
def audio(write: Callable[..., Path], tmp_path: Path) -> Path:
    write("a.wav")
    write("deeper/b.wav")
    return tmp_path


def test_rows_in_memory_are_the_corpus_that_a_manifest_of_them_is(audio: Path) -> None:
    manifest = audio / "rows.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    given = GivenRows("a frame", audio, ROWS).corpus()

    assert given == replace(open_corpus(manifest), source="a frame", kind="rows")
    assert [each.key for each in given.utterances] == ["a.wav", "deeper/b.wav#0.1-0.3"]
    assert [each.key for each in given.skipped] == ["absent.wav"]


def test_absolute_paths_below_the_base_make_the_same_keys(audio: Path) -> None:
    absolute = [row | {"path": str(audio / row["path"])} for row in ROWS]

    assert GivenRows("a frame", audio, absolute).corpus() == GivenRows("a frame", audio, ROWS).corpus()


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([], "no audio there"),
        ([{"path": "a.wav"}, {"file": "a.wav"}], "a frame: row 2: missing column 'path'"),
        ([{"path": "a.wav", "start": "early"}], "a frame: row 1: bad value in column 'start'"),
        ([{"path": "a.wav"}, {"path": "./a.wav"}], "a frame: row 2: the same utterance twice"),
    ],
)
def test_rows_that_do_not_mean_what_they_promise_are_refused_by_number(
    audio: Path, rows: list[dict[str, object]], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        GivenRows("a frame", audio, rows).corpus()


def test_phones_are_read_only_where_they_are_asked_for(audio: Path) -> None:
    (audio / "b.ctm").write_text("a 1 0.00 0.10 x\na 1 0.10 0.20 y\n")
    rows = GivenRows("a frame", audio, [{"path": "a.wav", "ctm": "b.ctm"}])

    assert rows.corpus().utterances[0].phones is None
    assert [phone.symbol for phone in rows.corpus(alignments=True).utterances[0].phones or ()] == ["x", "y"]
