"""What trained heads call the frames of the test utterances, against the same computed directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
from mlflow_rank.encoders.phone_answers import PhoneAnswers
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.heads import HEADS, FittedHead
from mlflow_rank.probes.phone_frames import classified, decoded, frame_labels
from mlflow_rank.probes.phone_heads import PhoneHeads, write_heads
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import Utterance

MODULES = Path(__file__).parents[1] / "modules"
CODES = {"a": 0, "b": 1, "sil": 2}
WINDOWS = (1, 5, 3)
CLOCK = FrameClock(first=20 / 2 / 16_000, hop=10 / 16_000)


class Exam:
    """A tiny encoder whose two layers have three heads each, and utterances in two blocks."""

    def __init__(self, audio: Path, folder: Path) -> None:
        self.call = EncoderCall("module:listeners:plain", layers="blocks.*", device="cpu")
        self.encoder: TorchEncoder = self.call.load()
        self.utterances: Sequence[Utterance] = open_corpus(audio).utterances
        self.frames = {each.key: self.heard(each) for each in self.utterances}
        self.heads = [self.fitted(position) for position in range(2)]
        path = folder / "heads.npz"
        write_heads(path, {at: PhoneHeads.of(heads, WINDOWS, classes=3) for at, heads in enumerate(self.heads)})
        self.keeping = PhoneAnswers(
            name="exam",
            phones={
                each.key: (("a", 0.0, each.duration / 3), ("?", each.duration / 3, 0.1), ("b", 0.11, each.duration))
                for each in self.utterances[1:]
            },
            codes=CODES,
            heads=path,
            digest="0",
            clock=CLOCK,
        )

    def heard(self, utterance: Utterance) -> list[np.ndarray]:
        samples = torch.from_numpy(decode(utterance, rate=16_000, channel="mix").samples)[None]
        return [layer[0].numpy() for layer in self.encoder.encode(samples)]

    def fitted(self, position: int) -> list[FittedHead]:
        rows = np.concatenate([layers[position] for layers in self.frames.values()])[::37]
        labels = np.random.default_rng(position).integers(0, 3, len(rows))
        groups = np.arange(len(rows)) % 3
        names = ("centroid", "ridge", "centroid")
        return [HEADS[name].fit(rows[at:], labels[at:], groups[at:], classes=3) for at, name in enumerate(names)]

    def listening(self, keeping: PhoneAnswers, root: Path, *, resume: bool = False) -> Listening:
        blocks = [Block(0, tuple(self.utterances[:4])), Block(1, tuple(self.utterances[4:]))]
        cache = BlockCache(root, self.encoder, Protocol(()), blocks, (keeping,))
        cache.prepare(len(blocks), resume=resume)
        return Listening(self.call, self.encoder, Protocol(()), blocks, cache, (keeping,))


@pytest.fixture(scope="module")
def exam(make_recordings: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Exam:
    folder = tmp_path_factory.mktemp("exam")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(MODULES)
        return Exam(make_recordings(folder / "wavs", count=7), folder)


def test_answers_are_those_that_each_head_gives_on_its_own(exam: Exam, tmp_path: Path) -> None:
    listening = exam.listening(exam.keeping, tmp_path)
    hear([listening])
    for position, heads in enumerate(exam.heads):
        answers = exam.keeping.read(listening.files, position)
        assert list(answers.keys) == [each.key for each in exam.utterances[1:]]
        assert answers.frames.tolist() == [len(exam.frames[key][0]) for key in answers.keys]
        assert answers.classified.shape == answers.decoded.shape == (answers.frames.sum(), 3)
        ends = np.cumsum(answers.frames)[:-1]
        best, spelt = (np.split(each, ends) for each in (answers.classified, answers.decoded))
        for number, key in enumerate(answers.keys):
            for column, (head, window) in enumerate(zip(heads, WINDOWS, strict=True)):
                values = head.decide(exam.frames[key][position])
                # float32 beside float64 may fall to the other side of a tie
                assert np.mean(best[number][:, column] == classified(values, phones=2)) > 0.99
                assert np.mean(spelt[number][:, column] == decoded(values, window=window)) > 0.99


def test_the_truth_is_a_code_where_a_phone_in_use_sounds_and_minus_one_in_silence_and_elsewhere(
    exam: Exam, tmp_path: Path
) -> None:
    listening = exam.listening(exam.keeping, tmp_path)
    hear([listening])
    answers = exam.keeping.read(listening.files, 0)
    expected = np.concatenate(
        [
            frame_labels(exam.keeping.phones[key], frames=count, seconds=0.0, classes={"a": 0, "b": 1}, clock=CLOCK)
            for key, count in zip(answers.keys, answers.frames.tolist(), strict=True)
        ]
    )
    np.testing.assert_array_equal(answers.truth, expected)
    assert set(answers.truth) == {-1, 0, 1}


def test_an_interrupted_exam_ends_with_the_answers_of_an_uninterrupted_one(exam: Exam, tmp_path: Path) -> None:
    whole = exam.listening(exam.keeping, tmp_path / "whole")
    hear([whole])
    told: list[str] = []

    def after(key: str) -> None:
        told.append(key)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear([exam.listening(exam.keeping, tmp_path / "broken")], after=after)
    again = exam.listening(exam.keeping, tmp_path / "broken", resume=True)
    hear([again])
    for position in range(2):
        mine, theirs = (exam.keeping.read(each.files, position) for each in (again, whole))
        assert mine.keys == theirs.keys
        for name in ("frames", "truth", "classified", "decoded"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


def test_only_two_bytes_per_frame_head_and_score_are_kept(exam: Exam) -> None:
    keeper = exam.keeping.keeper(exam.encoder)
    for each in exam.utterances[1:]:
        keeper.add(each, [torch.from_numpy(layer) for layer in exam.frames[each.key]], [])
    frames = sum(len(exam.frames[each.key][0]) for each in exam.utterances[1:])
    kept = {name: array.nbytes for name, array in keeper.arrays().items() if array.size > len(exam.utterances)}
    assert kept.pop("exam/truth") == 8 * frames
    assert set(kept.values()) == {2 * frames * len(WINDOWS)}


def test_other_heads_or_other_labels_are_another_exam(exam: Exam) -> None:
    key = exam.utterances[1].key
    others = [
        replace(exam.keeping, digest="1"),
        replace(exam.keeping, phones={**exam.keeping.phones, key: (("b", 0.0, 0.1),)}),
        replace(exam.keeping, codes={"b": 0, "a": 1, "sil": 2}),
        replace(exam.keeping, clock=None),
    ]
    identities = [str(each.identity()) for each in (exam.keeping, *others)]
    assert len(set(identities)) == len(identities)
    assert exam.keeping.identity() == replace(exam.keeping, heads=Path("elsewhere.npz")).identity()
    assert exam.keeping.wants(key)
    assert not exam.keeping.wants(exam.utterances[0].key)


def test_without_any_utterance_heard_there_is_a_refusal(exam: Exam, tmp_path: Path) -> None:
    nobody = replace(exam.keeping, phones={})
    listening = exam.listening(nobody, tmp_path)
    hear([listening])
    with pytest.raises(RefusedError, match="none of the utterances to test could be heard"):
        nobody.read(listening.files, 0)
