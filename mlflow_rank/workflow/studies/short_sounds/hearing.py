"""One pass of one encoder over one form of the clips: ranks at every count and stride, and the pilots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.threads import suitable_threads
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import MeasurementError
from mlflow_rank.probes.design import make_design
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.predictions import PILOT_BEST, LayerFeatures, predict
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.spectra import Moments, MomentsAccumulator
from mlflow_rank.studies.short_sounds.rank_reading import RankReading, read_rank
from mlflow_rank.studies.short_sounds.readings import Condition, PilotReading, SoundReading
from mlflow_rank.workflow.studies.short_sounds.sounds import Sounds

Waves = Sequence[NDArray[np.float32]]
WINDOW = 64  # clips that are sorted by length, so that equal ones are heard together
BATCH_SECONDS = 16.0  # of one batch: short clips cost more in calls than in arithmetic
HEAD = "ridge"


@dataclass(frozen=True, slots=True)
class PilotPlan:
    """How the pilots are made: seed of the split, and the share of the groups that is tested."""

    seed: int = 0
    test_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Pass:
    """What is read from one pass: the condition of all clips, and those of fewer clips and of every n-th frame."""

    whole: Condition
    counts: tuple[Condition, ...] = ()
    strides: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """In the order of the readings."""
        return (self.whole, *self.counts, *self.strides)


def hear_sounds(
    encoder: TorchEncoder,
    sounds: Sounds,
    waves: Waves,
    wanted: Pass,
    plan: PilotPlan,
    *,
    after: Callable[[int], None] = lambda _: None,
) -> list[SoundReading]:
    """Return a reading for each condition of the pass.

    Args:
        encoder: that hears.
        sounds: the clips, for labels, groups and blocks.
        waves: the samples of the clips in this form, in their order; of all or of the first.
        wanted: what is read.
        plan: how the pilots are made.
        after: called with the number of clips that were heard.

    Raises:
        MeasurementError: the encoder returns NaN.
    """
    strides = tuple(int(each.at or 1) for each in wanted.strides)
    collected = _Collected.of(encoder, sounds, strides)
    ends = [*(int(each.at or 0) for each in wanted.counts), len(waves)]
    ranks: dict[int, tuple[RankReading, ...]] = {}
    start = 0
    with suitable_threads(encoder):
        for end in ends:
            for places, per_layer in _heard(encoder, waves, range(start, end), after):
                collected.add(places, per_layer)
            start = end
            ranks[end] = collected.ranks(end)
        thinned = [collected.frames(stride) for stride in strides]
    vectors = collected.vectors
    readings = []
    for condition, count in zip((wanted.whole, *wanted.counts), (len(waves), *ends[:-1]), strict=True):
        choose = condition.family == "whole"  # nobody reads what another would choose
        pilot = pilot_of({at: each[:count] for at, each in vectors.items()}, sounds.items(count), plan, choose=choose)
        seconds = float(np.mean([len(wave) for wave in waves[:count]])) / sounds.rate
        readings.append(SoundReading(condition, count, seconds, ranks[count], pilot))
    utterance = tuple(each for each in readings[0].ranks if each.level == "utterance")
    readings += [
        SoundReading(condition, len(waves), readings[0].seconds, frames + utterance, readings[0].pilot)
        for condition, frames in zip(wanted.strides, thinned, strict=True)
    ]
    return readings


def pilot_of(
    vectors: Mapping[int, NDArray[np.float32]], items: Items, plan: PilotPlan, *, choose: bool = True
) -> PilotReading:
    """Return what ridge probes on each layer's vectors call the test items, trained with all labels of the others.

    `choose` asks for the layer that the training items choose.
    """
    try:
        # Kinds of sound are told apart across devices: no group is on both sides.
        design = make_design(items, shots=("all",), draws=1, seed=plan.seed, test_share=plan.test_share)
    except RefusedError as refused:
        return PilotReading(cause=refused.what)
    features = {layer: LayerFeatures(each, each[:0]) for layer, each in vectors.items()}
    with threadpool_limits(1):  # many small decompositions: threads would wait longer than they work
        predicted = predict(features, design, {HEAD: HEADS[HEAD]}, combined=choose)
    by_layer = {each.layer: each for each in predicted}
    truth = design.class_codes(design.inside)[list(design.test)]
    best = by_layer.get(PILOT_BEST)
    return PilotReading(
        classes=len(design.classes),
        truth=tuple(int(code) for code in truth),
        groups=tuple(design.inside.groups[index] for index in design.test),
        called={layer: tuple(int(code) for code in by_layer[layer].inside[0]) for layer in vectors},
        trained=len(design.pool),
        chosen=best.chosen[0] if best is not None else next(iter(vectors)) if len(vectors) == 1 else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Collected:
    """Moments of frames by (layer position, stride, block), and one vector for each clip and layer."""

    encoder: TorchEncoder
    blocks: tuple[int, ...]
    moments: dict[tuple[int, int, int], MomentsAccumulator]
    means: list[NDArray[np.float32]]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, encoder: TorchEncoder, sounds: Sounds, strides: tuple[int, ...]) -> _Collected:
        places = [
            (position, stride, block)
            for position in range(len(encoder.layers))
            for stride in (1, *strides)
            for block in sorted(set(sounds.blocks))
        ]
        return cls(
            encoder,
            sounds.blocks,
            {place: MomentsAccumulator(encoder.layers[place[0]].dim) for place in places},
            [np.empty((len(sounds.clips), layer.dim), dtype=np.float32) for layer in encoder.layers],
            (1, *strides),
        )

    def add(self, places: Sequence[int], per_layer: Sequence[NDArray[np.float32]]) -> None:
        """Add the frames (clips, frames, D) of some clips, for each layer."""
        for position, frames in enumerate(per_layer):
            self.means[position][list(places)] = frames.mean(axis=1, dtype=np.float64)
            for row, place in enumerate(places):
                for stride in self.strides:
                    self.moments[position, stride, self.blocks[place]].update(frames[row, ::stride])

    @property
    def vectors(self) -> dict[int, NDArray[np.float32]]:
        """The mean of each clip's frames, (clips, D), by layer."""
        return {layer.index: each for layer, each in zip(self.encoder.layers, self.means, strict=True)}

    def ranks(self, count: int) -> tuple[RankReading, ...]:
        """Return the ranks of the first clips, which are those that were added so far."""
        return self.frames(1) + tuple(self._utterance(position, count) for position in range(len(self.encoder.layers)))

    def frames(self, stride: int) -> tuple[RankReading, ...]:
        """Return the rank of every layer over every so many frames."""
        return tuple(
            self._read(
                position,
                [each.moments() for (at, by, _), each in self.moments.items() if (at, by) == (position, stride)],
                "frame",
            )
            for position in range(len(self.encoder.layers))
        )

    def _utterance(self, position: int, count: int) -> RankReading:
        blocks, vectors = np.array(self.blocks[:count]), self.means[position][:count]
        return self._read(position, [Moments.of(vectors[blocks == each]) for each in np.unique(blocks)], "utterance")

    def _read(self, position: int, blocks: Sequence[Moments], level: str) -> RankReading:
        layer = self.encoder.layers[position]
        return read_rank(blocks, layer.index, level)


def _heard(
    encoder: TorchEncoder, waves: Waves, places: range, after: Callable[[int], None]
) -> Iterator[tuple[list[int], list[NDArray[np.float32]]]]:
    """Yield the frames of clips, of equally long ones together; never padded."""
    import torch

    for first in range(places.start, places.stop, WINDOW):
        window = sorted(range(first, min(first + WINDOW, places.stop)), key=lambda place: (len(waves[place]), place))
        while window:
            length = len(waves[window[0]])
            most = max(1, int(BATCH_SECONDS * encoder.sampling_rate / length))
            batch = [place for place in window[:most] if len(waves[place]) == length]
            window = window[len(batch) :]
            with torch.inference_mode():
                frames = encoder.encode(torch.from_numpy(np.stack([waves[place] for place in batch])))
            found = [layer.cpu().numpy() for layer in frames]
            if not all(np.isfinite(each).all() for each in found):
                raise MeasurementError(
                    f"{encoder.spec} returns NaN or infinity",
                    expected="finite frames",
                    remedy="check the weights, and the dtype if it is not float32",
                )
            yield batch, found
            after(len(batch))
