from __future__ import annotations

import pyarrow
import pyarrow.parquet
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.sources import open_corpus


@pytest.fixture
def refusal(write, tmp_path):
    """Return the error that a manifest of the given name and content meets, beside a good a.wav and b.wav."""
    write("a.wav")
    write("b.wav")

    def refuse(name: str, content: str | bytes) -> UsageError:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(UsageError) as caught:
            open_corpus(path)
        assert caught.value.what.startswith(f"{path}") or caught.value.got == str(path)
        assert caught.value.expected or caught.value.remedy
        assert caught.value.exit_code == 2
        return caught.value

    return refuse


@pytest.mark.parametrize(
    ("name", "content", "what", "got"),
    [
        ("m.csv", "file,speaker\na.wav,x\n", ":1: missing column 'path'", "columns: file, speaker"),
        ("m.tsv", "file\tspeaker\na.wav\tx\n", ":1: missing column 'path'", "columns: file, speaker"),
        ("m.jsonl", '{"path": "a.wav"}\n\n{"file": "b.wav"}\n', ":3: missing column 'path'", "columns: file"),
        ("m.csv", "path,path\na.wav,a.wav\n", ":1: column twice", "path"),
        ("m.csv", "path,speaker\n,x\n", ":2: missing column 'path'", "columns: speaker"),
    ],
)
def test_a_missing_column_is_named_with_the_columns_there(refusal, name, content, what, got):
    error = refusal(name, content)
    assert error.what.endswith(what)
    assert error.got == got


@pytest.mark.parametrize(
    ("name", "content", "line", "first"),
    [
        ("m.csv", "path\na.wav\nb.wav\na.wav\n", 4, "a.wav, already at {path}:2"),
        ("m.jsonl", '{"path": "a.wav"}\n{"path": "./a.wav"}\n', 2, "a.wav, already at {path}:1"),
        ("m.tsv", ".\na.wav\t8000\na.wav\t8000\n", 3, "a.wav, already at {path}:2"),
        ("m.csv", "path,start,end\na.wav,0,0.1\na.wav,0.0,0.10\n", 3, "a.wav#0.0-0.1, already at {path}:2"),
    ],
)
def test_the_same_utterance_twice_is_an_error_with_both_lines(refusal, tmp_path, name, content, line, first):
    error = refusal(name, content)
    assert error.what.endswith(f":{line}: the same utterance twice")
    assert error.got == first.format(path=tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("m.jsonl", '{"path": "a.wav"}\n{"path": \n', 2),
        ("m.jsonl", '{"path": "a.wav"}\n["b.wav"]\n', 2),
        ("m.jsonl", '{"path": "a.wav", "path": "b.wav"}\n', 1),
        ("m.jsonl", '{"path": "a.wav", "start": NaN}\n', 1),
        ("m.csv", "path,speaker\na.wav,x\nb.wav\n", 3),
        ("m.csv", 'path,text\na.wav,"two\nlines"\nb.wav,x,y\n', 4),
        ("m.csv", 'path,text\na.wav,"never closed\n', 2),
        ("m.tsv", ".\na.wav\t8000\nb.wav\tmany\n", 3),
        ("m.tsv", ".\na.wav\n", 2),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(refusal, name, content, line):
    assert refusal(name, content).what.endswith(f"{name}:{line}: bad line")


def test_bytes_that_are_no_text_have_a_line_and_a_column(refusal):
    error = refusal("m.csv", b"path\na.wav\nb\xff.wav\n")
    assert error.what.endswith(":3: not UTF-8")
    assert error.got == "byte 0xff at column 2"


@pytest.mark.parametrize(
    ("cell", "column", "got"),
    [
        ('"start": 0.3, "end": 0.2', "end", "end before start: end 0.2"),
        ('"start": 0.3, "end": 0.3', "end", "end before start: end 0.3"),
        ('"start": -1', "start", "-1"),
        ('"start": "0.1"', "start", "'0.1'"),
        ('"end": true', "end", "True"),
        ('"duration": 0', "duration", "0"),
        ('"start": 0.1, "end": 0.3, "duration": 0.5', "duration", "0.5"),
        ('"speaker": 1.5', "speaker", "1.5"),
        ('"text": ["a"]', "text", "['a']"),
        ('"label": false', "label", "False"),
        ('"labels": ["a"]', "labels", "['a']"),
        ('"mood": "calm", "label:mood": "sad"', "label:mood", "'sad' for the label 'mood'"),
        ('"label:": "x"', "label:", "'x' for the label ''"),
        ('"phones": "[["', "phones", "'[[': Expecting value: line 1 column 3 (char 2)"),
        ('"phones": 3', "phones", "3"),
        ('"phones": [["a", 0]]', "phones", "['a', 0]"),
        ('"phones": [["a", 0.2, 0.1]]', "phones", "['a', 0.2, 0.1]"),
        ('"phones": [["a", "0", 0.1]]', "phones", "'0'"),
        ('"phones": [{"symbol": "", "start": 0, "end": 1}]', "phones", "{'symbol': '', 'start': 0, 'end': 1}"),
    ],
)
def test_a_value_that_its_column_does_not_allow_is_an_error_with_its_line(refusal, cell, column, got):
    error = refusal("m.jsonl", '{"path": "b.wav"}\n{"path": "a.wav", ' + cell + "}\n")
    assert error.what.endswith(f"m.jsonl:2: bad value in column '{column}'")
    assert error.got == got


@pytest.mark.parametrize("path", ["3", '""', '" "', '"a\\u0000.wav"'])
def test_a_path_that_is_none_is_an_error(refusal, path):
    assert refusal("m.jsonl", '{"path": ' + path + "}\n").what.endswith(":1: bad value in column 'path'")


@pytest.mark.parametrize("number", ["soon", "nan", "inf", "-0.5", "1,5"])
def test_a_number_that_is_none_is_an_error_in_csv(refusal, number):
    error = refusal("m.csv", f'path,start\nb.wav,0.1\na.wav,"{number}"\n')
    assert error.what.endswith(":3: bad value in column 'start'")
    assert error.got == repr(number)


def test_text_where_json_wants_a_number_says_what_to_do(refusal):
    assert "take the quotes away" in str(refusal("m.jsonl", '{"path": "a.wav", "start": "0.1"}\n').expected)


def test_phones_out_of_order_are_an_error(refusal):
    error = refusal("m.jsonl", '{"path": "a.wav", "phones": [["b", 0.2, 0.3], ["a", 0.1, 0.2]]}\n')
    assert error.expected == "phones in order of time"


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.tsv"])
def test_a_manifest_without_a_row_is_an_error(refusal, name):
    assert refusal(name, "\n").what == "no audio there"


def test_a_root_that_is_not_there_is_an_error_that_tells_the_two_tsv_forms_apart(refusal):
    error = refusal("m.tsv", "filename\na.wav\t8000\n")
    assert error.what.endswith("m.tsv:1: no such root directory")
    assert "header with a column 'path'" in str(error.expected)


@pytest.mark.parametrize("name", ["m.json", "m.txt", "m"])
def test_an_unknown_suffix_is_an_error(refusal, name):
    assert refusal(name, "a.wav\n").what == "unknown kind of audio source"


def test_parquet_names_the_row(tmp_path, refusal):
    def table(**columns: list[object]) -> bytes:
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "m.parquet")
        return (tmp_path / "m.parquet").read_bytes()

    assert refusal("m.parquet", "no table").what.endswith("m.parquet: cannot be read as Parquet")
    assert refusal("m.parquet", table(file=["a.wav"])).what.endswith("m.parquet: missing column 'path'")
    missing = refusal("m.parquet", table(path=["a.wav", None]))
    assert missing.what.endswith("m.parquet: row 2: missing column 'path'")
    twice = refusal("m.parquet", table(path=["a.wav", "b.wav", "a.wav"]))
    assert twice.what.endswith("m.parquet: row 3: the same utterance twice")
    assert str(twice.got).endswith("m.parquet: row 1")
    backwards = refusal("m.parquet", table(path=["a.wav"], start=[0.2], end=[0.1]))
    assert backwards.what.endswith("row 1: bad value in column 'end'")
