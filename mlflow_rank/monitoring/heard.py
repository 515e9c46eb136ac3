"""What one process has heard of the probe set, layer by layer, and what all processes have heard together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.device_moments import DeviceMoments
from mlflow_rank.monitoring.team import Team
from mlflow_rank.spectra import Moments, MomentsAccumulator

if TYPE_CHECKING:
    import torch


class LayerHeard:
    """One layer of one process: moments of all frames, the mean frame of every utterance, and what was not finite.

    `means` is (utterances of the probe set, D), zero where another process heard. An utterance with NaN or infinity is
    only counted: `bad_frames` of it, and `bad_utterances`.
    """

    def __init__(self, dim: int, utterances: int, *, on_gpu: bool) -> None:
        self.dim = dim
        self.means = np.zeros((utterances, dim))
        self.bad_frames = self.bad_utterances = 0
        self._moments: MomentsAccumulator | DeviceMoments = DeviceMoments(dim) if on_gpu else MomentsAccumulator(dim)
        self._taken: Moments | None = None

    def add(self, numbers: Sequence[int], frames: torch.Tensor) -> None:
        """Add the frames (batch, N, D), float32, of the utterances of these numbers."""
        import torch

        sums = frames.sum(1, dtype=torch.float64)  # a NaN or an infinity shows in the sum
        finite = torch.isfinite(sums).all(1).tolist()
        for number, total, good in zip(numbers, sums.cpu().numpy(), finite, strict=True):
            if good:
                self.means[number] = total / frames.shape[1]
        if not all(finite):
            bad = frames[[not good for good in finite]]
            self.bad_frames += int((~torch.isfinite(bad).all(2)).sum())
            self.bad_utterances += len(bad)
            frames = frames[finite]
        rows = frames.flatten(0, 1)
        self._taken = None
        if isinstance(self._moments, DeviceMoments):
            self._moments.update(rows)
        else:
            self._moments.update(rows.cpu().numpy())

    def moments(self) -> Moments:
        """Return the moments of its finite utterances' frames; fetched from a GPU once."""
        if self._taken is None:
            self._taken = self._moments.moments()
        return self._taken


class TogetherHeard:
    """One layer of all processes: `moments` of the frames and `means` (utterances, D), or the `cause` why not."""

    def __init__(self, moments: Moments | None, means: NDArray[np.float64], cause: str | None) -> None:
        self.moments, self.means, self.cause = moments, means, cause


def together(layers: Sequence[LayerHeard], team: Team) -> list[TogetherHeard]:
    """Merge what all processes have heard: the same for each of them, up to nothing.

    First counts and means are summed, then scatter around the common mean, in float64.

    Source: Chan, Golub & LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.
    """
    own = [layer.moments() for layer in layers]
    heads = [[part.count, layer.bad_frames, layer.bad_utterances] for part, layer in zip(own, layers, strict=True)]
    counts = team.summed(np.array(heads, dtype=np.float64))
    merged = []
    for layer, part, (count, bad_frames, bad_utterances) in zip(layers, own, counts.tolist(), strict=True):
        means = team.summed(layer.means)
        cause = _not_finite(round(bad_frames), round(bad_utterances), len(means)) if bad_utterances else None
        moments = None if cause else _merged(part, round(count), team)
        merged.append(TogetherHeard(moments, means, cause))
    return merged


def _merged(own: Moments, count: int, team: Team) -> Moments:
    if team.size == 1 or count == 0:
        return own
    mean = team.summed(own.mean * (own.count / count))
    offset = (own.mean - mean) * np.sqrt(own.count)
    return Moments(count, mean, team.summed(own.scatter + np.outer(offset, offset)))


def _not_finite(frames: int, utterances: int, of: int) -> str:
    return f"NaN or infinity in {frames} frames of {utterances} of {of} utterances"
