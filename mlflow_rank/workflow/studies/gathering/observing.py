"""From documents of measurements and pilots to the table that studies read, and from several tables to one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, read_ranks
from mlflow_rank.registry.runs.measured_score import (
    IN_DOMAIN,
    LOWER_IS_BETTER,
    OUT_OF_DOMAIN,
    MeasuredScore,
    PilotTask,
    mapping,
    read_tasks,
)
from mlflow_rank.registry.runs.metric_names import LOGGED
from mlflow_rank.registry.runs.pilot_metrics import metric_groups
from mlflow_rank.registry.runs.run_terms import model_digest_of
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories
from mlflow_rank.workflow.studies.gathering.measured_conventions import agreed, conventions_of

_DOMAINS = ((IN_DOMAIN, ""), (OUT_OF_DOMAIN, "_ood"))
_SHOWN = 3  # of what a message lists


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is known of a checkpoint: of which training run and step it is, the loss there, and its documents."""

    run: str
    step: int
    loss: float | None
    measurement: Document | None
    pilot: Document | None

    def __str__(self) -> str:
        return f"{self.run}, step {self.step}"


def trajectories_of(assessed: Sequence[Assessed]) -> Trajectories:
    """Return the table of checkpoints.

    Raises:
        UsageError: they were measured or piloted under different conventions; one is there twice; a measurement and
            a pilot are of different weights; a document is none.
    """
    _refuse_twice(assessed)
    conventions = agreed({str(each): _conventions(each) for each in assessed})
    outcomes = _outcomes(assessed)
    observations = [row for each in assessed for row in _observations(each, outcomes)]
    return Trajectories(tuple(observations), tuple(outcomes.values()), conventions)


def merged(named: Mapping[str, Trajectories]) -> Trajectories:
    """Return several tables as one, by the name of where each came from.

    Raises:
        UsageError: their conventions differ, or what an outcome is; a layer of a checkpoint is in two of them.
    """
    conventions = agreed({name: each.conventions for name, each in named.items()})
    outcomes: dict[str, Outcome] = {}
    for name, table in named.items():
        for outcome in table.outcomes:
            if outcomes.setdefault(outcome.name, outcome) != outcome:
                raise UsageError(
                    f"{outcome.name} is not the same everywhere",
                    got=f"{outcome} in {name}",
                    expected=f"{outcomes[outcome.name]}",
                )
    observations = [each for table in named.values() for each in table.observations]
    return Trajectories(tuple(observations), tuple(outcomes.values()), conventions)


def _observations(assessed: Assessed, outcomes: Mapping[str, Outcome]) -> Iterator[Observation]:
    ranks: dict[int, dict[str, float]] = {}
    for name, layer, value in _ranked(assessed.measurement):
        ranks.setdefault(layer, {})[name] = value
    scores: dict[int, dict[str, float]] = {}
    for name, domain, task in _piloted(assessed.pilot):
        for layer, score in _known(task, domain, outcomes[name].metric).items():
            scores.setdefault(layer, {})[name] = score
    for layer in sorted({*ranks, *scores}):
        yield Observation(
            assessed.run, assessed.step, layer, assessed.loss, ranks.get(layer, {}), scores.get(layer, {})
        )


def _ranked(measurement: Document | None) -> Iterator[tuple[str, int, float]]:
    """Yield the known ranks that MLflow shows, as it names them."""
    if measurement is None:
        return
    for logged in LOGGED:
        for rank in read_ranks(measurement, level=logged.level, centred=logged.centred, metric=logged.metric):
            if isinstance(rank, MeasuredRank):
                yield logged.what, rank.layer, rank.value


def _outcomes(assessed: Sequence[Assessed]) -> dict[str, Outcome]:
    """Return the pilot scores by name, each under one metric in all checkpoints: numbers of two are no trajectory.

    Raises:
        UsageError: two scores have one name.
    """
    by_name: dict[str, list[tuple[str, PilotTask]]] = {}
    for each in assessed:
        for name, domain, task in _piloted(each.pilot):
            by_name.setdefault(name, []).append((domain, task))
    outcomes = {}
    for name, several in by_name.items():
        meant = sorted({f"{task.name}, {domain}" for domain, task in several})
        if len(meant) > 1:
            raise UsageError(
                f"two pilot scores are called {name}",
                got="; ".join(meant[:_SHOWN]),
                expected="tasks whose names differ in more than signs and an ending _ood",
            )
        domain, first = several[0]
        metric = _metric([task for _, task in several], domain)
        outcomes[name] = Outcome(name, first.name, domain, metric, metric in LOWER_IS_BETTER)
    return outcomes


def _piloted(pilot: Document | None) -> Iterator[tuple[str, str, PilotTask]]:
    """Yield the name, the domain and the task of every score that a pilot may have."""
    tasks = () if pilot is None else read_tasks(pilot)
    for group, task in zip(metric_groups(tasks), tasks, strict=True):
        for domain, ending in _DOMAINS:
            if domain == IN_DOMAIN or _is_in(task, domain):
                yield f"{group}{ending}", domain, task


def _is_in(task: PilotTask, domain: str) -> bool:
    """Say whether a task was piloted in a domain, or meant to be."""
    metrics = task.metrics
    return domain in mapping(task.described, "domains") or any(_known(task, domain, metric) for metric in metrics)


def _metric(tasks: Sequence[PilotTask], domain: str) -> str:
    """Return the metric that stands for a task in a domain: the primary one where any checkpoint has a number of it.

    Where none has, as none tells speakers by name whom nobody was trained on, the first metric that any checkpoint has
    takes its place, in all of them.
    """
    metrics = list(dict.fromkeys(metric for task in tasks for metric in task.metrics))
    for metric in metrics:
        if any(_known(task, domain, metric) for task in tasks):
            return metric
    return next(iter(metrics), "")


def _known(task: PilotTask, domain: str, metric: str) -> dict[int, float]:
    """Return the known scores of the layers."""
    scores = task.scores(domain=domain, metric=metric)
    return {
        layer: score.value
        for layer, score in scores.items()
        if isinstance(layer, int) and isinstance(score, MeasuredScore)
    }


def _conventions(assessed: Assessed) -> Conventions:
    measured, piloted = (model_digest_of(each) if each else None for each in (assessed.measurement, assessed.pilot))
    if None not in (measured, piloted) and measured != piloted:
        raise UsageError(
            f"the ranks and the pilot of {assessed} are of different weights",
            got=f"{measured} and {piloted}",
            expected="both of one checkpoint",
        )
    return conventions_of(assessed.measurement, assessed.pilot)


def _refuse_twice(assessed: Sequence[Assessed]) -> None:
    named = [str(each) for each in assessed]
    twice = sorted({name for name in named if named.count(name) > 1}) if len(set(named)) < len(named) else []
    if twice:
        raise UsageError(
            "two checkpoints claim one step of one training run",
            got="; ".join(twice[:_SHOWN]) + (f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""),
            expected="each step of a training run once",
            remedy="tell trainings apart: give each its directory, or its MLflow runs a tag training_run",
        )
