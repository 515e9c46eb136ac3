"""Series whose memory, trend and agreement are known, for the statistics of studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.correlation.panels import Panel
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

Array = NDArray[np.float64]
KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")


def log_steps(count: int) -> Array:
    """Return steps from 25 to 1600, evenly by their logarithm."""
    return np.round(np.geomspace(25, 1600, count))


def noise(random: np.random.Generator, shape: tuple[int, ...], memory: float = 0.0) -> Array:
    """Return AR(1) noise of variance 1 along the last axis; of memory 1, random walks."""
    fresh = random.standard_normal(shape)
    if memory == 1:
        return fresh.cumsum(axis=-1)
    found = fresh.copy()
    for index in range(1, shape[-1]):
        found[..., index] = memory * found[..., index - 1] + np.sqrt(1 - memory**2) * fresh[..., index]
    return found


def agreeing(
    random: np.random.Generator, shape: tuple[int, ...], share: float, memory: float = 0.0
) -> tuple[Array, Array]:
    """Return two series of correlation `share`."""
    one, other = noise(random, shape, memory), noise(random, shape, memory)
    return one, share * one + np.sqrt(1 - share**2) * other


def panel(run: str, rank: Array, score: Array, loss: Array | None = None) -> Panel:
    """Return a run of a rank and a score, each (layers, checkpoints), at log-spaced steps."""
    count = rank.shape[1]
    steps, unknown = log_steps(count), np.full(count, np.nan)
    numbers = {"rank_frame": rank, "pilot_keyword": score}
    return Panel(run, steps, unknown if loss is None else loss, numbers)


def table(runs: dict[str, tuple[Array, Array]], loss: bool = True) -> Trajectories:
    """Return trajectories of one rank and one score; each run gives them as (layers, checkpoints)."""
    observations = [
        Observation(
            run,
            int(step),
            layer,
            float(5 - np.log(step) / 2 + 0.01 * (at % 3)) if loss else None,
            {"rank_frame": float(rank[layer, at])},
            {"pilot_keyword": float(score[layer, at])},
        )
        for run, (rank, score) in runs.items()
        for layer in range(rank.shape[0])
        for at, step in enumerate(log_steps(rank.shape[1]))
    ]
    return Trajectories(tuple(observations), (KEYWORD,), Conventions({"rank.dtype": "float32"}))
