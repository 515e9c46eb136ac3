from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import Utterance


@pytest.fixture(scope="module")
def corpus(recordings: Path) -> Corpus:
    """Two dozen utterances of 0.15 to 0.25 s."""
    return open_corpus(recordings)


def drawn(utterances: Any, **options: Any) -> ProbeSet:
    return ProbeSet.drawn(utterances, **{"count": 6, "seconds": 0.16, **options})


def test_the_same_seed_draws_the_same_whatever_the_order_of_files(corpus: Corpus) -> None:
    one, other = drawn(corpus.utterances), drawn(reversed(corpus.utterances))
    assert one.keys == other.keys
    assert one.convention == other.convention
    assert drawn(corpus.utterances, seed=1).keys != one.keys
    assert len(set(one.keys)) == 6
    assert one.note == ""


def test_each_is_cut_to_its_first_seconds(corpus: Corpus, recordings: Path) -> None:
    probe = drawn(corpus.utterances, count=24)
    assert {len(samples) for samples in probe.waveforms} == {2400, 2560}
    for key, samples in zip(probe.keys, probe.waveforms, strict=True):
        stored, _ = soundfile.read(recordings / key, dtype="float32")
        assert samples.dtype == np.float32
        assert np.array_equal(samples, stored[: len(samples)])


def test_a_segment_is_cut_from_its_own_start(corpus: Corpus, recordings: Path) -> None:
    part = dataclasses.replace(corpus.utterances[0], key="part", start=0.05, end=0.14, duration=0.09)
    [samples] = ProbeSet.drawn([part], count=1, seconds=0.05).waveforms
    stored, _ = soundfile.read(recordings / corpus.utterances[0].key, dtype="float32")
    assert np.array_equal(samples, stored[800:1600])


def test_the_convention_says_what_is_heard(corpus: Corpus) -> None:
    probe = drawn(corpus.utterances)
    assert json.loads(json.dumps(probe.convention)) == {
        "count": 6,
        "seconds": 0.16,
        "seed": 0,
        "rate": 16_000,
        "digest": probe.digest,
    }
    assert drawn(corpus.utterances, rate=8000).digest != probe.digest
    assert drawn(corpus.utterances, seconds=0.1).digest != probe.digest


def test_every_speaker_comes_first(corpus: Corpus) -> None:
    speakers = ["ann"] * 20 + ["bob", "cid", "dora", "dora"]
    named = [
        dataclasses.replace(each, speaker=speaker) for each, speaker in zip(corpus.utterances, speakers, strict=True)
    ]
    keys = set(drawn(named, count=4).keys)
    assert {each.speaker for each in named if each.key in keys} == {"ann", "bob", "cid", "dora"}


def test_what_cannot_be_used_is_listed_and_replaced(corpus: Corpus, tmp_path: Path) -> None:
    whole = drawn(corpus.utterances)
    broken = {whole.keys[0]: np.zeros(3200), whole.keys[1]: np.full(3200, np.nan), whole.keys[2]: np.ones(300) * 0.1}

    def spoilt(utterance: Utterance) -> Utterance:
        if utterance.key not in broken:
            return utterance
        path = tmp_path / utterance.key
        soundfile.write(path, broken[utterance.key], 16_000, subtype="FLOAT")
        return dataclasses.replace(utterance, source=dataclasses.replace(utterance.source, path=path))

    probe = drawn(map(spoilt, corpus.utterances), minimum_samples=400)
    assert {each.key: str(each.cause) for each in probe.skipped} == dict(
        zip(whole.keys[:3], ["silent", "not_finite", "too_short"], strict=True)
    )
    assert len(probe.keys) == 6
    assert set(probe.keys) > set(whole.keys[3:])
    assert probe.note == ""


def test_too_few_are_taken_and_it_is_said(corpus: Corpus) -> None:
    probe = drawn(corpus.utterances, count=64)
    assert len(probe.waveforms) == probe.convention["count"] == 24
    assert probe.note == "the probe set has 24 utterances; 64 were asked for, and no more can be used"


def test_nothing_to_listen_to_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="nothing for the monitor") as caught:
        drawn(corpus.utterances, minimum_samples=10_000)
    assert str(caught.value.got).startswith("24 utterances: 24 too_short; first: utterance_")
    with pytest.raises(UsageError, match="nothing for the monitor"):
        drawn([])
    with pytest.raises(UsageError, match="nothing for the monitor"):
        ProbeSet.of_waveforms([], 16_000)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seconds": 0.0}, {"rate": 0}])
def test_a_probe_set_that_makes_no_sense_is_refused(corpus: Corpus, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="bad probe set"):
        drawn(corpus.utterances, **wrong)


def test_waveforms_may_be_arrays_or_tensors() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 500))
    probe = ProbeSet.of_waveforms(rows, 8000, seconds=0.05)
    tensors = ProbeSet.of_waveforms(torch.from_numpy(rows).requires_grad_(), 8000, seconds=0.05)
    assert [len(samples) for samples in probe.waveforms] == [400] * 3
    assert probe.digest == tensors.digest
    assert probe.keys == ("0000", "0001", "0002")
    assert ProbeSet.of_waveforms(rows, 8000, seconds=None).convention["seconds"] is None
    assert ProbeSet.of_waveforms(rows, 16_000, seconds=0.025).digest != probe.digest
    before = probe.waveforms[0].copy()
    rows[:] = 0.0  # the caller's array is the caller's
    assert np.array_equal(probe.waveforms[0], before)


@pytest.mark.parametrize("wrong", [np.zeros(0), np.zeros((2, 2)), np.zeros(3, dtype=np.int16), np.array([0.0, np.nan])])
def test_what_is_no_waveform_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match="waveform 1"):
        ProbeSet.of_waveforms([np.ones(3), wrong], 16_000)


def test_keys_must_be_as_many_as_waveforms_and_distinct() -> None:
    for keys in (["a"], ["a", "a"], ["a", "b", "c"]):
        with pytest.raises(UsageError, match="do not match"):
            ProbeSet.of_waveforms(np.ones((2, 5)), 16_000, keys=keys)


def test_only_equal_lengths_share_a_batch_and_every_waveform_is_heard_once() -> None:
    probe = ProbeSet.of_waveforms([np.full(length, 0.1) for length in (5, 7, 5, 7, 9)], 16_000)
    alone = list(probe.batches(range(5), together=False))
    assert [numbers for numbers, _ in alone] == [[0], [1], [2], [3], [4]]
    shared = list(probe.batches([0, 1, 2, 3], together=True))
    assert [numbers for numbers, _ in shared] == [[0, 2], [1, 3]]
    assert [batch.shape for _, batch in shared] == [(2, 5), (2, 7)]


def test_a_batch_holds_so_much_audio_at_most() -> None:
    probe = ProbeSet.of_waveforms(np.full((5, 150), 0.1), 2, seconds=None)  # 75 s each
    assert [len(numbers) for numbers, _ in probe.batches(range(5), together=True)] == [2, 2, 1]
    fewer = [len(numbers) for numbers, _ in probe.batches(range(5), together=True, samples=299)]
    assert fewer == [1] * 5
    assert [len(numbers) for numbers, _ in probe.batches(range(5), together=True, samples=1)] == fewer
