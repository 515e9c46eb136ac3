"""Vectors that a pass leaves of labelled utterances, against numpy, and through an interruption."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
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
from mlflow_rank.encoders.pooled_vectors import POOLINGS, PooledVectors, check_pooling, pooled
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sampling import Sampling, draw
from mlflow_rank.speech.sources import open_corpus

MODULES = Path(__file__).parents[1] / "modules"
DIM = 3
some_frames = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 40), st.just(DIM)), elements=st.floats(-100, 100, width=32)
)


def by_numpy(frames: np.ndarray, pooling: str) -> np.ndarray:
    """The same by a plain reading of the words, in float64."""
    frames = frames.astype(np.float64)
    if pooling == "mean":
        return frames.mean(axis=0)
    if pooling == "mean_std":
        return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    bounds = [segment * len(frames) // 4 for segment in range(5)]
    stretches = [frames[a:b] if b > a else frames[a : a + 1] for a, b in pairwise(bounds)]
    return np.concatenate([stretch.mean(axis=0) for stretch in stretches])


def of(frames: np.ndarray, pooling: str) -> np.ndarray:
    tensor = torch.from_numpy(frames)
    return pooled(tensor, tensor.sum(0, dtype=torch.float64), check_pooling(pooling)).numpy()


@hypothesis.given(frames=some_frames, pooling=st.sampled_from(POOLINGS))
def test_pooling_is_what_its_name_says(frames: np.ndarray, pooling: str) -> None:
    found = of(frames, pooling)
    assert found.shape == ({"mean": 1, "mean_std": 2, "segments": 4}[pooling] * DIM,)
    np.testing.assert_allclose(found, by_numpy(frames, pooling), rtol=1e-4, atol=1e-3)


@hypothesis.given(frames=some_frames)
def test_segments_of_a_whole_number_of_frames_average_to_the_mean(frames: np.ndarray) -> None:
    four = np.repeat(frames, 4, axis=0)
    np.testing.assert_allclose(
        of(four, "segments").reshape(4, DIM).mean(axis=0), of(four, "mean"), rtol=1e-4, atol=1e-3
    )


def test_only_segments_know_the_order_of_frames() -> None:
    frames = np.random.default_rng(0).normal(size=(8, DIM)).astype(np.float32)
    for pooling, knows in (("mean", False), ("mean_std", False), ("segments", True)):
        assert (not np.allclose(of(frames, pooling), of(frames[::-1].copy(), pooling), atol=1e-5)) == knows


@pytest.mark.parametrize(("count", "stretches"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 1, 2])])
def test_with_fewer_frames_than_segments_neighbours_share_one(count: int, stretches: list[int]) -> None:
    frames = np.arange(count, dtype=np.float32)[:, None]
    assert of(frames, "segments").tolist() == stretches


def test_no_other_pooling_is_known() -> None:
    with pytest.raises(UsageError) as raised:
        check_pooling("max")
    assert (raised.value.got, raised.value.expected) == ("'max'", "mean or mean_std or segments")


def test_what_is_kept_is_another_thing_for_other_utterances_or_another_pooling() -> None:
    one = PooledVectors("p", frozenset({"a", "b"}))
    assert one.identity() == PooledVectors("p", frozenset({"b", "a"})).identity()
    others = [
        PooledVectors("p", frozenset({"a"})),
        PooledVectors("q", one.keys),
        PooledVectors("p", one.keys, "segments"),
    ]
    assert all(each.identity() != one.identity() for each in others)
    assert one.wants("a")
    assert not one.wants("c")


class Pass:
    """A pass of a tiny encoder over twelve utterances in two blocks, which may be interrupted."""

    def __init__(
        self, directory: Path, root: Path, keepings: tuple[PooledVectors, ...], *, resume: bool = False
    ) -> None:
        call = EncoderCall("module:listeners:plain", layers="blocks.*", device="cpu")
        self.encoder = call.load()
        self.utterances = open_corpus(directory).utterances
        blocks = draw(self.utterances, Sampling(blocks=2)).blocks
        protocol = Protocol(("frame",))
        cache = BlockCache(root, self.encoder, protocol, blocks, keepings)
        cache.prepare(len(blocks), resume=resume)
        self.listening = Listening(call, self.encoder, protocol, blocks, cache, keepings)
        self.blocks: list[Block] = list(blocks)

    def hear(self, *, interrupt_after: int | None = None) -> None:
        told = 0

        def after(_: str) -> None:
            nonlocal told
            told += 1
            if told == interrupt_after:
                raise KeyboardInterrupt

        hear([self.listening], after=after)


@pytest.fixture
def directory(make_recordings: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(MODULES)
    return make_recordings(tmp_path / "audio")


def wishes(directory: Path) -> tuple[PooledVectors, ...]:
    keys = sorted(each.key for each in open_corpus(directory).utterances)
    return (
        PooledVectors("words", frozenset(keys[::2])),
        PooledVectors("speakers", frozenset(keys[3:]), "segments"),
        PooledVectors("nobody", frozenset()),
    )


def test_a_pass_leaves_the_vectors_of_the_utterances_asked_for_with_their_keys(directory: Path, tmp_path: Path) -> None:
    keepings = wishes(directory)
    done = Pass(directory, tmp_path / "cache", keepings)
    done.hear()
    files, by_key = done.listening.files, {each.key: each for each in done.utterances}
    for keeping in keepings:
        keys = keeping.read_keys(files)
        assert sorted(keys) == sorted(keeping.keys)
        for position in range(2):
            vectors = keeping.read(files, position)
            assert vectors.dtype == np.float32
            assert len(vectors) == len(keys)
            for key, vector in zip(keys, vectors, strict=True):
                samples = decode(by_key[key], rate=16_000, channel="mix").samples
                frames = done.encoder.encode(torch.from_numpy(samples)[None])[position][0]
                np.testing.assert_allclose(vector, by_numpy(frames.numpy(), keeping.pooling), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_an_interrupted_pass_ends_with_the_vectors_of_an_uninterrupted_one(
    directory: Path, tmp_path: Path, stop: int
) -> None:
    keepings = wishes(directory)
    whole = Pass(directory, tmp_path / "whole", keepings)
    whole.hear()
    broken = Pass(directory, tmp_path / "broken", keepings)
    with pytest.raises(KeyboardInterrupt):
        broken.hear(interrupt_after=stop)
    again = Pass(directory, tmp_path / "broken", keepings, resume=True)
    again.hear()
    for keeping in keepings:
        assert keeping.read_keys(again.listening.files) == keeping.read_keys(whole.listening.files)
        for position in range(2):
            np.testing.assert_array_equal(
                keeping.read(again.listening.files, position), keeping.read(whole.listening.files, position)
            )
