"""Frames of whole utterances on disk: read back as they were, and refused where there is no room for them."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
from mlflow_rank.encoders.stored_frames import StorageRate, StoredFrames, ensure_room, halved
from mlflow_rank.errors import MeasurementError
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sources import open_corpus

MODULES = Path(__file__).parents[1] / "modules"
Disk = namedtuple("Disk", "total used free")
some_frames = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 10), st.just(3)), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)


@hypothesis.given(frames=some_frames)
def test_half_precision_keeps_eleven_bits_whatever_the_size_of_the_frames(frames: np.ndarray) -> None:
    halves, exponent = halved(frames)
    assert halves.dtype == np.float16
    assert np.isfinite(halves).all()
    off = np.abs(np.ldexp(halves.astype(np.float64), exponent) - frames)
    assert (off <= np.maximum(np.abs(frames) * 2.0**-11, np.abs(frames).max() * 2.0**-39)).all()


@pytest.mark.parametrize("size", [1e-30, 1e-7, 1.0, 65504.0, 65520.0, 1e6, 3e38])
def test_frames_beyond_the_range_of_half_precision_neither_overflow_nor_vanish(size: float) -> None:
    frames = np.array([[size, -size / 3, 0.0]], dtype=np.float32)
    halves, exponent = halved(frames)
    np.testing.assert_allclose(np.ldexp(halves.astype(np.float32), exponent), frames, rtol=2.0**-11)


class Pass:
    """A pass of a tiny encoder over twelve utterances in blocks of a few, of which all but two are kept."""

    def __init__(self, directory: Path, root: Path, *, resume: bool = False) -> None:
        call = EncoderCall("module:listeners:plain", layers="blocks.*", device="cpu")
        self.encoder = call.load()
        self.utterances = sorted(open_corpus(directory).utterances, key=lambda each: each.key)
        self.rate = StorageRate.of(self.encoder)
        runs = self.rate.runs(self.utterances, most=self.rate.bytes_for(self.utterances) / 3)
        self.blocks = [Block(index, tuple(run)) for index, run in enumerate(runs)]
        self.keeping = StoredFrames("frames", frozenset(each.key for each in self.utterances[2:]))
        protocol = Protocol(())
        cache = BlockCache(root, self.encoder, protocol, self.blocks, (self.keeping,))
        cache.prepare(len(self.blocks), resume=resume)
        self.listening = Listening(call, self.encoder, protocol, self.blocks, cache, (self.keeping,))

    @property
    def read(self) -> list[dict[str, np.ndarray]]:
        return [self.keeping.read(self.listening.files, position, self.keeping.keys) for position in range(2)]


@pytest.fixture
def directory(make_recordings: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(MODULES)
    return make_recordings(tmp_path / "audio")


def test_what_is_read_are_the_frames_of_each_utterance_and_layer(directory: Path, tmp_path: Path) -> None:
    done = Pass(directory, tmp_path / "cache")
    hear([done.listening])
    keeping, files = done.keeping, done.listening.files
    assert len(files) > 2
    for position, read in enumerate(done.read):
        assert set(read) == keeping.keys
        assert keeping.lengths(files, position) == {key: len(frames) for key, frames in read.items()}
        for each in done.utterances[2:]:
            samples = decode(each, rate=16_000, channel="mix").samples
            frames = done.encoder.encode(torch.from_numpy(samples)[None])[position][0].numpy()
            np.testing.assert_allclose(read[each.key], frames, rtol=2.0**-11, atol=1e-9)
    one = done.utterances[5].key
    assert set(keeping.read(files, 0, {one, "nobody"})) == {one}


def test_an_interrupted_pass_ends_with_the_frames_of_an_uninterrupted_one(directory: Path, tmp_path: Path) -> None:
    whole = Pass(directory, tmp_path / "whole")
    hear([whole.listening])
    told: list[str] = []

    def stop(key: str) -> None:
        told.append(key)
        if len(told) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear([Pass(directory, tmp_path / "cache").listening], after=stop)
    resumed = Pass(directory, tmp_path / "cache", resume=True)
    hear([resumed.listening])
    for one, other in zip(resumed.read, whole.read, strict=True):
        assert set(one) == set(other)
        for key, frames in one.items():
            np.testing.assert_array_equal(frames, other[key])


def test_the_stated_need_is_what_the_files_hold(directory: Path, tmp_path: Path) -> None:
    done = Pass(directory, tmp_path / "cache")
    hear([done.listening])
    frames = sum(each.size * 2 for read in done.read for each in read.values())
    assert done.rate.bytes_for(done.utterances[2:]) == pytest.approx(frames, rel=0.02)
    assert [each for block in done.blocks for each in block.utterances] == done.utterances


def test_frames_that_the_disk_cannot_hold_are_refused_with_both_sizes(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Pass(directory, tmp_path / "cache")
    needed = waiting.rate.bytes_for(waiting.utterances)
    free = [needed * 2 - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, free[0]))
    with pytest.raises(MeasurementError) as raised:
        ensure_room([waiting.listening] * 2, [StorageRate(1e9)] * 2)
    seconds = sum(each.duration for each in waiting.utterances)
    assert raised.value.expected.startswith(f"{2 * seconds:.2f} GB for 0 minutes: 4 layers of 2 encoders")
    assert raised.value.got.startswith("0.00 GB free at ")
    assert "--cache" in raised.value.remedy
    with pytest.raises(MeasurementError):
        ensure_room([waiting.listening] * 2, [waiting.rate] * 2)
    free[0] = needed * 2
    ensure_room([waiting.listening] * 2, [waiting.rate] * 2)


def test_blocks_that_an_earlier_run_left_need_no_more_room(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Pass(directory, tmp_path / "cache")
    hear([done.listening])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 0))
    ensure_room([done.listening], [done.rate])


def test_other_utterances_are_another_keeping() -> None:
    one = StoredFrames("p", frozenset({"a", "b"}))
    assert one.identity() == StoredFrames("p", frozenset({"b", "a"})).identity()
    assert one.identity() != StoredFrames("p", frozenset({"a"})).identity()
    assert one.wants("a")
    assert not one.wants("c")
