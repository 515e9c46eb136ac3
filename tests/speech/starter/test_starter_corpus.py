"""The starter corpus as a first-time user gets it: made once, whole, labelled, verified."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.starter.corpus import SET_NAMES, StarterCorpus, starter_corpus


@pytest.fixture(scope="module")
def corpus() -> StarterCorpus:
    return starter_corpus()


def read_manifest(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def sets(corpus: StarterCorpus) -> dict[str, list[dict]]:
    return {name: read_manifest(corpus.manifest(name)) for name in SET_NAMES}


def test_the_unlabelled_part_has_an_hour_by_24_voices_in_several_languages(sets):
    rows = sets["unlabelled"]
    assert sum(row["duration"] for row in rows) >= 60 * 60
    assert len({row["speaker"] for row in rows}) >= 24
    assert len({row["language"] for row in rows}) >= 4


def test_no_voice_of_the_labelled_sets_is_heard_in_the_unlabelled_part_or_in_both_domains(sets):
    unlabelled = {row["speaker"] for row in sets["unlabelled"]}
    inside = {row["speaker"] for name in SET_NAMES if name.startswith("in_domain/") for row in sets[name]}
    outside = {row["speaker"] for name in SET_NAMES if name.startswith("out_of_domain/") for row in sets[name]}
    assert not unlabelled & inside
    assert not unlabelled & outside
    assert not inside & outside


def test_out_of_domain_speech_has_a_language_that_the_unlabelled_part_lacks(sets):
    heard = {row["language"] for row in sets["unlabelled"]}
    assert {row["language"] for row in sets["out_of_domain/phones"]} - heard


@pytest.mark.parametrize("domain", ["in_domain", "out_of_domain"])
def test_phones_tile_the_speech_from_its_first_phone_to_its_end(sets, domain):
    for row in sets[f"{domain}/phones"]:
        phones = row["phones"]
        assert len(phones) >= 10
        for (_, _, end), (_, start, _) in pairwise(phones):
            assert end == start
        assert all(end > start for _, start, end in phones)
        assert 0 <= phones[0][1] < 0.2
        assert phones[-1][2] == pytest.approx(row["duration"], abs=0.001)


def test_silences_in_the_phone_times_are_where_the_sound_is_silent(corpus, sets):
    silent, spoken = [], []
    for row in sets["in_domain/phones"][:60]:
        samples, rate = soundfile.read(corpus.directory / row["path"])
        for symbol, start, end in row["phones"]:
            middle = samples[round((start + 0.25 * (end - start)) * rate) : round((end - 0.25 * (end - start)) * rate)]
            if len(middle) > 80:
                (silent if symbol == "sil" else spoken).append(np.sqrt(np.mean(middle**2)) / samples.std())
    assert np.median(silent) < 0.2 < np.median(spoken)


@pytest.mark.parametrize("domain", ["in_domain", "out_of_domain"])
def test_every_voice_says_every_keyword_more_than_once(sets, domain):
    rows = sets[f"{domain}/keywords"]
    words, voices = {row["keyword"] for row in rows}, {row["speaker"] for row in rows}
    assert len(words) == 20
    counts = {
        (word, voice): sum(r["keyword"] == word and r["speaker"] == voice for r in rows)
        for word in words
        for voice in voices
    }
    assert min(counts.values()) >= 2


@pytest.mark.parametrize("domain", ["in_domain", "out_of_domain"])
def test_every_speaker_has_two_sessions(sets, domain):
    sessions: dict[str, set[str]] = {}
    for row in sets[f"{domain}/speakers"]:
        sessions.setdefault(row["speaker"], set()).add(row["session"])
    assert len(sessions) >= 12
    assert all(len(each) == 2 for each in sessions.values())


def test_sounds_are_short_of_several_kinds_and_vary_between_devices(sets):
    rows = sets["sounds"]
    assert len({row["kind"] for row in rows}) >= 6
    assert {row["alarm"] for row in rows} == {"alarm", "machine"}
    assert all(0.1 <= row["duration"] <= 1.0 for row in rows)
    assert all(len({row["session"] for row in rows if row["kind"] == kind}) >= 8 for kind in {r["kind"] for r in rows})


@pytest.mark.parametrize("name", SET_NAMES)
def test_every_manifest_lists_without_a_skip(corpus, name):
    listed = open_corpus(corpus.manifest(name))
    assert listed.utterances
    assert listed.skipped == ()


def test_stated_durations_are_those_of_the_files(corpus, sets):
    for name in SET_NAMES:
        for row in sets[name][::97]:
            info = soundfile.info(corpus.directory / row["path"])
            assert (info.samplerate, info.channels) == (16_000, 1)
            assert row["duration"] == pytest.approx(info.duration)


def test_it_says_that_it_is_synthetic(corpus):
    assert "ynthetic" in json.loads((corpus.directory / "corpus.json").read_text())["about"]


def test_a_corpus_with_a_changed_byte_is_made_again(corpus, tmp_path, monkeypatch):
    copy = tmp_path / corpus.directory.name
    shutil.copytree(corpus.directory, copy)
    victim = sorted(copy.rglob("*.wav"))[5]
    content = bytearray(victim.read_bytes())
    content[1000] ^= 1
    victim.write_bytes(content)
    made = []
    monkeypatch.setattr("mlflow_rank.speech.starter.corpus._make", lambda directory: made.append(directory) or "x")
    said: list[str] = []
    starter_corpus(tmp_path, say=said.append)
    assert made == [copy]
    assert "was changed" in said[0]


SYNTHESISE = """
import hashlib, sys
from mlflow_rank.speech.starter.making import synthesise
from mlflow_rank.speech.starter.plan import SEED, plan_shards
shards = plan_shards()
index = int(sys.argv[1])
digest = hashlib.sha256()
for _, samples, row in synthesise(shards[index][:12], seed=SEED + index):
    digest.update(samples.tobytes() + repr(sorted(row.items())).encode())
print(digest.hexdigest())
"""


def test_a_fresh_process_makes_the_same_bytes_again():
    def once() -> str:
        return subprocess.run(
            [sys.executable, "-c", SYNTHESISE, "4"], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert once() == once()


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    from mlflow_rank.errors import MeasurementError

    blocked = tmp_path / "a_file"
    blocked.write_text("")
    with pytest.raises(MeasurementError, match="MLFLOW_RANK_CACHE"):
        starter_corpus(blocked)


def test_without_the_synthesiser_the_error_says_what_to_install(monkeypatch):
    from mlflow_rank.errors import MissingDependencyError
    from mlflow_rank.speech.starter.espeak import Espeak

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingDependencyError, match=r"mlflow_rank\[starter\]"):
        Espeak(seed=0)
