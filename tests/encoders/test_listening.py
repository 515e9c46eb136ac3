from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
from mlflow_rank.errors import MeasurementError
from mlflow_rank.speech.sampling import Sample, Sampling, draw
from mlflow_rank.speech.sources import open_corpus

MODULES = Path(__file__).parents[1] / "modules"
FATAL_SAMPLES = 3999  # as tests/modules/listeners.py has it
PROTOCOL = Protocol(("frame", "utterance"), frame_stride=2)
BLOCKS = 4


@pytest.fixture(autouse=True)
def listeners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make `module:listeners:…` importable, here and in workers; return the file that lists what they hear."""
    monkeypatch.syspath_prepend(MODULES)
    monkeypatch.setenv("LISTENER_LOG", str(tmp_path / "heard"))
    return tmp_path / "heard"


@pytest.fixture
def sample(make_recordings: Callable[..., Path], tmp_path: Path) -> Sample:
    return draw(open_corpus(make_recordings(tmp_path / "audio")).utterances, Sampling(blocks=BLOCKS))


@pytest.fixture
def deadly_sample(make_recordings: Callable[..., Path], tmp_path: Path) -> Sample:
    directory = make_recordings(tmp_path / "audio")
    samples, rate = soundfile.read(directory / "utterance_02.wav")
    soundfile.write(directory / "utterance_05.wav", samples[:FATAL_SAMPLES], rate)
    return draw(open_corpus(directory).utterances, Sampling(blocks=BLOCKS))


class Measuring:
    """One measurement's blocks being heard: what is called, and who was told of what."""

    def __init__(self, factory: str, sample: Sample, root: Path) -> None:
        random, name = ("random:", factory.removeprefix("random:")) if factory.startswith("random:") else ("", factory)
        self.call = EncoderCall(f"{random}module:listeners:{name}", layers="blocks.*", device="cpu")
        self.encoder, self.sample = self.call.load(), sample
        self.cache = BlockCache(root, self.encoder, PROTOCOL, sample.blocks)
        self.told: list[str] = []
        self.interrupt_after: int | None = None

    def __call__(self, *, workers: int = 1, resume: bool = False) -> list[BlockFile]:
        self.cache.prepare(len(self.sample.blocks), resume=resume)
        listening = Listening(self.call, self.encoder, PROTOCOL, self.sample.blocks, self.cache)
        hear([listening], workers=workers, after=self.after)
        return listening.files

    def after(self, key: str) -> None:
        self.told.append(key)
        if len(self.told) == self.interrupt_after:
            raise KeyboardInterrupt


def assert_equal(files: list[BlockFile], others: list[BlockFile]) -> None:
    assert len(files) == len(others)
    for file, other in zip(files, others, strict=True):
        mine, theirs = file.read(), other.read()
        assert mine.content_digests == theirs.content_digests
        assert mine.seconds == theirs.seconds
        for place in theirs.states:
            ours, moments = mine.moments(place), theirs.moments(place)
            assert ours.count == moments.count
            np.testing.assert_allclose(ours.mean, moments.mean, rtol=1e-9)
            bound = 1e-9 * moments.diagonal.max()
            np.testing.assert_allclose(ours.scatter, moments.scatter, rtol=0, atol=bound)


def test_two_workers_give_what_one_gives(sample: Sample, tmp_path: Path, listeners: Path) -> None:
    one, two = Measuring("plain", sample, tmp_path / "one"), Measuring("plain", sample, tmp_path / "two")

    assert_equal(two(workers=2), one())

    assert sorted(two.told) == sorted(one.told) == sorted(each.key for each in sample.utterances)
    assert len(listeners.read_text().splitlines()) == 2 * len(sample.utterances)


def test_one_set_of_processes_hears_several_encoders(sample: Sample, tmp_path: Path) -> None:
    one, other = Measuring("plain", sample, tmp_path / "one"), Measuring("random:plain", sample, tmp_path / "other")
    listenings = []
    for measuring in (one, other):
        measuring.cache.prepare(len(sample.blocks), resume=False)
        listenings.append(Listening(measuring.call, measuring.encoder, PROTOCOL, sample.blocks, measuring.cache))

    hear(listenings, workers=2)

    assert_equal(listenings[0].files, Measuring("plain", sample, tmp_path / "alone")())
    assert_equal(listenings[1].files, Measuring("random:plain", sample, tmp_path / "alone")())
    means = [listening.files[0].read().moments((0, "frame")).mean for listening in listenings]
    assert not np.allclose(*means)


def test_two_listenings_of_the_same_files_are_heard_once(sample: Sample, tmp_path: Path, listeners: Path) -> None:
    measuring = Measuring("plain", sample, tmp_path)
    measuring.cache.prepare(len(sample.blocks), resume=False)
    twice = [Listening(measuring.call, measuring.encoder, PROTOCOL, sample.blocks, measuring.cache) for _ in range(2)]

    hear(twice)

    assert len(listeners.read_text().splitlines()) == len(sample.utterances)
    assert twice[0].files == twice[1].files


def test_a_worker_that_dies_is_said_to_have_died_and_resuming_finishes(
    deadly_sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listeners: Path
) -> None:
    listening = Measuring("mortal", deadly_sample, tmp_path / "cache")

    with pytest.raises(MeasurementError, match="a worker process died") as caught:
        listening(workers=2)
    assert "--resume" in str(caught.value.remedy)

    monkeypatch.setenv("LISTENER_MERCY", "1")
    kept = [file for block in deadly_sample.blocks if (file := listening.cache.file(block.index)).path.exists()]
    listeners.unlink()
    files = listening(resume=True)
    again = len(listeners.read_text().splitlines())

    assert again == len(deadly_sample.utterances) - sum(len(file.read_listing().keys) for file in kept)
    assert_equal(files, Measuring("mortal", deadly_sample, tmp_path / "other")())


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_arrives_whole(deadly_sample: Sample, tmp_path: Path, workers: int) -> None:
    with pytest.raises(MeasurementError) as caught:
        Measuring("faulty", deadly_sample, tmp_path / "cache")(workers=workers)

    assert caught.value.what == "the encoder returns NaN or infinity in layer 2 (blocks.1)"
    assert caught.value.got == "for utterance utterance_05.wav"
    assert caught.value.expected == "finite frames"
    assert "check the weights" in str(caught.value.remedy)
    assert str(caught.value).splitlines()[-1].startswith("  next:")


def test_a_block_that_was_interrupted_goes_on_after_the_utterance_it_reached(
    sample: Sample, tmp_path: Path, listeners: Path
) -> None:
    whole = Measuring("plain", sample, tmp_path / "other")()
    listening = Measuring("plain", sample, tmp_path / "cache")
    listening.interrupt_after = 5
    with pytest.raises(KeyboardInterrupt):
        listening()
    listening.interrupt_after = None
    listening.told.clear()
    listeners.unlink()

    files = listening(resume=True)

    assert len(listeners.read_text().splitlines()) == len(sample.utterances) - 5
    assert sorted(listening.told) == sorted(each.key for each in sample.utterances)  # so that the bar gets to its end
    assert_equal(files, whole)
    assert not list(listening.cache.directory.glob("*partial*"))


def test_without_resume_nothing_is_taken_from_an_earlier_run(sample: Sample, tmp_path: Path, listeners: Path) -> None:
    listening = Measuring("plain", sample, tmp_path / "cache")
    listening()
    listeners.unlink()

    listening()

    assert len(listeners.read_text().splitlines()) == len(sample.utterances)


def test_a_file_that_was_never_finished_does_not_count(sample: Sample, tmp_path: Path, listeners: Path) -> None:
    listening = Measuring("plain", sample, tmp_path / "cache")
    complete = listening()[0].path
    complete.rename(complete.with_suffix(".4711.part"))
    listeners.unlink()

    listening(resume=True)

    assert len(listeners.read_text().splitlines()) == len(sample.blocks[0].utterances)


def test_another_protocol_sample_or_encoder_has_another_place(sample: Sample, tmp_path: Path) -> None:
    listening = Measuring("plain", sample, tmp_path)
    weights = EncoderCall("random:module:listeners:plain", layers="blocks.*", device="cpu").load()
    fewer = EncoderCall("module:listeners:plain", layers="blocks.0", device="cpu").load()
    places = [
        BlockCache(tmp_path, listening.encoder, PROTOCOL, sample.blocks),
        BlockCache(tmp_path, listening.encoder, Protocol(("frame", "utterance")), sample.blocks),
        BlockCache(tmp_path, listening.encoder, PROTOCOL, sample.blocks[1:]),
        BlockCache(tmp_path, weights, PROTOCOL, sample.blocks),
        BlockCache(tmp_path, fewer, PROTOCOL, sample.blocks),
    ]

    assert len({place.directory for place in places}) == len(places)
    assert places[0].directory == listening.cache.directory


def test_a_disk_without_room_for_the_blocks_is_refused_before_anything_is_heard(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listeners: Path
) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10_000, 9_000, 1_000))

    with pytest.raises(MeasurementError, match="no disk space") as caught:
        Measuring("plain", sample, tmp_path / "cache")()

    assert f"MB needed for {BLOCKS} blocks" in str(caught.value.got)
    assert "--cache" in str(caught.value.remedy)
    assert not listeners.exists()


def test_a_cache_that_cannot_be_made_is_an_error_with_its_path(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(MeasurementError, match="no disk space") as caught:
        Measuring("plain", sample, tmp_path / "file")()

    assert str(tmp_path / "file") in str(caught.value.got)
    assert "Not a directory" in str(caught.value.got)
