from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import framed
import numpy as np
import pytest
import torch

from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.live_encoder import LiveEncoder, live_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.plug_in import of_rows
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.monitoring.probing import Room, convention_of, take_point


class FullGpu:
    """An encoder on a GPU on which `fit` utterances have memory at once; its second layer is the first's square."""

    spec = family = digest = "full"
    sampling_rate, minimum_samples, maximum_samples, device = 16_000, 1, None, "cuda"
    layers = (Layer(1, "one", 4), Layer(2, "two", 4))

    def __init__(self, fit: int) -> None:
        self.fit = fit
        self.tried: list[int] = []

    def encode(self, waveforms: torch.Tensor) -> Iterator[torch.Tensor]:
        self.tried.append(len(waveforms))
        frames = waveforms.unflatten(1, (-1, 4))
        yield frames
        if len(waveforms) > self.fit:  # once the first layer has added its frames
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield frames.square()

    def describe(self) -> dict[str, object]:
        return {}


@pytest.fixture(scope="module")
def encoder() -> LiveEncoder:
    """Two layers of twelve dimensions, in training mode."""
    return live_encoder(framed.Framed(), layers="blocks.*")


def by_hand(encoder: LiveEncoder, probe: ProbeSet) -> list[list[np.ndarray]]:
    """The frames of every layer and utterance, in float64."""
    encoder.module.eval()
    with torch.no_grad():
        heard = [encoder.forward(torch.tensor(samples)[None]) for samples in probe.waveforms]
    encoder.module.train()
    return [[frames[layer][0].double().numpy() for frames in heard] for layer in range(len(encoder.layers))]


def test_a_point_has_every_layer_at_both_levels_as_numpy_finds_them(encoder: LiveEncoder) -> None:
    probe = framed.probe_set()
    point = take_point(encoder, probe, step=7, loss=0.5)
    assert (point.step, point.loss) == (7, 0.5)
    assert [(each.layer, each.level) for each in point.readings] == [
        (1, "frame"), (1, "utterance"), (2, "frame"), (2, "utterance")
    ]  # fmt: skip
    for layer, frames in zip(encoder.layers, by_hand(encoder, probe), strict=True):
        wanted = {"frame": np.concatenate(frames), "utterance": np.stack([each.mean(0) for each in frames])}
        for level, rows in wanted.items():
            reading = point.reading(layer.index, level)
            expected = of_rows(layer.index, level, rows)
            assert reading is not None
            for name in ("rank", "rank_uncentred", "total_variance", "normalised_std", "mean_norm_ratio"):
                assert getattr(reading, name) == pytest.approx(getattr(expected, name), rel=1e-6)
            assert (reading.count, reading.dim, reading.cause) == (len(rows), 12, None)


def test_the_same_weights_give_the_same_point_and_training_is_left_alone(encoder: LiveEncoder) -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    one, other = (take_point(encoder, framed.probe_set(), step=step) for step in (0, 9))
    assert one.readings == other.readings
    assert torch.equal(torch.rand(2), expected)
    assert encoder.module.training
    assert one.seconds > 0.0
    assert Point.read(json.loads(json.dumps(one.document()))) == one


def test_a_point_follows_the_weights(encoder: LiveEncoder) -> None:
    before = take_point(encoder, framed.probe_set(), step=0)
    collapsed = live_encoder(framed.Framed(), layers="blocks.*")
    with torch.no_grad():
        collapsed.module.blocks[1].weight[:, 1:] = 0.0  # type: ignore[union-attr, index]
    after = take_point(collapsed, framed.probe_set(), step=1)
    assert after.reading(1, "frame") == before.reading(1, "frame")
    reading = after.reading(2, "frame")
    assert reading is not None
    assert reading.rank == pytest.approx(1.0, abs=1e-3)


def test_a_layer_that_is_not_finite_has_a_cause_and_the_others_their_values(encoder: LiveEncoder) -> None:
    whole = take_point(encoder, framed.probe_set(), step=0)
    point = take_point(encoder, framed.probe_set(poisoned=(2, 4)), step=0)
    for level in ("frame", "utterance"):
        reading = point.reading(2, level)
        assert reading is not None
        # utterances 2 and 4 of lengths 1000 and 800 samples are 50 and 40 frames of 20
        assert reading.cause == "NaN or infinity in 90 frames of 2 of 7 utterances"
        assert (reading.rank, reading.total_variance, reading.mean_norm_ratio) == (None, None, None)
        first, before = point.reading(1, level), whole.reading(1, level)
        assert first is not None
        assert before is not None
        assert first.cause is None
        assert first.rank == pytest.approx(before.rank, rel=0.01)  # one sample of the probe set differs


def test_an_encoder_that_is_loaded_gives_the_point_of_the_live_one(tiny_hubert: Path) -> None:
    from transformers import HubertModel

    probe = ProbeSet.of_waveforms(np.random.default_rng(1).normal(size=(5, 2400)) * 0.1, 16_000)
    loaded = load_encoder(str(tiny_hubert), device="cpu")
    live = live_encoder(HubertModel.from_pretrained(tiny_hubert).train())
    assert take_point(loaded, probe, step=1).readings == take_point(live, probe, step=1).readings
    one, other = convention_of(loaded, probe), convention_of(live, probe)
    assert json.loads(json.dumps(one)) == one
    assert {name for name in one if one[name] != other[name]} == {"input"}  # the loaded one has its preprocessor


def test_the_convention_says_in_which_format_the_weights_are() -> None:
    def said(model: torch.nn.Module) -> Any:
        return convention_of(live_encoder(model, layers="blocks.*"), framed.probe_set())

    assert said(framed.Framed())["weights"] == "float32"
    assert said(framed.Framed().bfloat16())["weights"] == "bfloat16"
    assert said(framed.Framed())["layers"][0] == {"index": 1, "name": "blocks.0", "dim": 12}


def test_a_probe_set_of_another_rate_is_refused(encoder: LiveEncoder) -> None:
    with pytest.raises(UsageError, match="another sampling rate"):
        take_point(encoder, ProbeSet.of_waveforms(np.ones((1, 100)), 8000), step=0)


def test_where_training_fills_the_gpu_batches_are_halved_until_they_fit() -> None:
    rng = np.random.default_rng(0)
    probe = ProbeSet.of_waveforms([rng.normal(size=400) * 0.1 for _ in range(11)], 16_000)
    wanted = take_point(FullGpu(fit=11), probe, step=0)  # type: ignore[arg-type]
    for fit, tried in ((11, [11]), (5, [11, 5, 5, 1]), (4, [11, 5, 2, 2, 2, 2, 2, 1]), (1, [11, 5, 2] + [1] * 11)):
        full, room = FullGpu(fit), Room()
        point = take_point(full, probe, step=0, room=room)  # type: ignore[arg-type]
        assert full.tried == tried
        for reading, other in zip(point.readings, wanted.readings, strict=True):
            assert (reading.layer, reading.level, reading.count) == (other.layer, other.level, other.count)
            assert (reading.rank, reading.total_variance) == pytest.approx((other.rank, other.total_variance), rel=1e-9)
        full.tried.clear()
        take_point(full, probe, step=1, room=room)  # type: ignore[arg-type]
        assert max(full.tried) <= fit  # what fitted is remembered


def test_where_not_even_one_utterance_fits_the_point_fails() -> None:
    full = FullGpu(fit=0)
    with pytest.raises(torch.OutOfMemoryError):
        take_point(full, framed.probe_set(), step=0)  # type: ignore[arg-type]
    assert full.tried[-1] == 1


def test_what_the_model_raises_is_raised_and_training_is_left_alone(encoder: LiveEncoder) -> None:
    def lost(_: torch.Tensor) -> list[torch.Tensor]:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        take_point(replace(encoder, forward=lost), framed.probe_set(), step=0)
    assert encoder.module.training


def test_parameters_that_are_sharded_later_are_found_out(encoder: LiveEncoder) -> None:
    model = framed.Framed()
    live = live_encoder(model, layers="blocks.*")
    model.blocks[0].weight.data = torch.empty(0)
    with pytest.raises(MeasurementError, match="sharded"):
        take_point(live, framed.probe_set(), step=0)
