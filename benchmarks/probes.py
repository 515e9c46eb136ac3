"""Tuned leave-one-group-out ridge of a layer against what scikit-learn takes, on simulated layers."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.interleaved import interleaved, whole
from benchmarks.table import Limit, Row
from mlflow_rank.probes.penalties import PENALTIES
from mlflow_rank.probes.ridge import Ridge, RidgePath
from mlflow_rank.probes.training_items import Standardisation, TrainingItems

CLASSES = 30
SPEAKERS = 40
LAYERS = 13  # HuBERT base, with what enters its first block
SIGNALS = ((0.3, 0.5), (0.2, 0.5), (0.15, 0.75))  # spread of classes, and of speakers, in units of the noise


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Features of training and test items, whose speakers differ."""

    features: NDArray[np.float32]
    labels: NDArray[np.intp]
    groups: NDArray[np.intp]
    test: NDArray[np.float32]
    truth: NDArray[np.intp]


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return time ratios and accuracy differences on layers of three difficulties, and the error against refits."""
    count, dim = (300, 48) if quick else (2_000, 768)
    cross_validated, untuned, worse = [], [], []
    for number, (signal, speaker) in enumerate(SIGNALS[: 1 if quick else None]):
        layer = _layer(count, dim, signal=signal, speaker=speaker, seed=number)
        times = interleaved(
            {"ours": whole(lambda layer=layer: _ours(layer)), "untuned": whole(lambda layer=layer: _untuned(layer))},
            rounds=3,
        )
        untuned += times.ratios("ours", "untuned")
        start = time.perf_counter()
        theirs = _cross_validated(layer)
        taken = time.perf_counter() - start
        cross_validated += [taken / seconds for seconds in times.seconds["ours"]]
        worse.append(100 * (_balanced(theirs.predict(layer.test), layer) - _balanced(_ours(layer), layer)))
    size = (
        f"{count} × {dim} float32, {CLASSES} classes, {SPEAKERS} speakers, {len(PENALTIES)} penalties each, one thread"
    )
    three = "three difficulties (the easiest is scikit-learn's best), its cross-validation timed once for each"
    return [
        Row(
            "tuned probe of a layer: against LogisticRegressionCV",
            tuple(cross_validated),
            "×",
            Limit("≥", 15),
            f"leave-one-speaker-out ridge against 5 group folds, standardised; {size}; {three}",
        ),
        Row(
            "tuned probe of a layer: time over one untuned logistic fit",
            tuple(untuned),
            "×",
            Limit("≤", 3),
            f"LogisticRegression with its defaults, standardised, balanced; {size}; three difficulties",
        ),
        Row(
            "tuned probe of a layer: points behind LogisticRegressionCV",
            tuple(worse),
            "points",
            Limit("≤", 2),
            f"balanced accuracy on {count} items of other speakers; negative: ahead. Classes are Gaussian "
            "with one covariance, which suits least squares: real layers may say otherwise",
            worst=True,
        ),
        Row(
            f"tuned probes of {LAYERS} layers",
            tuple(_seconds_of_all(count, dim) for _ in range(1 if quick else 2)),
            "s",
            None,
            size,
        ),
        Row(
            "left-out predictions against brute refits",
            tuple(_errors(*size) for size in ((200, 30), (60, 90))),
            "relative",
            Limit("≤", 1e-8),
            "largest difference over all items, classes and penalties; more items than dimensions, and fewer",
            worst=True,
        ),
    ]


def _layer(count: int, dim: int, *, signal: float, speaker: float, seed: int) -> Layer:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dim, dim)) / np.sqrt(np.arange(1, dim + 1))  # a falling spectrum, as encoders have
    classes = signal * rng.standard_normal((CLASSES, dim))
    voices = speaker * rng.standard_normal((2 * SPEAKERS, dim))

    def items(first: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
        labels = np.append(np.arange(CLASSES), rng.integers(0, CLASSES, count - CLASSES))
        groups = first + rng.integers(0, SPEAKERS, count)
        rows = classes[labels] + voices[groups] + rng.standard_normal((count, dim))
        return (rows @ mixing.T).astype(np.float32), labels, groups

    features, labels, groups = items(0)
    test, truth, _ = items(SPEAKERS)
    return Layer(features, labels, groups, test, truth)


def _ours(layer: Layer) -> NDArray[np.intp]:
    head = Ridge().fit(layer.features, layer.labels, layer.groups, classes=CLASSES)
    return head.decide(layer.test).argmax(axis=1)


def _untuned(layer: Layer) -> Any:
    from sklearn.linear_model import LogisticRegression

    return _quietly(LogisticRegression(class_weight="balanced"), layer).predict(layer.test)


def _cross_validated(layer: Layer) -> Any:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import GroupKFold

    folds = list(GroupKFold(5).split(layer.features, groups=layer.groups))
    model = LogisticRegressionCV(
        Cs=len(PENALTIES),  # from 1e-4 to 1e4, scikit-learn's own grid
        cv=folds,
        class_weight="balanced",
        scoring="balanced_accuracy",
    )
    return _quietly(model, layer)


def _quietly(model: Any, layer: Layer) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of changes to come, and that 100 iterations are few: more would take longer
        return make_pipeline(StandardScaler(), model).fit(layer.features, layer.labels)


def _balanced(predicted: NDArray[np.intp], layer: Layer) -> float:
    from sklearn.metrics import balanced_accuracy_score

    return float(balanced_accuracy_score(layer.truth, predicted))


def _seconds_of_all(count: int, dim: int) -> float:
    layer = _layer(count, dim, signal=0.2, speaker=0.5, seed=0)
    start = time.perf_counter()
    for _ in range(LAYERS):
        _ours(layer)
    return time.perf_counter() - start


def _errors(count: int, dim: int) -> float:
    """Return the largest difference between closed form and least squares refitted without each speaker."""
    layer = _layer(count, dim, signal=0.5, speaker=0.5, seed=0)
    items = TrainingItems.checked(layer.features, layer.labels, layer.groups, classes=CLASSES)
    path = RidgePath.of(items.features, items.one_hot, items.weights)
    scaled = Standardisation.of(items.features, items.weights)(items.features)
    worst = 0.0
    for batch, place, residuals in path.left_out(items.groups):
        for members, left_out in zip(batch, residuals, strict=True):
            kept = np.setdiff1d(np.arange(count), members)
            roots = np.sqrt(items.weights[kept])[:, None]
            rows = np.hstack([scaled[kept], np.ones((len(kept), 1))]) * roots
            padding = np.sqrt(path.penalties[place]) * np.eye(dim, dim + 1)
            targets = np.vstack([items.one_hot[kept] * roots, np.zeros((dim, CLASSES))])
            solution, *_ = np.linalg.lstsq(np.vstack([rows, padding]), targets, rcond=None)
            predicted = items.one_hot[members] - left_out / np.sqrt(items.weights[members])[:, None]
            difference = predicted - (scaled[members] @ solution[:-1] + solution[-1])
            worst = max(worst, float(np.abs(difference).max()))
    return worst
