from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.registry.runs.metric_names import LOGGED, metrics_of
from mlflow_rank.spectra.estimate import estimate
from mlflow_rank.spectra.level import LEVELS
from mlflow_rank.spectra.metrics import METRICS
from mlflow_rank.spectra.moments import Moments

Make = Callable[..., dict[str, Any]]
_MLFLOW_NAME = re.compile(r"[\w\-. :/]{1,250}")  # mlflow.utils.validation, read in 3.17
_NUMBERS = st.none() | st.floats() | st.integers(-5, 5)


def test_the_headline_rank_has_its_bounds_beside_it(make_measurement: Make) -> None:
    document = make_measurement()
    first = document["ranks"][1]
    metrics = metrics_of(document)
    assert metrics["rank_frame/layer_01"] == first["corrected"]
    assert (metrics["rank_frame/layer_01_low"], metrics["rank_frame/layer_01_high"]) == (first["low"], first["high"])


def test_every_kind_of_number_has_a_name_of_its_own(make_measurement: Make) -> None:
    names = {name.partition("/")[0] for name in metrics_of(make_measurement(), make_measurement())}
    assert names == {
        "rank_frame", "rank_utterance", "rank_frame_uncentred", "rankme_frame", "rankme_t", "total_variance_frame",
        "rank_frame_random", "rank_utterance_random",
    }  # fmt: skip
    assert len({logged.what for logged in LOGGED}) == len(LOGGED)


def test_a_layer_that_is_unknown_is_absent(make_measurement: Make) -> None:
    metrics = metrics_of(make_measurement(unknown=(1,)))
    assert "rank_frame/layer_00" in metrics
    assert not any("layer_01" in name for name in metrics)


def test_layers_sort_by_name_as_they_do_by_number(make_measurement: Make) -> None:
    metrics = metrics_of(make_measurement(layers=102))
    names = [name for name in metrics if re.fullmatch(r"rank_frame/layer_\d+", name)]
    assert names == sorted(names)
    assert names[-1] == "rank_frame/layer_101"


def test_every_name_stands_for_rows_that_are_measured() -> None:
    for logged in LOGGED:
        metric = METRICS[logged.metric]
        assert logged.centred in metric.centrings
        assert logged.level in metric.levels


def test_rows_of_the_estimator_are_understood_as_they_are() -> None:
    noise, spread = np.random.default_rng(0), 0.7 ** np.arange(6)  # a decaying spectrum, so no interval ends at D
    blocks = [Moments.of(noise.normal(size=(60, 6)) * spread) for _ in range(8)]
    rows = [
        asdict(row) | {"layer": 0, "name": "hidden_states.0", "n_utterances": 8, "n_speakers": 8}
        for level in LEVELS
        for row in estimate(blocks, level=level)
    ]
    metrics = metrics_of({"kind": "RankMeasurement", "ranks": rows})
    assert {name.partition("/")[0] for name in metrics} == {logged.what for logged in LOGGED}
    assert 1 < metrics["rank_frame/layer_00_low"] < metrics["rank_frame/layer_00"] < metrics["rank_frame/layer_00_high"]


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS), min_size=21, max_size=21))
def test_whatever_a_measurement_holds_only_finite_numbers_under_valid_names_are_logged(
    make_measurement: Make, numbers: list[tuple[float | None, ...]]
) -> None:
    document = make_measurement()
    for row, (value, corrected, low, high) in zip(document["ranks"], numbers, strict=True):
        row.update(value=value, corrected=corrected, low=low, high=high)
    metrics = metrics_of(document, document)
    assert all(math.isfinite(value) for value in metrics.values())
    assert all(_MLFLOW_NAME.fullmatch(name) for name in metrics)
