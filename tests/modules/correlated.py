"""Trainings whose rank goes with the pilot as one likes, and documents of studies that say what one likes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

STEPS = (25, 35, 50, 71, 100, 141, 200, 283, 400, 566, 800, 1131, 1600)
STATISTICS = ("pearson", "spearman", "kendall")
Associate = Callable[[str, str, int], dict[str, Any]]


def outcomes(tasks: Sequence[str] = ("keyword", "phone", "speaker")) -> tuple[Outcome, ...]:
    """Return in- and out-of-domain scores of tasks; that of phones is an error rate."""
    return tuple(
        Outcome(
            f"pilot_{task}{suffix}",
            task,
            domain,
            "per" if task == "phone" else "balanced_accuracy",
            lower_is_better=task == "phone",
        )
        for task, (suffix, domain) in itertools.product(tasks, (("", "in_domain"), ("_ood", "out_of_domain")))
    )


def trainings(
    *,
    runs: Sequence[str] = ("seed_0", "seed_1", "seed_2", "seed_3"),
    steps: Sequence[int] = STEPS,
    layers: int = 6,
    tasks: Sequence[str] = ("keyword", "phone", "speaker"),
    tracking: float = 1.0,
    predictors: Sequence[str] = ("rankme_t", "rank_utterance", "rank_frame"),
) -> Trajectories:
    """Return trainings of a shared trend; `tracking` is how much of what is beside it rank and pilot share, −1 to 1."""
    random = np.random.default_rng(7)
    scores, observations = outcomes(tasks), []
    for run, step, layer in itertools.product(runs, steps, range(layers)):
        beside, own = random.normal(size=2)
        trend = np.log1p(step) / np.log1p(STEPS[-1])
        height = 100.0 - 60 * trend if step == 0 else 30 + 60 * trend + 8 * beside - 20 * abs(layer / layers - 0.3)
        share = 0.1 if step == 0 else 0.25 + 0.4 * trend + 0.05 * (tracking * beside + (1 - abs(tracking)) * own)
        share = min(max(share - 0.1 * layer / layers, 0.0), 1.0)
        pairs = {
            each.name: (1 - share if each.lower_is_better else share) * (0.8 if each.name.endswith("_ood") else 1.0)
            for each in scores
        }
        ranks = {name: height * (1 + 0.1 * at) for at, name in enumerate(predictors)}
        observations.append(Observation(run, step, layer, 5.0 - 2 * trend, ranks, pairs))
    return Trajectories(tuple(observations), scores, Conventions({"rank.dtype": "float32"}))


def number(value: float, *, adjusted: float | None = None, interval: float | None = 0.2, smallest: float = 1e-6) -> Any:
    """Return an association, or an amount, with an interval of so much to both sides."""
    bounds = {"low": value - (interval or 0), "high": value + (interval or 0), "method": "bootstrap over runs"}
    return {
        "value": value,
        "interval": bounds if interval is not None else too_few("runs", 1, 4),
        "p": adjusted,
        "p_adjusted": adjusted,
        "smallest_p": smallest,
        "per_run": {},
    }


def too_few(what: str = "checkpoints of a run", n: int = 5, minimum: int = 8) -> dict[str, Any]:
    """Return what stands in the place of a number."""
    cause = f"not enough: {n} {what}, {minimum} needed"
    return {"unknown": cause, "not_enough": {"what": what, "n": n, "minimum": minimum}}


def study_of(
    table: Trajectories,
    within: Associate,
    *,
    lost: dict[str, Any] | None = None,
    more_lost: dict[str, Any] | None = None,
    beside: Associate | None = None,
    correction: str = "holm",
) -> dict[str, Any]:
    """Return the document of a study that found `within` in each layer, `beside` it elsewhere."""
    beside = beside or (lambda *_: number(0.9, adjusted=None))
    predictors, names = table.predictors, [each.name for each in table.outcomes]
    steps = [each.step for each in table.observations]
    cells = [
        {
            "predictor": predictor, "outcome": outcome, "layer": layer, "runs": len(table.runs), "checkpoints": 40,
            "dropped": 0, "runs_too_short": 0, "controls": ["log_step", "loss"],
            "views": {
                view: dict.fromkeys(STATISTICS, (within if view == "partial" else beside)(predictor, outcome, layer))
                for view in ("raw", "partial", "differences")
            },
        }
        for predictor, outcome, layer in itertools.product(predictors, names, table.layers)
    ]  # fmt: skip
    amounts = lost or {"rank": number(0.12, interval=0.05), "fixed": number(0.01, interval=0.005)} | {
        "last": number(0.03, interval=0.01), "random": number(0.08, interval=0.02), "pilot": number(0.0, interval=0.0)
    }  # fmt: skip
    differences = more_lost or {name: number(0.1, interval=0.05) for name in ("fixed", "last", "random")}
    tests = sum("value" in each["views"]["partial"]["spearman"] for each in cells)
    return {
        "kind": "CorrelationStudy",
        "seed": 3,
        "settings": {
            "resamples": 500, "permutations": 999, "correction": correction, "level": 0.95, "random_draws": 200,
            "minimum": {"checkpoints": 8, "runs": 4, "layers": 4},
        },
        "conventions": table.conventions.document(),
        "window": {"from_step": min(step for step in steps if step), "to_step": max(steps)},
        "runs": [
            {"run": run, "checkpoints": len(table.steps(run)), "first_step": 25, "last_step": 1600, "loss_known": True}
            for run in table.runs
        ],
        "layers": list(table.layers),
        "predictors": list(predictors),
        "outcomes": table.document()["outcomes"],
        "observations": len(table.observations),
        "headline": {"question": "within_layer", "view": "partial", "statistic": "spearman"},
        "families": [
            {"question": question, "view": view, "statistic": statistic, "tests": tests, "correction": correction,
             "significant": 2}
            for question, view in (
                ("within_layer", "partial"), ("between_runs", "matched_step"), ("across_layers", "checkpoint"),
            )
            for statistic in STATISTICS
        ],
        "within_layer": cells,
        "baselines": {
            name: [
                cell | {"predictor": name, "views": dict.fromkeys(("raw", "partial", "differences"),
                                                                   dict.fromkeys(STATISTICS, number(sign * 0.95)))}
                for cell in cells
                if cell["predictor"] == predictors[0]
            ]
            for name, sign in (("step", 1), ("loss", -1))
        } | {
            "random": [
                {"outcome": outcome, "layer": layer, "noise": noise, "view": view, "statistic": "spearman",
                 "draws": 200, "low": -width, "high": width}
                for outcome, layer in itertools.product(names, table.layers)
                for (noise, width), view in itertools.product((("white", 0.3), ("walk", 0.7)), ("raw", "partial"))
            ]
        },
        "between_runs": [
            {"predictor": cell["predictor"], "outcome": cell["outcome"], "layer": cell["layer"], "runs": 4, "steps": 13,
             "views": {"matched_step": dict.fromkeys(STATISTICS, number(0.4, adjusted=0.5, smallest=1 / 24))}}
            for cell in cells
        ],
        "across_layers": [
            {"predictor": predictor, "outcome": outcome, "runs": 4, "checkpoints": 52,
             "views": {"checkpoint": dict.fromkeys(STATISTICS, number(-0.2))}}
            for predictor, outcome in itertools.product(predictors, names)
        ],
        "layer_regret": [
            {"predictor": predictor, "outcome": outcome, "runs": 4, "checkpoints": 52, "choices": amounts,
             "rank_minus": differences, "rank_chose": {"5": 52}, "pilot_chose": {"2": 52}}
            for predictor, outcome in itertools.product(predictors, names)
        ],
    }  # fmt: skip
