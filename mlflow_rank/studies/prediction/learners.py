"""Two standard regressions from scikit-learn, each with its one setting chosen inside the training runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mlflow_rank.studies.prediction.rows import Floats, Integers, Names

Model = Literal["ridge", "boosting"]
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)  # of ridge, on standardised inputs: nearly free to nearly flat
TREES = (5, 10, 25, 50)  # of which the most is half of scikit-learn's default, at twice its rate
_RATE = 0.2
SEGMENTS = 3  # of the curve over log step: with cubic pieces six numbers, enough for a fall, a trough and a rise
_DEGREE = 3
_CONSTANT = 1e-12  # standard deviation of what only rounding moves


class Predictor(Protocol):
    """What was learnt."""

    def predict(self, inputs: Floats) -> Floats:
        """Return a score per row."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model sees, rows × columns: layer first; then log step where `has_step`; then numbers."""

    values: Floats
    has_step: bool

    def of(self, rows: Integers) -> Floats:
        """Return the values of some rows."""
        return np.asarray(self.values[rows], dtype=np.float64)


Learner = Callable[[Inputs, Floats, Names, Integers], Predictor]


@dataclass(frozen=True, slots=True)
class Expansion:
    """Turns inputs into what a linear model needs: a level for each layer, a curve over log step, slopes per layer.

    Every number has one slope for all layers and one of each layer's own; ridge decides how far layers may differ.
    `steps` holds the ends of log step over all rows, which is known without any score; None where step is no input.
    """

    layers: tuple[int, ...]
    steps: tuple[float, float] | None

    def __call__(self, inputs: Floats) -> Floats:
        """Return rows × features."""
        at_layer = (inputs[:, :1] == np.array(self.layers, dtype=np.float64)).astype(np.float64)
        numbers = inputs[:, 1:]
        if self.steps is not None:
            numbers = np.hstack([_curve(inputs[:, 1], self.steps), inputs[:, 2:]])
        each = (at_layer[:, :, None] * numbers[:, None, :]).reshape(len(inputs), -1)
        return np.hstack([at_layer, numbers, each])


def learner(model: Model, seed: int) -> Learner:
    """Return how a model learns: from all inputs, all scores, the run of each row, and the rows it may look at.

    `ridge` is the default: with a few dozen checkpoints a straight line per layer on logarithms is what the data can
    hold, and it predicts a little beyond what it saw. `boosting` (trees) finds bends and interactions, needs more rows,
    and stays within the scores that it saw. Both choose their setting by leaving out one training run after another.
    """
    if model == "ridge":
        return _ridge

    def boosting(inputs: Inputs, score: Floats, run: Names, train: Integers) -> Predictor:
        return _boosting(inputs, score, run, train, seed=seed)

    return boosting


@dataclass(frozen=True, slots=True)
class _Line:
    """A ridge regression on standardised features of what is given to it."""

    expansion: Expansion
    mean: Floats
    scale: Floats
    ridge: Predictor

    def predict(self, inputs: Floats) -> Floats:
        return self.ridge.predict((self.expansion(inputs) - self.mean) / self.scale)


def _ridge(inputs: Inputs, score: Floats, run: Names, train: Integers) -> Predictor:
    from sklearn.linear_model import Ridge

    log_step = inputs.values[:, 1] if inputs.has_step else None
    expansion = Expansion(
        layers=tuple(int(layer) for layer in np.unique(inputs.values[:, 0])),
        steps=None if log_step is None else (float(log_step.min()), float(log_step.max())),
    )
    features, errors = expansion(inputs.values), np.zeros(len(STRENGTHS))
    for others, left_out in _without_each_run(run, train):
        guessed = _all_strengths(features[others], score[others], features[left_out])
        errors += ((guessed - score[left_out, None]) ** 2).sum(axis=0)
    mean, scale = _standard(features[train])
    ridge = Ridge(STRENGTHS[int(errors.argmin())], solver="cholesky")
    return _Line(expansion, mean, scale, ridge.fit((features[train] - mean) / scale, score[train]))


def _standard(features: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature, 1 for one that is the same everywhere."""
    spread = features.std(axis=0)
    return features.mean(axis=0), np.where(spread > _CONSTANT, spread, 1.0)


def _all_strengths(features: Floats, score: Floats, of: Floats) -> Floats:
    """Return what ridge of every strength predicts, rows × strengths, for the price of one: by one eigensystem."""
    mean, scale = _standard(features)
    standard, centre = (features - mean) / scale, score.mean()
    values, vectors = np.linalg.eigh(standard.T @ standard)
    turned = vectors.T @ (standard.T @ (score - centre))
    slopes = vectors @ (turned[:, None] / (np.maximum(values, 0.0)[:, None] + np.array(STRENGTHS)))
    return np.asarray(centre + ((of - mean) / scale) @ slopes, dtype=np.float64)


def _boosting(inputs: Inputs, score: Floats, run: Names, train: Integers, *, seed: int) -> Predictor:
    from sklearn.ensemble import GradientBoostingRegressor

    def fitted(rows: Integers, trees: int) -> GradientBoostingRegressor:
        trees_of = GradientBoostingRegressor(n_estimators=trees, learning_rate=_RATE, random_state=seed)
        return trees_of.fit(inputs.of(rows), score[rows])

    errors = np.zeros(len(TREES))
    for others, left_out in _without_each_run(run, train):
        stages = list(fitted(others, max(TREES)).staged_predict(inputs.of(left_out)))
        errors += [float(((stages[trees - 1] - score[left_out]) ** 2).sum()) for trees in TREES]
    trained: Predictor = fitted(train, TREES[int(errors.argmin())])
    return trained


def _without_each_run(run: Names, train: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Yield the training rows without a run, and those of that run, for every training run."""
    for name in np.unique(run[train]):
        of_it = run[train] == name
        yield train[~of_it], train[of_it]


def _curve(log_step: Floats, ends: tuple[float, float]) -> Floats:
    from scipy.interpolate import BSpline

    low, high = ends
    if high <= low:
        return np.zeros((len(log_step), 1))
    inner = np.linspace(low, high, SEGMENTS + 1)
    knots = np.concatenate([[low] * _DEGREE, inner, [high] * _DEGREE])
    basis = BSpline.design_matrix(np.clip(log_step, low, high), knots, _DEGREE)
    return np.asarray(basis.toarray(), dtype=np.float64)
