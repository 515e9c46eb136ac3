"""What a pass leaves for phone probes, against a direct reading of the frames, and through an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
from mlflow_rank.encoders.phone_training import PhoneTraining
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.probes.fold_sums import FoldSums
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.phone_frames import Timed, frame_labels, token_centres
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import Utterance

MODULES = Path(__file__).parents[1] / "modules"
CODES = {"a": 0, "b": 1, "sil": 2}
WEIGHTS = (1.5, 0.5, 1.0)
CLOCK = FrameClock(first=20 / 2 / 16_000, hop=10 / 16_000)  # of the listener's one convolution


def phones_of(utterance: Utterance, number: int) -> tuple[Timed, ...]:
    """A phone, one that nobody learns, a stretch without a label, one too short for any frame, and another phone."""
    step = utterance.duration / 10
    return (
        ("ab"[number % 2], 0.0, 3 * step),
        ("?", 3 * step, 5 * step),
        ("a", 6.003 * step, 6.003 * step + 1e-5),
        ("b", 7 * step, 10 * step),
    )


@dataclass
class Pass:
    """A tiny encoder, and utterances in blocks."""

    encoder: TorchEncoder
    call: EncoderCall
    blocks: list[Block]
    frames: Mapping[str, list[np.ndarray]]
    seconds: Mapping[str, float]

    def listening(self, keeping: PhoneTraining, root: Path, *, resume: bool = False) -> Listening:
        protocol = Protocol(())
        cache = BlockCache(root, self.encoder, protocol, self.blocks, (keeping,))
        cache.prepare(len(self.blocks), resume=resume)
        return Listening(self.call, self.encoder, protocol, self.blocks, cache, (keeping,))


@pytest.fixture(scope="module")
def a_pass(make_recordings: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Pass:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(MODULES)
        call = EncoderCall("module:listeners:plain", layers="blocks.*", device="cpu")
        encoder = call.load()
    utterances = open_corpus(make_recordings(tmp_path_factory.mktemp("audio") / "wavs", count=9)).utterances
    frames = {}
    for each in utterances:
        samples = torch.from_numpy(decode(each, rate=16_000, channel="mix").samples)[None]
        frames[each.key] = [layer[0].numpy() for layer in encoder.encode(samples)]
    blocks = [Block(index, tuple(utterances[index::3])) for index in range(3)]
    return Pass(encoder, call, blocks, frames, {each.key: each.duration for each in utterances})


@pytest.fixture(scope="module", params=[CLOCK, None], ids=["with a clock", "time shared equally"])
def keeping(a_pass: Pass, request: pytest.FixtureRequest) -> PhoneTraining:
    utterances = sorted((each for block in a_pass.blocks for each in block.utterances), key=lambda each: each.key)
    keys = [each.key for each in utterances]
    return PhoneTraining(
        name="lesson",
        phones={each.key: phones_of(each, number) for number, each in enumerate(utterances[:-1])},  # the last is not
        codes=CODES,
        weights=WEIGHTS,
        tokens={keys[0]: (0, 2), keys[3]: (3,), keys[4]: (0, 3)},
        whole=frozenset({keys[0], keys[2], keys[3]}),
        clock=request.param,
    )


def by_hand(a_pass: Pass, keeping: PhoneTraining, block: Block, position: int) -> FoldSums:
    """All frames of the block at once."""
    rows, labels = [], []
    for key in (each.key for each in block.utterances if each.key in keeping.phones):
        frames = a_pass.frames[key][position]
        rows.append(frames)
        labels.append(
            frame_labels(
                keeping.phones[key], frames=len(frames), seconds=a_pass.seconds[key], classes=CODES, outside=2,
                clock=keeping.clock,
            )
        )  # fmt: skip
    codes = np.concatenate(labels)
    assert set(codes) == {-1, 0, 1, 2}
    sums = FoldSums(8, 3)
    sums.update(np.concatenate(rows)[codes >= 0], codes[codes >= 0], np.array(WEIGHTS)[codes[codes >= 0]])
    return sums


def test_the_sums_of_a_fold_are_those_of_all_its_frames(a_pass: Pass, keeping: PhoneTraining, tmp_path: Path) -> None:
    listening = a_pass.listening(keeping, tmp_path)
    hear([listening])
    for position in range(2):
        folds = keeping.folds(listening.files, position)
        assert len(folds) == 3
        for found, block in zip(folds, a_pass.blocks, strict=True):
            expected = by_hand(a_pass, keeping, block, position)
            centre = np.full(8, 0.1)
            np.testing.assert_allclose(found.class_weights, expected.class_weights, rtol=1e-12)
            for name in ("class_sums", "scatter"):
                mine, theirs = (getattr(each.around(centre), name) for each in (found, expected))
                np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_tokens_are_the_frames_at_the_centres_of_their_phones(
    a_pass: Pass, keeping: PhoneTraining, tmp_path: Path
) -> None:
    listening = a_pass.listening(keeping, tmp_path)
    hear([listening])
    expected = {}
    for key, places in keeping.tokens.items():
        centres = token_centres(
            keeping.phones[key], frames=len(a_pass.frames[key][0]), seconds=a_pass.seconds[key], clock=keeping.clock
        )
        expected |= {f"{key}@{place}": (key, centres[place]) for place in places if centres[place] is not None}
    for position in range(2):
        names, frames = keeping.token_frames(listening.files, position)
        assert sorted(names) == sorted(expected)
        assert len(names) == 4  # of five: one is too short to hold a frame's centre
        for name, frame in zip(names, frames, strict=True):
            key, centre = expected[name]
            np.testing.assert_array_equal(frame, a_pass.frames[key][position][centre])


def test_whole_utterances_are_the_encoder_s_own_frames(a_pass: Pass, keeping: PhoneTraining, tmp_path: Path) -> None:
    listening = a_pass.listening(keeping, tmp_path)
    hear([listening])
    for position in range(2):
        whole = keeping.whole_frames(listening.files, position)
        assert set(whole) == keeping.whole
        for key, frames in whole.items():
            np.testing.assert_array_equal(frames, a_pass.frames[key][position])


@pytest.mark.parametrize("stop", [1, 2, 5, 8])
def test_an_interrupted_pass_ends_with_what_an_uninterrupted_one_leaves(
    a_pass: Pass, keeping: PhoneTraining, tmp_path: Path, stop: int
) -> None:
    whole = a_pass.listening(keeping, tmp_path / "whole")
    hear([whole])
    told: list[str] = []

    def after(key: str) -> None:
        told.append(key)
        if len(told) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear([a_pass.listening(keeping, tmp_path / "broken")], after=after)
    again = a_pass.listening(keeping, tmp_path / "broken", resume=True)
    hear([again])
    for position in range(2):
        names, frames = keeping.token_frames(again.files, position)
        wanted, expected = keeping.token_frames(whole.files, position)
        assert names == wanted
        np.testing.assert_array_equal(frames, expected)
        mine, theirs = (keeping.whole_frames(each.files, position) for each in (again, whole))
        assert list(mine) == list(theirs)
        for key, rows in mine.items():
            np.testing.assert_array_equal(rows, theirs[key])
        for one, other in zip(*(keeping.folds(each.files, position) for each in (again, whole)), strict=True):
            np.testing.assert_allclose(one.class_weights, other.class_weights, rtol=1e-12)
            np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9)
            np.testing.assert_allclose(
                one.around(one.mean).scatter, other.around(one.mean).scatter, rtol=1e-9, atol=1e-9
            )


def test_what_is_kept_does_not_grow_with_the_audio(a_pass: Pass, keeping: PhoneTraining) -> None:
    """Ten times the audio beside the same tokens and whole utterances leaves arrays of the same sizes."""
    sizes = []
    for times in (1, 10):
        more = replace(
            keeping, phones={f"{key}{copy or ''}": p for key, p in keeping.phones.items() for copy in range(times)}
        )
        keeper = more.keeper(a_pass.encoder)
        for block in a_pass.blocks:
            for each in block.utterances:
                for copy in range(times):
                    if each.key in keeping.phones:
                        frames = [torch.from_numpy(layer) for layer in a_pass.frames[each.key]]
                        keeper.add(replace(each, key=f"{each.key}{copy or ''}"), frames, [])
        sizes.append({name: array.shape for name, array in keeper.arrays().items()})
    assert sizes[0] == sizes[1]


def test_nothing_heard_leaves_folds_without_frames(a_pass: Pass, keeping: PhoneTraining, tmp_path: Path) -> None:
    nobody = replace(keeping, phones={}, tokens={}, whole=frozenset())
    listening = a_pass.listening(nobody, tmp_path)
    hear([listening])
    assert [fold.weight for fold in nobody.folds(listening.files, 0)] == [0.0] * 3
    assert nobody.token_frames(listening.files, 0)[0] == []
    assert nobody.whole_frames(listening.files, 0) == {}


def test_other_labels_are_another_keeping(keeping: PhoneTraining) -> None:
    key = next(iter(keeping.phones))
    others = [
        replace(keeping, phones={**keeping.phones, key: (("b", 0.0, 0.1),)}),
        replace(keeping, codes={"b": 0, "a": 1, "sil": 2}),
        replace(keeping, weights=(1.0, 1.0, 1.0)),
        replace(keeping, tokens={}),
        replace(keeping, whole=frozenset()),
        replace(keeping, clock=FrameClock(0.0, 0.02)),
    ]
    identities = [str(each.identity()) for each in (keeping, *others)]
    assert len(set(identities)) == len(identities)
    assert keeping.wants(key)
    assert not keeping.wants("nobody")
