"""Every head on every layer, trained on every draw, and what it calls the items of the test sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.design import Design, Draw, Shots
from mlflow_rank.probes.heads import FittedHead, Head
from mlflow_rank.probes.layer_weights import fit_weighted_sum

WEIGHTED_SUM: Literal["weighted_sum"] = "weighted_sum"
PILOT_BEST: Literal["pilot_best"] = "pilot_best"
LayerKey = int | Literal["weighted_sum", "pilot_best"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerFeatures:
    """One layer's vectors of the items of a design: `inside` (n, P), `outside` (m, P), in the order of the items."""

    inside: NDArray[np.floating]
    outside: NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What one head on one layer makes of the test sets, trained with R draws of so many shots.

    `inside` (R, n) and `outside` (R, m) are class codes of the design's `test` and `outside_test` items; `values`
    (R, n, C) are the decision values behind `inside`, `outside_values` (R, o, C) those of all outside items, also of
    unknown classes. `labels` is how many items were trained on (mean over draws). `chosen` says, for `pilot_best`,
    which layer each draw chose by its training items alone; for `weighted_sum` `weights` are the layers' mean weights.
    """

    layer: LayerKey
    head: str
    shots: Shots
    inside: NDArray[np.intp]
    outside: NDArray[np.intp]
    values: NDArray[np.float64]
    outside_values: NDArray[np.float64]
    labels: float
    chosen: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()


def predict(
    layers: Mapping[int, LayerFeatures],
    design: Design,
    heads: Mapping[str, Head],
    *,
    combined: bool = True,
    after: Callable[[], None] = lambda: None,
) -> list[Predictions]:
    """Return the predictions of every head, number of shots and layer.

    Where there are several layers, two rows more: `pilot_best`, each draw with the layer that predicts its own training
    items best when their groups are left out (nested: the test set has no say); and, for the first head,
    `weighted_sum`, SUPERB's convex combination of layers, where all are equally wide.

    Args:
        layers: vectors by layer position.
        design: items, test sets and draws.
        heads: by name.
        combined: whether the two rows more are wanted.
        after: called after each head, shots and draw.

    Raises:
        UsageError: vectors and items differ in number.
    """
    for position, features in layers.items():
        outside = len(design.outside) if design.outside else 0
        if (len(features.inside), len(features.outside)) != (len(design.inside), outside):
            raise UsageError(
                f"vectors and labelled items differ in number at layer {position}",
                got=f"{len(features.inside)} and {len(features.outside)} vectors",
                expected=f"{len(design.inside)} and {outside}",
            )
    labels, (groups, _) = design.class_codes(design.inside), _codes(design.units)
    work = _Work(layers, design, labels, groups)
    found = []
    for number, (name, head) in enumerate(heads.items()):
        for shots in design.shots:
            draws = design.draws_of(shots)
            if draws:
                extra = combined and len(layers) > 1
                found += work.of_shots(name, head, shots, draws, extra, extra and number == 0, after)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    layers: Mapping[int, LayerFeatures]
    design: Design
    labels: NDArray[np.intp]
    groups: NDArray[np.intp]

    def of_shots(
        self,
        name: str,
        head: Head,
        shots: Shots,
        draws: Sequence[Draw],
        choose: bool,
        weigh: bool,
        after: Callable[[], None],
    ) -> list[Predictions]:
        called: dict[LayerKey, list[_Called]] = {}
        chosen, weights = [], []
        for draw in draws:
            items = np.array(draw.items, dtype=np.intp)
            fitted = {position: self._fit(head, position, items) for position in self.layers}
            for position, one in fitted.items():
                called.setdefault(position, []).append(self._call(one, self.layers[position]))
            if choose:
                best = max(fitted, key=lambda position: (fitted[position].held_out or 0.0, -position))
                chosen.append(best)
                called.setdefault(PILOT_BEST, []).append(called[best][-1])
            if weigh:
                summed = self._weigh(head, items)
                if summed is not None:
                    weights.append(summed[1])
                    called.setdefault(WEIGHTED_SUM, []).append(summed[0])
            after()
        return [
            Predictions(
                layer=layer,
                head=name,
                shots=shots,
                inside=np.stack([one.inside.argmax(axis=1) for one in calls]),
                outside=np.stack([one.outside.argmax(axis=1) for one in calls])[:, list(self.design.outside_test)],
                values=np.stack([one.inside for one in calls]),
                outside_values=np.stack([one.outside for one in calls]),
                labels=float(np.mean([len(draw.items) for draw in draws])),
                chosen=tuple(chosen) if layer == PILOT_BEST else (),
                weights=tuple(map(float, np.mean(weights, axis=0))) if layer == WEIGHTED_SUM else (),
            )
            for layer, calls in called.items()
        ]

    def _fit(self, head: Head, position: int, items: NDArray[np.intp]) -> FittedHead:
        features = self.layers[position].inside[items]
        return head.fit(features, self.labels[items], self.groups[items], classes=len(self.design.classes))

    def _call(self, fitted: FittedHead, features: LayerFeatures) -> _Called:
        inside = fitted.decide(features.inside[list(self.design.test)])
        return _Called(inside, fitted.decide(features.outside) if len(features.outside) else inside[:0])

    def _weigh(self, head: Head, items: NDArray[np.intp]) -> tuple[_Called, NDArray[np.float64]] | None:
        if len({features.inside.shape[1] for features in self.layers.values()}) > 1:
            return None
        fitted = fit_weighted_sum(
            head,
            [features.inside[items] for features in self.layers.values()],
            self.labels[items],
            self.groups[items],
            classes=len(self.design.classes),
        )
        test = list(self.design.test)
        inside = fitted.decide([features.inside[test] for features in self.layers.values()])
        outside = inside[:0]
        if self.design.outside is not None and len(self.design.outside):
            outside = fitted.decide([features.outside for features in self.layers.values()])
        return _Called(inside, outside), fitted.layer_weights


@dataclass(frozen=True, slots=True, eq=False)
class _Called:
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]


def _codes(names: Sequence[str]) -> tuple[NDArray[np.intp], list[str]]:
    unique, codes = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    return codes.astype(np.intp), list(map(str, unique))
