"""Taking a point: the probe set is heard once, and every layer becomes a reading at every level."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.live_encoder import LiveEncoder
from mlflow_rank.encoders.sharding import refuse_sharded
from mlflow_rank.encoders.undisturbed import undisturbed
from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring import plug_in
from mlflow_rank.monitoring.cadence import settled_time
from mlflow_rank.monitoring.heard import LayerHeard, TogetherHeard, together
from mlflow_rank.monitoring.point import LEVELS, Point, Reading
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.monitoring.team import Team


@dataclass(slots=True)
class Room:
    """How many samples are heard at once on a GPU that training fills; None until too many were, for want of memory."""

    samples: int | None = None


def take_point(
    encoder: LiveEncoder | Encoder,
    probe: ProbeSet,
    *,
    step: int,
    loss: float | None = None,
    team: Team = Team(),  # noqa: B008 - a value, frozen
    room: Room | None = None,
) -> Point:
    """Hear the probe set once and return the point of `step`, the same for every process of the team.

    A live encoder is heard as it is and left as it was. A layer with NaN or infinity gets a cause for its values; the
    other layers keep theirs. Where a GPU has no memory for a batch, all is heard again in batches of half the size,
    down to one utterance; `room` remembers for the next point what fitted.

    Raises:
        UsageError: the probe set has another sampling rate, or lengths that the encoder does not hear.
        MeasurementError: the parameters are sharded; or, with several processes, one of them failed.
    """
    start = settled_time()
    heard, trouble = None, None
    try:
        room = room or Room()
        while heard is None:
            heard = _hear(encoder, probe, team, room)
    except Exception as error:  # whatever the model raises: the other processes are waiting to hear of it
        trouble = error
    team.all_well(trouble)
    merged = together(heard or [], team)
    own: list[tuple[int, tuple[Reading, ...]]] = []
    try:
        own += [
            (position, _readings(encoder.layers[position].index, merged[position]))
            for position in team.share(range(len(merged)))
        ]
    except Exception as error:  # as above
        trouble = error
    team.all_well(trouble)
    everything = sorted(each for part in team.gathered(own) for each in part)
    readings = tuple(reading for _, both in everything for reading in both)
    return Point(step, readings, loss, seconds=settled_time() - start, at=time.time())


def convention_of(encoder: LiveEncoder | Encoder, probe: ProbeSet) -> Mapping[str, object]:
    """Return what makes points comparable, JSON-ready: the probe set, the layers, and how they are heard."""
    if isinstance(encoder, LiveEncoder):
        hearing = {**encoder.details, "weights": encoder.dtype}
    else:
        described = encoder.describe()
        hearing = {key: described[key] for key in ("family", "architecture", "input", "frames") if key in described}
        hearing |= {"weights": described.get("dtype", "float32")}
    return {
        "probe_set": probe.convention,
        "levels": list(LEVELS),
        "layers": [{"index": each.index, "name": each.name, "dim": each.dim} for each in encoder.layers],
        **hearing,
    }


def _hear(encoder: LiveEncoder | Encoder, probe: ProbeSet, team: Team, room: Room) -> list[LayerHeard] | None:
    """Return what each layer gives; None where a batch did not fit, and smaller ones, now noted in `room`, may."""
    import torch

    if probe.rate != encoder.sampling_rate:
        raise UsageError(
            "the probe set has another sampling rate than the encoder",
            got=f"{probe.rate} Hz",
            expected=f"{encoder.sampling_rate} Hz",
        )
    on_gpu = torch.device(encoder.device).type == "cuda"
    layers = [LayerHeard(layer.dim, len(probe.waveforms), on_gpu=on_gpu) for layer in encoder.layers]
    if isinstance(encoder, LiveEncoder):
        refuse_sharded(encoder.module)
    with undisturbed(encoder.module) if isinstance(encoder, LiveEncoder) else nullcontext():
        own = team.share(range(len(probe.waveforms)))
        for numbers, waveforms in probe.batches(own, together=on_gpu, samples=room.samples):
            try:
                for layer, frames in zip(layers, encoder.encode(torch.from_numpy(waveforms)), strict=True):
                    layer.add(numbers, frames)
            except torch.OutOfMemoryError:
                if len(numbers) == 1:
                    raise
                # Some layers may have added the batch and others not. And what the error holds on the GPU is free only
                # once it is forgotten, so nothing is tried again in here.
                room.samples = len(numbers) // 2 * waveforms.shape[1]
                return None
    for layer in layers:
        layer.moments()  # fetches from the GPU, which may fail: here, where all processes hear of it
    return layers


def _readings(layer: int, heard: TogetherHeard) -> tuple[Reading, ...]:
    frame, utterance = LEVELS
    if heard.moments is None:
        cause, dim = heard.cause or "nothing was heard", heard.means.shape[1]
        return plug_in.unknown(layer, frame, dim, cause), plug_in.unknown(layer, utterance, dim, cause)
    return plug_in.of_moments(layer, frame, heard.moments), plug_in.of_rows(layer, utterance, heard.means)
