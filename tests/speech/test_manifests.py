from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import AudioFile, Phone, SkipCause, Utterance
from tests.speech.conftest import noise

Row = Mapping[str, object]

ROWS: tuple[Row, ...] = (
    {
        "path": "wav/a.wav",
        "start": 0.1,
        "end": 0.35,
        "speaker": "anna",
        "session": "monday",
        "text": 'she said "no", twice',
        "label": "no",
        "label:mood": "calm",
        "room": "hall",
        "phones": [["n", 0.0, 0.1], ["oʊ", 0.1, 0.25]],
    },
    {"path": "wav/a.wav", "start": 0.35, "speaker": "anna"},
    {"path": "wav/b.wav", "duration": 0.5, "speaker": "bo"},
    {"path": "wav/missing.wav", "duration": 9.0},
)


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")


def write_separated(delimiter: str) -> Callable[[Path, Sequence[Row]], None]:
    def write_rows(path: Path, rows: Sequence[Row]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter=delimiter)
            writer.writeheader()
            for row in rows:
                writer.writerow({k: json.dumps(v) if k == "phones" else v for k, v in row.items()})

    return write_rows


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    structs = [
        {**row, "phones": [dict(zip(("symbol", "start", "end"), phone, strict=True)) for phone in row["phones"]]}
        if row.get("phones")
        else row
        for row in rows
    ]
    table = pyarrow.table({name: [row.get(name) for row in structs] for name in names})
    pyarrow.parquet.write_table(table, path)


WRITERS = {
    "jsonl": write_jsonl,
    "csv": write_separated(","),
    "tsv": write_separated("\t"),
    "parquet": write_parquet,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_manifest_format_says_the_same(write, tmp_path, kind):
    a, b = write("wav/a.wav"), write("wav/b.wav")
    WRITERS[kind](tmp_path / f"list.{kind}", ROWS)
    corpus = open_corpus(tmp_path / f"list.{kind}")
    assert corpus.kind == kind
    assert corpus.utterances == (
        Utterance(
            key="wav/a.wav#0.1-0.35",
            source=AudioFile(a),
            duration=0.35 - 0.1,
            start=0.1,
            end=0.35,
            speaker="anna",
            session="monday",
            text='she said "no", twice',
            labels={"label": "no", "mood": "calm", "room": "hall"},
            phones=(Phone("n", 0.0, 0.1), Phone("oʊ", 0.1, 0.25)),
        ),
        Utterance(
            key="wav/a.wav#0.35-", source=AudioFile(a), duration=0.5 - 0.35, start=0.35, end=None, speaker="anna"
        ),
        Utterance(key="wav/b.wav", source=AudioFile(b), duration=0.5, speaker="bo"),
    )
    assert [(each.key, each.cause) for each in corpus.skipped] == [("wav/missing.wav", SkipCause.MISSING)]
    assert decode(corpus.utterances[1], rate=16_000).samples.shape == (2_400,)


def test_fairseq_s_form_is_known_by_its_first_line(write, tmp_path):
    a = write("audio/x/a.wav")
    (tmp_path / "lists").mkdir()
    manifest = tmp_path / "lists" / "train.tsv"
    manifest.write_text(f"{tmp_path / 'audio'}\nx/a.wav\t8000\r\nx/gone.wav\t16000\n")
    corpus = open_corpus(manifest)
    assert corpus.kind == "fairseq"
    assert corpus.utterances == (Utterance(key="x/a.wav", source=AudioFile(a), duration=0.5),)
    assert [each.key for each in corpus.skipped] == ["x/gone.wav"]


def test_a_tsv_with_one_column_is_not_taken_for_fairseq_s_form(write, tmp_path):
    write("a.wav")
    (tmp_path / "list.tsv").write_text("path\na.wav\n")
    assert open_corpus(tmp_path / "list.tsv").kind == "tsv"


def test_a_byte_order_mark_and_windows_lines_do_no_harm(write, tmp_path):
    write("ä.wav")
    (tmp_path / "list.csv").write_bytes("path,speaker\r\nä.wav,Zoë\r\n\r\n".encode("utf-8-sig"))
    (only,) = open_corpus(tmp_path / "list.csv").utterances
    assert (only.key, only.speaker) == ("ä.wav", "Zoë")


def test_whole_numbers_serve_as_names_and_other_numbers_are_named_as_ignored(write, tmp_path):
    write("a.wav")
    row = {"path": "a.wav", "speaker_id": 17, "label": 3, "labels": {"mood": "calm"}, "snr": 12.5, "none": None}
    write_jsonl(tmp_path / "list.jsonl", [row])
    corpus = open_corpus(tmp_path / "list.jsonl")
    assert corpus.utterances[0].speaker == "17"
    assert corpus.utterances[0].labels == {"label": "3", "mood": "calm"}
    assert corpus.describe()["ignored_columns"] == ["snr"]


def test_a_column_called_labels_is_a_label_like_any_other_where_cells_are_text(write, tmp_path):
    write("a.wav")
    (tmp_path / "list.csv").write_text("path,labels,label\na.wav,x,y\n")
    assert open_corpus(tmp_path / "list.csv").utterances[0].labels == {"labels": "x", "label": "y"}


def test_a_path_that_no_file_system_allows_is_skipped_and_stops_nothing(write, tmp_path):
    write("a.wav")
    rows = [{"path": 300 * "x", "duration": 1.0}, {"path": "a.wav", "duration": 0.5}]
    write_jsonl(tmp_path / "list.jsonl", rows)
    corpus = open_corpus(tmp_path / "list.jsonl")
    assert [each.key for each in corpus.utterances] == ["a.wav"]
    assert [each.cause for each in corpus.skipped] == [SkipCause.UNREADABLE]


def test_start_with_duration_is_a_segment(write, tmp_path):
    write("a.wav")
    write_jsonl(tmp_path / "list.jsonl", [{"path": "a.wav", "start": 0.125, "duration": 0.25}])
    (only,) = open_corpus(tmp_path / "list.jsonl").utterances
    assert (only.end, only.duration) == (0.375, 0.25)
    assert decode(only, rate=16_000).samples.shape == (4_000,)


def test_a_segment_that_starts_after_the_file_is_skipped_with_its_cause(write, tmp_path):
    write("a.wav")
    write_jsonl(tmp_path / "list.jsonl", [{"path": "a.wav", "start": 0.5}, {"path": "a.wav"}])
    corpus = open_corpus(tmp_path / "list.jsonl")
    assert [(each.key, each.cause) for each in corpus.skipped] == [("a.wav#0.5-", SkipCause.SEGMENT_OUTSIDE_FILE)]
    assert [each.key for each in corpus.utterances] == ["a.wav"]


def test_keys_do_not_tell_where_the_corpus_lies(write, tmp_path):
    a, outside = write("corpus/wav/a.wav"), write("other/b.wav")
    rows = [{"path": str(a)}, {"path": "./wav/../wav/../../other/b.wav"}]
    write_jsonl(tmp_path / "corpus" / "list.jsonl", rows)
    keys = [each.key for each in open_corpus(tmp_path / "corpus" / "list.jsonl").utterances]
    assert keys[0] == "wav/a.wav"
    assert str(tmp_path) not in keys[1]
    write_jsonl(tmp_path / "corpus" / "list.jsonl", [{"path": str(outside)}])
    assert [each.key for each in open_corpus(tmp_path / "corpus" / "list.jsonl").utterances] == [str(outside)]


def test_a_relative_manifest_finds_its_audio_from_any_directory(write, tmp_path, monkeypatch):
    write("corpus/a.wav")
    write_jsonl(tmp_path / "corpus" / "list.jsonl", [{"path": str(tmp_path / "corpus" / "a.wav")}])
    monkeypatch.chdir(tmp_path)
    assert [each.key for each in open_corpus("corpus/list.jsonl").utterances] == ["a.wav"]


def test_a_stated_duration_saves_reading_the_header(tmp_path):
    (tmp_path / "a.wav").write_text("this is no sound")
    write_jsonl(tmp_path / "list.jsonl", [{"path": "a.wav", "duration": 1.0}])
    assert open_corpus(tmp_path / "list.jsonl").utterances[0].duration == 1.0


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_text_survives_csv_and_tsv_whatever_it_holds(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp() / "text"
    if not folder.exists():
        folder.mkdir()
        import soundfile

        soundfile.write(folder / "a.wav", noise(0.1), 16_000)
    table = [
        {"path": "a.wav", "start": number, "end": number + 1, "text": text, "speaker": speaker}
        for number, (text, speaker) in enumerate(rows)
    ]
    for kind in ("csv", "tsv"):
        WRITERS[kind](folder / f"list.{kind}", table)
        read = open_corpus(folder / f"list.{kind}").utterances
        assert [(each.text or "", each.speaker or "") for each in read] == rows
