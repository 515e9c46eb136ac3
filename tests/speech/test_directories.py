from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.digests import corpus_digest
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import SkipCause
from tests.speech.conftest import noise


def test_a_directory_is_searched_to_the_bottom_for_the_four_formats(write, tmp_path):
    for name in ("b.wav", "a/deep/er/c.flac", "a/d.OGG", "e.mp3"):
        write(name, noise(0.25))
    (tmp_path / "notes.txt").write_text("no audio")
    corpus = open_corpus(str(tmp_path))
    assert {each.key for each in corpus.utterances} == {"b.wav", "a/deep/er/c.flac", "a/d.OGG", "e.mp3"}
    assert all(abs(each.duration - 0.25) < 0.01 and each.speaker is None for each in corpus.utterances)
    assert corpus.describe() == {
        "source": str(tmp_path),
        "kind": "directory",
        "utterances": 4,
        "hours": pytest.approx(1 / 3600, rel=0.02),
        "speakers": 0,
        "skipped": {},
        "ignored_columns": [],
    }


def test_bad_headers_are_listed_and_stop_nothing(write, tmp_path):
    write("good.wav")
    write("none.wav", np.zeros(0))
    (tmp_path / "text.flac").write_text("this is no sound")
    corpus = open_corpus(tmp_path)
    assert [each.key for each in corpus.utterances] == ["good.wav"]
    assert {each.key: each.cause for each in corpus.skipped} == {
        "none.wav": SkipCause.EMPTY,
        "text.flac": SkipCause.UNREADABLE,
    }
    assert corpus.describe()["skipped"] == {"empty": 1, "unreadable": 1}


def test_a_moved_corpus_keeps_its_keys_and_its_digest(write, tmp_path):
    for number in range(3):
        write(f"here/{number % 2}/{number}.wav", noise(0.1, seed=number))
    here = open_corpus(tmp_path / "here")
    digest = corpus_digest(decode(each, rate=16_000).content_digest for each in here.utterances)
    shutil.move(tmp_path / "here", tmp_path / "there")
    there = open_corpus(tmp_path / "there")
    assert [each.key for each in there.utterances] == [each.key for each in here.utterances]
    assert corpus_digest(decode(each, rate=16_000).content_digest for each in there.utterances) == digest


def test_linked_directories_are_entered_once_and_circles_end(write, tmp_path):
    write("elsewhere/a.wav")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(corpus)
    assert [each.key for each in open_corpus(corpus).utterances] == ["link/a.wav"]


def test_a_directory_without_audio_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(UsageError, match="no audio there") as caught:
        open_corpus(tmp_path)
    assert caught.value.got == str(tmp_path)
    assert ".wav, .flac, .ogg, .mp3" in str(caught.value.expected)


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no such audio source") as caught:
        open_corpus(tmp_path / "absent")
    assert caught.value.exit_code == 2


def test_a_file_of_another_kind_is_an_error_that_names_the_known_kinds(write):
    with pytest.raises(UsageError, match="unknown kind of audio source") as caught:
        open_corpus(write("a.wav"))
    assert ".jsonl, .csv, .tsv, .parquet" in str(caught.value.expected)
    assert "directory that holds the audio" in str(caught.value.remedy)


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_an_empty_one(write, tmp_path, monkeypatch):
    write("a.wav")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UsageError, match="cannot list a directory") as caught:
        open_corpus(tmp_path)
    assert caught.value.got == f"{tmp_path}: Permission denied"


def test_listing_decoding_and_sampling_load_no_heavy_package_before_they_need_it(write, tmp_path):
    write("a.wav")
    script = """
import sys
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sampling import Sampling, draw
from mlflow_rank.speech.sources import open_corpus
for each in draw(open_corpus(sys.argv[1]).utterances, Sampling()).utterances:
    decode(each, rate=16000)
print(sorted({"torch", "torchaudio", "transformers", "mlflow", "datasets", "pandas", "pyarrow"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_home_directory_may_be_written_short(write, tmp_path, monkeypatch):
    write("corpus/a.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_corpus(Path("~/corpus")).utterances) == 1
