"""Does rank go with the pilot here: within a layer over checkpoints, between runs at one step, across layers?

The headline, fixed beforehand, is Spearman's rho within a layer with step and loss taken off (`partial`). The raw rho
and its p say only that both numbers move together, which a shared trend alone gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.correlation.across_layers import AcrossLayers, across, checkpoints
from mlflow_rank.studies.correlation.between_runs import Matched, matched
from mlflow_rank.studies.correlation.estimate import Estimate, Found
from mlflow_rank.studies.correlation.layer_regret import LayerRegret, regret
from mlflow_rank.studies.correlation.multiplicity import adjusted
from mlflow_rank.studies.correlation.panels import Panel, panels
from mlflow_rank.studies.correlation.random_baseline import RandomRange, random_ranges
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.within_layer import Tracking, tracked
from mlflow_rank.studies.trajectories import Outcome, Trajectories

KIND = "CorrelationStudy"
HEADLINE = {"question": "within_layer", "view": "partial", "statistic": "spearman"}
BASELINES = ("step", "loss")
SIGNIFICANT = 0.05
Asked = TypeVar("Asked", Tracking, Matched, AcrossLayers)


@dataclass(frozen=True, slots=True)
class Family:
    """The tests of one question in one view with one statistic: how many, and how many hold after correction."""

    question: str
    view: str
    statistic: str
    tests: int
    significant: int


@dataclass(frozen=True)
class CorrelationStudy:
    """What correlates with what, how surely, and how that was got.

    Attributes:
        trajectories: what was looked at.
        predictors: the ranks looked at.
        outcomes: the pilot scores looked at.
        seed: of every draw.
        settings: how it was done.
        runs: the training runs.
        within_layer: every predictor, outcome and layer.
        step_and_loss: the same of `step` and `loss` in the place of a rank, by name; in no family.
        noise: the same of noise.
        between_runs: every predictor, outcome and layer.
        across_layers: every predictor and outcome.
        layer_regret: every predictor and outcome.
        families: of the three questions with a p.
    """

    trajectories: Trajectories
    predictors: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    seed: int
    settings: StudySettings
    runs: tuple[Panel, ...]
    within_layer: tuple[Tracking, ...]
    step_and_loss: Mapping[str, tuple[Tracking, ...]]
    noise: tuple[RandomRange, ...]
    between_runs: tuple[Matched, ...]
    across_layers: tuple[AcrossLayers, ...]
    layer_regret: tuple[LayerRegret, ...]
    families: tuple[Family, ...]

    def within(self, predictor: str, outcome: str, layer: int) -> Tracking:
        """Return the tracking of one rank and one score in one layer.

        Raises:
            UsageError: the study did not look at it.
        """
        for each in self.within_layer:
            if (each.predictor, each.outcome, each.layer) == (predictor, outcome, layer):
                return each
        raise UsageError("the study did not look at this", got=f"{predictor}, {outcome}, layer {layer}")

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, with all that is needed to get it again from the same table."""
        names = ("name", "task", "domain", "metric", "lower_is_better")
        steps = [step for each in self.runs for step in each.steps]
        baselines: dict[str, object] = {
            name: [each.document() for each in found] for name, found in self.step_and_loss.items()
        }
        return {
            "kind": KIND,
            "seed": self.seed,
            "settings": self.settings.document(),
            "conventions": self.trajectories.conventions.document(),
            "window": {"from_step": int(min(steps)), "to_step": int(max(steps))},
            "runs": [
                {
                    "run": each.run,
                    "checkpoints": len(each.steps),
                    "first_step": int(each.steps[0]),
                    "last_step": int(each.steps[-1]),
                    "loss_known": each.loss_known,
                }
                for each in self.runs
            ],
            "layers": list(self.trajectories.layers),
            "predictors": list(self.predictors),
            "outcomes": [{name: getattr(each, name) for name in names} for each in self.outcomes],
            "observations": len(self.trajectories.observations),
            "headline": dict(HEADLINE),
            "families": [
                {name: getattr(each, name) for name in ("question", "view", "statistic", "tests", "significant")}
                | {"correction": self.settings.correction}
                for each in self.families
            ],
            "within_layer": [each.document() for each in self.within_layer],
            "baselines": baselines | {"random": [each.document() for each in self.noise]},
            "between_runs": [each.document() for each in self.between_runs],
            "across_layers": [each.document() for each in self.across_layers],
            "layer_regret": [each.document() for each in self.layer_regret],
        }


def correlate(trajectories: Trajectories, *, seed: int = 0, settings: StudySettings | None = None) -> CorrelationStudy:
    """Return how ranks go with pilot scores in all three ways, with intervals, p-values and baselines.

    Args:
        trajectories: the table, its window already cut.
        seed: of resamples, permutations and noise.
        settings: what is looked at and how; the defaults where None.

    Raises:
        UsageError: the table is empty, holds no rank or no score, or a chosen name is not in it.
    """
    settings = settings or StudySettings()
    if not trajectories.observations:
        raise UsageError(
            "there is nothing to correlate", got="an empty table", expected="checkpoints with pilot scores"
        )
    predictors = _chosen("rank", settings.predictors, trajectories.predictors)
    names = _chosen("pilot score", settings.outcomes, tuple(each.name for each in trajectories.outcomes))
    runs, layers = panels(trajectories, (*predictors, *names, *BASELINES)), trajectories.layers
    pairs = [(one, other) for one in predictors for other in names]
    whole = {pair: checkpoints(runs, *pair, layers) for pair in pairs}
    within, of_within = _corrected("within_layer", tracked(runs, predictors, names, layers, settings, seed), settings)
    between, of_between = _corrected("between_runs", matched(runs, predictors, names, layers, settings, seed), settings)
    over_layers = tuple(across(whole[pair], pair, settings, seed) for pair in pairs)
    over_layers, of_layers = _corrected("across_layers", over_layers, settings)
    return CorrelationStudy(
        trajectories=trajectories,
        predictors=predictors,
        outcomes=tuple(trajectories.outcome(name) for name in names),
        seed=seed,
        settings=settings,
        runs=runs,
        within_layer=within,
        step_and_loss={name: tracked(runs, (name,), names, layers, settings, seed) for name in BASELINES},
        noise=random_ranges(runs, names, layers, settings, seed),
        between_runs=between,
        across_layers=over_layers,
        layer_regret=tuple(regret(whole[pair], pair, settings, seed) for pair in pairs),
        families=(*of_within, *of_between, *of_layers),
    )


def _chosen(what: str, chosen: tuple[str, ...] | None, there: tuple[str, ...]) -> tuple[str, ...]:
    names = there if chosen is None else tuple(dict.fromkeys(chosen))
    strange = [name for name in names if name not in there]
    if strange or not names:
        raise UsageError(
            f"no such {what} in this table" if strange else f"there is no {what} to look at",
            got=", ".join(strange) or "none",
            expected=", ".join(there) or f"at least one {what}",
        )
    return names


def _corrected(
    question: str, asked: tuple[Asked, ...], settings: StudySettings
) -> tuple[tuple[Asked, ...], tuple[Family, ...]]:
    """Return what was asked with p-values after correction, and the families they were corrected in."""
    new: dict[tuple[int, str, str], Found] = {}
    families = []
    ordered = sorted(_with_chance(asked), key=lambda each: each[0])
    for (view, statistic), group in groupby(ordered, key=lambda each: each[0]):
        members = [(index, found) for _, index, found in group]
        ps = adjusted([found.chance.p for _, found in members if found.chance is not None], settings.correction)
        for (index, found), p in zip(members, ps, strict=True):
            new[index, view, statistic] = replace(found, adjusted=p)
        families.append(Family(question, view, statistic, len(ps), sum(p <= SIGNIFICANT for p in ps)))
    changed = tuple(
        replace(
            each,
            views={
                view: {statistic: new.get((index, view, statistic), found) for statistic, found in by_statistic.items()}
                for view, by_statistic in each.views.items()
            },
        )
        for index, each in enumerate(asked)
    )
    return changed, tuple(families)


def _with_chance(asked: tuple[Asked, ...]) -> Iterator[tuple[tuple[str, str], int, Estimate]]:
    for index, each in enumerate(asked):
        for view, by_statistic in each.views.items():
            for statistic, found in by_statistic.items():
                if isinstance(found, Estimate) and found.chance is not None:
                    yield (view, statistic), index, found
