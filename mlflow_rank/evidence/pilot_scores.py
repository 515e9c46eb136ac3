"""From what heads call the test items to scores of every layer, each ready to be compared with another encoder's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.probes.design import Design, Shots
from mlflow_rank.probes.predictions import LayerFeatures, LayerKey, Predictions
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import METRICS, Replicates, replicates
from mlflow_rank.probes.tallies import Tallies, class_tallies
from mlflow_rank.probes.tasks import Task
from mlflow_rank.probes.verification import MAX_ITEMS, Trials, trial_items, verification

Domain = Literal["in_domain", "out_of_domain"]
DOMAINS: tuple[Domain, ...] = ("in_domain", "out_of_domain")
COSINE = "cosine"  # the head of rows that no head was trained for
UNTRAINED: Shots = "all"  # shots of those rows, so that they stand beside the heads trained with all labels


@dataclass(frozen=True, slots=True)
class Cell:
    """Which row a score belongs to: layer, head, shots and metric."""

    layer: LayerKey
    head: str
    shots: Shots
    metric: str


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The replicates of one cell in each domain where there are any; elsewhere why not. `labels` were trained on."""

    found: Mapping[Domain, Replicates]
    causes: Mapping[Domain, str]
    labels: float


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """The things that are classified in each domain: their codes (−1: not counted) and the names of their groups."""

    truth: Mapping[Domain, NDArray[np.integer]]
    groups: Mapping[Domain, Sequence[str]]
    classes: tuple[str, ...]
    outside_cause: str


def tested_items(design: Design) -> Tested:
    """Return the test items of a design."""
    truth: dict[Domain, NDArray[np.integer]] = {"in_domain": design.class_codes(design.inside)[list(design.test)]}
    groups: dict[Domain, Sequence[str]] = {"in_domain": [design.inside.groups[index] for index in design.test]}
    if design.outside is not None:
        truth["out_of_domain"] = design.class_codes(design.outside)[list(design.outside_test)]
        groups["out_of_domain"] = [design.outside.groups[index] for index in design.outside_test]
    return Tested(truth, groups, design.classes, design.outside_cause)


def score_classes(task: Task, tested: Tested, predicted: Sequence[Predictions]) -> dict[Cell, Scored]:
    """Return the scores of everything classified: every prediction with every metric read from class tallies."""
    scored = {}
    for each in predicted:
        tallied: dict[Domain, Tallies] = {}
        called: dict[Domain, NDArray[np.intp]] = {"in_domain": each.inside, "out_of_domain": each.outside}
        for domain, truth in tested.truth.items():
            if len(truth):
                codes, groups = called[domain], tested.groups[domain]
                tallied[domain] = class_tallies(truth, codes, groups, classes=len(tested.classes))
        causes = {domain: tested.outside_cause for domain in DOMAINS if domain not in tallied}
        for metric in task.metrics:
            if METRICS[metric].reads == "classes":
                found = {domain: replicates(metric, tallies) for domain, tallies in tallied.items()}
                scored[Cell(each.layer, each.head, each.shots, metric)] = Scored(found, causes, each.labels)
    return scored


def score_pairs(
    task: Task, design: Design, layers: Mapping[int, LayerFeatures], predicted: Sequence[Predictions]
) -> dict[Cell, Scored]:
    """Return the equal error rates of speaker verification: by cosine of vectors, and by heads' decision values.

    Heads are asked with the most shots only: verification has one number of labels that matters, all of them.
    """
    if task.kind != "speaker":
        return {}
    trials = {domain: _trials(design, domain) for domain in DOMAINS}
    # By cosine nothing is trained but the centre, so training items can be compared as well: where speakers have two
    # sessions, the test set holds one of each, and pairs across sessions are only between the two sides.
    every = sorted((*design.pool, *design.test), key=design.inside.keys.__getitem__)
    by_cosine = {**trials, "in_domain": _trials(design, "in_domain", every)}
    scored = {}
    pool = list(design.pool)
    for position, features in layers.items():
        centre = np.asarray(features.inside[pool], dtype=np.float64).mean(axis=0)
        vectors: dict[Domain, np.ndarray] = {
            "in_domain": features.inside[every],
            "out_of_domain": features.outside,
        }
        scored[Cell(position, COSINE, UNTRAINED, "eer_cosine")] = _verified(
            by_cosine, {domain: rows[None] for domain, rows in vectors.items()}, centre[None], "eer_cosine", 0.0
        )
    most = [shots for shots in design.shots if shots not in design.refusals][-1:]
    for each in predicted:
        if each.shots in most:
            values: dict[Domain, np.ndarray] = {"in_domain": each.values, "out_of_domain": each.outside_values}
            cell = Cell(each.layer, each.head, each.shots, "eer_probe")
            centre = each.values.mean(axis=1)
            scored[cell] = _verified(trials, values, centre, "eer_probe", each.labels)
    return scored


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """The trials of one domain and which of its items they are between; None and why where there are none."""

    trials: Trials | None
    items: tuple[int, ...]
    cause: str


def _trials(design: Design, domain: Domain, inside: Sequence[int] | None = None) -> _Pairs:
    items, chosen = design.inside, list(design.test if inside is None else inside)
    if domain == "out_of_domain":
        if design.outside is None:
            return _Pairs(None, (), design.outside_cause)
        items, chosen = design.outside, list(range(len(design.outside)))
    keys, speakers = [items.keys[index] for index in chosen], [items.labels[index] for index in chosen]
    taken = trial_items(keys, speakers, seed=design.seed, most=MAX_ITEMS)
    try:
        trials = Trials.of([speakers[place] for place in taken], [items.sessions[chosen[place]] for place in taken])
    except RefusedError as refused:
        return _Pairs(None, (), refused.what)
    return _Pairs(trials, tuple(taken), "")


def _verified(
    trials: Mapping[Domain, _Pairs],
    vectors: Mapping[Domain, np.ndarray],
    centre: np.ndarray,
    metric: Literal["eer_cosine", "eer_probe"],
    labels: float,
) -> Scored:
    found: dict[Domain, Replicates] = {}
    causes: dict[Domain, str] = {}
    for domain, tested in trials.items():
        if tested.trials is None:
            causes[domain] = tested.cause
        else:
            rows = vectors[domain][:, list(tested.items)]
            found[domain] = verification(tested.trials, rows, centre=centre, metric=metric)
    return Scored(found, causes, labels)
