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
    outcomes: dict[str, Outcome] = {}
    observations: list[Observation] = []
    for each in assessed:
        outcomes |= {outcome.name: outcome for outcome, _ in _scored(each.pilot)}
        observations += _observations(each)
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


def _observations(assessed: Assessed) -> Iterator[Observation]:
    ranks: dict[int, dict[str, float]] = {}
    for name, layer, value in _ranked(assessed.measurement):
        ranks.setdefault(layer, {})[name] = value
    scores: dict[int, dict[str, float]] = {}
    for outcome, by_layer in _scored(assessed.pilot):
        for layer, score in by_layer.items():
            scores.setdefault(layer, {})[outcome.name] = score
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


def _scored(pilot: Document | None) -> Iterator[tuple[Outcome, dict[int, float]]]:
    """Yield every outcome of a pilot, with the known scores of its layers."""
    tasks = () if pilot is None else read_tasks(pilot)
    for group, task in zip(metric_groups(tasks), tasks, strict=True):
        for domain, ending in _DOMAINS:
            metric, known = _known(task, domain)
            if domain == IN_DOMAIN or known or domain in mapping(task.described, "domains"):
                yield Outcome(f"{group}{ending}", task.name, domain, metric, metric in LOWER_IS_BETTER), known


def _known(task: PilotTask, domain: str) -> tuple[str, dict[int, float]]:
    """Return the primary metric with the known scores of the layers.

    Where it has none in a domain, as none tells speakers by name whom nobody was trained on, the first metric that has
    some takes its place.
    """
    for metric in task.metrics:
        scores = task.scores(domain=domain, metric=metric)
        known = {
            layer: score.value
            for layer, score in scores.items()
            if isinstance(layer, int) and isinstance(score, MeasuredScore)
        }
        if known:
            return metric, known
    return next(iter(task.metrics), ""), {}


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
