"""Past versions for tests of calibration: trainings that went well or badly, with ranks and scores of their layers."""

from __future__ import annotations

import numpy as np

from mlflow_rank.studies.calibration.cases import Place
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
OUTSIDE = Outcome("pilot_keyword_ood", "keyword", "out_of_domain", "balanced_accuracy")
PHONES = Outcome("pilot_phone", "phone", "in_domain", "per", lower_is_better=True)
CONVENTIONS = Conventions(
    {
        "rank.preset": "robust",
        "rank.dtype": "float32",
        "pilot.keyword.head": "ridge",
        "pilot.keyword.shots": "all",
        "pilot.keyword.classes": 20,
        "pilot.phone.head": "ctc",
        "pilot.phone.shots": "all",
    }
)
LAYERS, STEPS = 3, (400, 800)


def past(
    bad: int = 20,
    good: int = 12,
    *,
    seed: int = 0,
    bad_score: float = 0.5,
    bad_rank: float = 20.0,
    noise: float = 0.04,
) -> tuple[Trajectories, dict[Place, bool]]:
    """Trainings with two checkpoints each; good ones score about .8 at a rank of about 40."""
    rng = np.random.default_rng(seed)
    rows: list[Observation] = []
    outcomes: dict[Place, bool] = {}
    for at in range(bad + good):
        fine = at >= bad
        score, rank = (0.8, 40.0) if fine else (bad_score, bad_rank)
        score, rank = score + noise * rng.normal(), rank * np.exp(noise * rng.normal())
        for step in STEPS:
            outcomes[f"run {at:02d}", step] = fine
            for layer in range(LAYERS):
                kept = float(np.clip(score - 0.02 * layer + 0.01 * rng.normal(), 0.01, 0.99))
                wide = float(rank * (1 + 0.1 * layer) * np.exp(0.02 * rng.normal()))
                scores = {"pilot_keyword": kept, "pilot_keyword_ood": kept - 0.1, "pilot_phone": 1 - kept}
                ranks = {"rank_frame": wide, "rank_utterance": wide / 2}
                rows.append(Observation(f"run {at:02d}", step, layer, None, ranks, scores))
    return Trajectories(tuple(rows), (KEYWORD, OUTSIDE, PHONES), CONVENTIONS), outcomes
