"""Every run predicted by models that saw only other runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mlflow_rank.studies.prediction.learners import Inputs, Learner, Predictor
from mlflow_rank.studies.prediction.rivals import CANDIDATE, CONTROL, Seen, curve_of_others, mean_of_others
from mlflow_rank.studies.prediction.rows import Floats, Integers, Rows


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions of all rows by model, and of each run the model of ranks and step that did not see it.

    The control has several predictions, one for each way of handing ranks on. All others have one.
    """

    predicted: Mapping[str, tuple[Floats, ...]]
    candidates: Mapping[str, Predictor]

    def by(self, model: str) -> Floats:
        """Return the (first) predictions of a model."""
        return self.predicted[model][0]


def left_out_in_turn(rows: Rows) -> Iterator[tuple[str, Integers, Integers]]:
    """Yield every run with the rows of the others and its own."""
    for name in rows.runs:
        yield name, np.flatnonzero(rows.run != name), np.flatnonzero(rows.run == name)


def held_out(rows: Rows, seen: Seen, learn: Learner) -> HeldOut:
    """Return what each model predicts of the runs that it did not see."""
    sources: dict[str, tuple[Inputs, ...]] = {name: (inputs,) for name, inputs in seen.learnt.items()}
    sources[CONTROL] = seen.control
    predicted = {name: tuple(np.empty(len(rows.score)) for _ in inputs) for name, inputs in sources.items()}
    plain = {"mean": np.empty(len(rows.score)), "curve": np.empty(len(rows.score))}
    candidates: dict[str, Predictor] = {}
    for run, train, test in left_out_in_turn(rows):
        plain["mean"][test] = mean_of_others(rows, train, test)
        plain["curve"][test] = curve_of_others(rows, train, test)
        for name, several in sources.items():
            for inputs, into in zip(several, predicted[name], strict=True):
                trained = learn(inputs, rows.score, rows.run, train)
                into[test] = trained.predict(inputs.of(test))
                if name == CANDIDATE:
                    candidates[run] = trained
    return HeldOut(predicted | {name: (values,) for name, values in plain.items()}, candidates)


def two_left_out(rows: Rows, inputs: Inputs, learn: Learner) -> Iterator[tuple[str, str, Integers, Floats]]:
    """Yield of every two runs their names, their rows, and what a model predicts that saw neither.

    Where only one is left out, the other is among what its model learnt, which turns the order of the two around: a
    run that is better than the rest leaves a lower mean behind. Nothing is yielded below four runs.
    """
    names = rows.runs
    if len(names) < 4:  # two must be left, as the setting is chosen by leaving out one of them
        return
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            out = np.isin(rows.run, [one, other])
            trained = learn(inputs, rows.score, rows.run, np.flatnonzero(~out))
            test = np.flatnonzero(out)
            yield one, other, test, trained.predict(inputs.of(test))
