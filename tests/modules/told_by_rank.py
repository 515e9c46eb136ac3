"""Simulated trainings of which it is known what their ranks tell: the run's own fortune, the time, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
STEPS = (10, 20, 40, 80, 160, 320, 640, 1280)


def trainings(
    seed: int,
    *,
    own: float = 0.0,
    shared: float = 1.0,
    runs: int = 4,
    layers: int = 2,
    steps: Sequence[int] = STEPS,
    noise: float = 0.02,
) -> Trajectories:
    """Runs whose score rises with the step, each by a course of its own beside it.

    Args:
        seed: of everything.
        own: how far the ranks follow the run's own course, from 0 to 1.
        shared: how far they follow the course that all runs share.
        runs: how many.
        layers: how many.
        steps: of the checkpoints of every run.
        noise: of a score.

    """
    draw = np.random.default_rng(seed)
    at = (np.log(steps) - np.log(steps[0])) / np.log(steps[-1] / steps[0])
    trend = 0.5 * at**2
    observations = []
    for run in range(runs):
        course = np.cumsum(draw.normal(0, 0.06, len(steps)))  # of this run, in all layers
        for layer in range(layers):
            scores = 0.3 + 0.05 * layer + trend + course + draw.normal(0, noise, len(steps))
            told = shared * trend + own * course + (1 - own) * np.cumsum(draw.normal(0, 0.06, len(steps)))
            frame, utterance = (np.exp(3 + told + draw.normal(0, 0.01, len(steps))) for _ in range(2))
            observations += [
                Observation(
                    f"seed_{run}", step, layer, 3 - 2 * float(at[k]),
                    {"rank_frame": float(frame[k]), "rank_utterance": float(utterance[k])},
                    {"pilot_keyword": float(scores[k])},
                )
                for k, step in enumerate(steps)
            ]  # fmt: skip
    return Trajectories(tuple(observations), (KEYWORD,), Conventions({"rank.dtype": "float32"}))


def one_bent_course(seed: int, *, runs: int = 4) -> Trajectories:
    """Runs of one course that jumps from checkpoint to checkpoint, which their ranks know exactly.

    No smooth curve over steps follows it, and of a run's own fortune, which is noise here, the ranks know nothing.
    """
    draw = np.random.default_rng(seed)
    steps = np.unique(np.round(np.geomspace(10, 1280, 16)).astype(int))
    course = draw.permutation(np.linspace(0, 0.5, len(steps)))
    observations = [
        Observation(
            f"seed_{run}", int(step), 0, None, {"rank_frame": float(np.exp(3 + course[at]))},
            {"pilot_keyword": float(0.3 + course[at] + draw.normal(0, 0.05))},
        )
        for run in range(runs)
        for at, step in enumerate(steps)
    ]  # fmt: skip
    return Trajectories(tuple(observations), (KEYWORD,), Conventions({"rank.dtype": "float32"}))
