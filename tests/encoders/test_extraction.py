from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from mlflow_rank.encoders.block_moments import BlockMoments
from mlflow_rank.encoders.extraction import Extraction, Protocol
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import Moments
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.utterance import SkipCause, Utterance

LEVELS = ("frame", "utterance", "utterance_sum")


@pytest.fixture(scope="module")
def utterances(recordings: Path) -> tuple[Utterance, ...]:
    return open_corpus(recordings).utterances


@pytest.fixture(scope="module")
def directory(tiny: dict[str, Any], save: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT whose frames are exactly transformers': it takes the waveform as it is."""
    from transformers import HubertConfig, HubertModel

    directory = tmp_path_factory.mktemp("unnormalised")
    save(HubertModel, HubertConfig(**tiny), directory, {"do_normalize": False, "sampling_rate": 16000})
    return directory


@pytest.fixture(scope="module")
def encoder(directory: Path) -> TorchEncoder:
    return load_encoder(str(directory), device="cpu")


@pytest.fixture(scope="module")
def reference(directory: Path, utterances: tuple[Utterance, ...]) -> list[list[np.ndarray]]:
    """For each layer the frames of each utterance, float64 (frames, dim), by transformers and soundfile alone."""
    from transformers import HubertModel

    model = HubertModel.from_pretrained(directory).eval()
    heard = []
    for each in utterances:
        samples, _ = soundfile.read(each.source.path, dtype="float32")
        with torch.inference_mode():
            states = model(torch.from_numpy(samples)[None], output_hidden_states=True).hidden_states
        heard.append([state[0].numpy().astype(np.float64) for state in states])
    return [list(layer) for layer in zip(*heard, strict=True)]


def heard(encoder: Any, utterances: tuple[Utterance, ...], **protocol: Any) -> BlockMoments:
    extraction = Extraction(encoder, Protocol(**{"levels": LEVELS} | protocol))
    extraction.hear(utterances, after=lambda _: None)
    return extraction.so_far()


def assert_agree(one: Moments, other: Moments) -> None:
    """Equal to 1e-9, relative to the largest value."""
    assert one.count == other.count
    for mine, theirs in ((one.mean, other.mean), (one.scatter, other.scatter)):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.parametrize("stride", [1, 3])
def test_the_moments_of_a_pass_are_those_of_the_frames_that_transformers_gives(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...], reference: list[list[np.ndarray]], stride: int
) -> None:
    block = heard(encoder, utterances, frame_stride=stride)

    assert set(block.states) == {(layer, level) for layer in range(3) for level in LEVELS}
    for position, frames in enumerate(reference):
        expected = {
            "frame": np.concatenate([each[::stride] for each in frames]),
            "utterance": np.stack([each.mean(0) for each in frames]),  # of all frames, whatever the stride
            "utterance_sum": np.stack([each.sum(0) for each in frames]),
        }
        for level, rows in expected.items():
            assert_agree(block.moments((position, level)), Moments.of(rows))


def test_each_utterance_is_listed_with_its_length_and_speaker(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...]
) -> None:
    block = heard(encoder, utterances)

    assert set(block.content_digests) == {each.key for each in utterances} == block.keys
    assert block.seconds["utterance_00.wav"] == 2400 / 16_000
    assert set(block.speakers.values()) == {None}
    assert len(set(block.content_digests.values())) == len(utterances)


def test_on_a_cpu_each_utterance_goes_in_alone(encoder: TorchEncoder, utterances: tuple[Utterance, ...]) -> None:
    stub = Recording(encoder)

    heard(stub, utterances)

    assert {shape[0] for shape in stub.shapes} == {1}
    assert len(stub.shapes) == len(utterances)


def test_on_a_gpu_only_utterances_of_equal_length_share_a_batch_and_the_moments_are_the_same(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...]
) -> None:
    stub = Recording(encoder, device="cuda")

    together, alone = heard(stub, utterances, frame_stride=2), heard(encoder, utterances, frame_stride=2)

    assert sorted(stub.shapes) == [(8, 2400), (8, 3200), (8, 4000)]
    assert together.keys == alone.keys
    for place in alone.states:
        mixed, moments = together.moments(place), alone.moments(place)
        assert mixed.count == moments.count
        # A batch rounds its products in another order: float32 activations agree to their own precision.
        for mine, theirs in (
            (mixed.mean, moments.mean),
            (mixed.scatter, moments.scatter),
        ):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_a_gpu_batch_holds_no_more_audio_than_it_may(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_rank.encoders.extraction.BATCH_SECONDS", 0.5)
    stub = Recording(encoder, device="cuda")

    heard(stub, utterances)

    assert max(count * samples for count, samples in stub.shapes) <= 0.5 * 16_000
    assert sum(count for count, _ in stub.shapes) == len(utterances)


def test_audio_that_cannot_be_used_is_listed_with_its_cause_and_counts_for_nothing(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a_silent.wav", np.zeros(3200), 16_000)
    soundfile.write(tmp_path / "b_good.wav", soundfile.read(utterances[0].source.path)[0], 16_000)
    soundfile.write(tmp_path / "c_short.wav", np.array([0.5, -0.5] * 4), 16_000)
    told: list[str] = []

    extraction = Extraction(encoder, Protocol(LEVELS))
    extraction.hear(open_corpus(tmp_path).utterances, after=lambda utterance: told.append(utterance.key))
    block = extraction.so_far()

    assert [(each.key, each.cause) for each in block.skipped] == [
        ("a_silent.wav", SkipCause.SILENT),
        ("c_short.wav", SkipCause.TOO_SHORT),
    ]
    assert "too short for one frame" in block.skipped[1].detail
    assert sorted(told) == ["a_silent.wav", "b_good.wav", "c_short.wav"]
    assert_agree(block.moments((1, "frame")), heard(encoder, utterances[:1]).moments((1, "frame")))


def test_audio_longer_than_the_encoder_hears_is_listed(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...]
) -> None:
    block = heard(Recording(encoder, maximum_samples=3200), utterances)

    assert {each.cause for each in block.skipped} == {SkipCause.TOO_LONG}
    assert len(block.skipped) == 8
    assert "longer than this encoder hears (0.2 s)" in block.skipped[0].detail


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_encoder_that_returns_nan_is_named_by_layer_and_utterance_and_adds_nothing(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...], device: str
) -> None:
    stub = Recording(encoder, device=device, ruined=(2, 4000))
    extraction = Extraction(stub, Protocol(LEVELS))

    with pytest.raises(MeasurementError) as caught:
        extraction.hear(utterances, after=lambda _: None)

    assert f"layer 2 ({encoder.layers[2].name})" in caught.value.what
    assert "utterance_02.wav" in str(caught.value.got)
    block = extraction.so_far()
    assert "utterance_02.wav" not in block.content_digests
    rows = {block.moments((position, "utterance")).count for position in range(3)}
    assert rows == {len(block.content_digests)}


def test_what_was_heard_so_far_can_be_taken_while_more_follows(
    encoder: TorchEncoder, utterances: tuple[Utterance, ...]
) -> None:
    extraction = Extraction(encoder, Protocol(LEVELS))
    extraction.hear(utterances[:5], after=lambda _: None)
    early = extraction.so_far()
    extraction.hear(utterances[5:], after=lambda _: None)

    assert len(early.keys) == 5
    merged = early.merge(heard(encoder, utterances[5:]))
    late = extraction.so_far()
    for place in late.states:
        assert_agree(merged.moments(place), late.moments(place))


class Recording:
    """An encoder around another that notes the shapes it hears, may claim a GPU, and may ruin one layer.

    `ruined` is a layer and a length in samples: the first waveform of that length gets NaN there.
    """

    def __init__(
        self,
        inner: TorchEncoder,
        *,
        device: str = "cpu",
        ruined: tuple[int, int] | None = None,
        maximum_samples: int | None = None,
    ) -> None:
        self.inner, self.device, self.ruined = inner, device, ruined
        self.layers: tuple[Layer, ...] = inner.layers
        self.sampling_rate, self.minimum_samples = inner.sampling_rate, inner.minimum_samples
        self.maximum_samples = maximum_samples
        self.shapes: list[tuple[int, int]] = []

    def encode(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        self.shapes.append((waveforms.shape[0], waveforms.shape[1]))
        frames = [each.clone() for each in self.inner.encode(waveforms)]
        if self.ruined and waveforms.shape[1] == self.ruined[1]:
            frames[self.ruined[0]][0, -1, 0] = torch.nan
        return frames
