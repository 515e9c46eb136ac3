"""From what CTC heads spelled to phone error rates of every layer, and of the layer that each head would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_rank.evidence.pilot_scores import DOMAINS, Cell, Domain, Scored, Tested
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.edit_errors import sequence_tallies
from mlflow_rank.probes.predictions import PILOT_BEST, LayerKey, Predictions
from mlflow_rank.probes.scores import replicates

CTC = "ctc"
ALL: Shots = "all"
METRIC = "per"


@dataclass(frozen=True, slots=True)
class Spelled:
    """What the R heads of one layer spelled of the test utterances of each domain, R lists of sequences of codes.

    `held_out` (R) are their error rates on training groups that they did not learn from, None where there were none.
    """

    spelled: Mapping[Domain, Sequence[Sequence[Sequence[int]]]]
    held_out: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class SequenceTest:
    """The test utterances of each domain: what is spoken (−1: a phone nobody learned) and by whom."""

    references: Mapping[Domain, Sequence[Sequence[int]]]
    groups: Mapping[Domain, Sequence[str]]
    classes: tuple[str, ...]
    outside_cause: str

    @property
    def tested(self) -> Tested:
        """The same, as tests of single items are known: it has none."""
        return Tested({}, {}, self.classes, self.outside_cause)


def score_spelled(
    layers: Mapping[int, Spelled], test: SequenceTest, *, labels: int
) -> tuple[list[Predictions], dict[Cell, Scored]]:
    """Return which rows there are, and the phone error rate of each.

    Args:
        layers: by index.
        test: the test utterances.
        labels: how many sequences were learned from.
    """
    rows: list[tuple[LayerKey, Spelled]] = [*layers.items()]
    best = _best(layers)
    if best:
        chosen = {
            domain: [layers[layer].spelled[domain][draw] for draw, layer in enumerate(best)]
            for domain in test.references
        }
        rows.append((PILOT_BEST, Spelled(chosen, [layers[layer].held_out[draw] for draw, layer in enumerate(best)])))
    scored = {Cell(layer, CTC, ALL, METRIC): _scored(each, test, float(labels)) for layer, each in rows}
    predicted = [
        _row(layer, len(each.held_out), float(labels), best if layer == PILOT_BEST else ()) for layer, each in rows
    ]
    return predicted, scored


def _best(layers: Mapping[int, Spelled]) -> tuple[int, ...]:
    """Return for each head the layer with the fewest held-out errors, the lowest of equals; nothing where unknown."""
    held_out = {layer: [rate for rate in each.held_out if rate is not None] for layer, each in layers.items()}
    if len(layers) < 2 or any(len(held_out[layer]) < len(each.held_out) for layer, each in layers.items()):
        return ()
    return tuple(
        min(held_out, key=lambda layer: (held_out[layer][draw], layer))
        for draw in range(len(next(iter(held_out.values()))))
    )


def _scored(spelled: Spelled, test: SequenceTest, labels: float) -> Scored:
    found = {
        domain: replicates(METRIC, sequence_tallies(spoken, spelled.spelled[domain], test.groups[domain]))
        for domain, spoken in test.references.items()
        if len(spoken)
    }
    return Scored(found, {domain: test.outside_cause for domain in DOMAINS if domain not in found}, labels)


def _row(layer: LayerKey, draws: int, labels: float, chosen: tuple[int, ...]) -> Predictions:
    nothing = np.empty((draws, 0), dtype=np.intp)
    return Predictions(
        layer=layer,
        head=CTC,
        shots=ALL,
        inside=nothing,
        outside=nothing,
        values=np.empty((draws, 0, 0)),
        outside_values=np.empty((draws, 0, 0)),
        labels=labels,
        chosen=chosen,
    )
