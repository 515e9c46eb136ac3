from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_score import MeasuredScore, UnknownScore, read_tasks
from mlflow_rank.registry.runs.pilot_metrics import metric_groups, pilot_metrics_of

Make = Callable[..., dict[str, Any]]


def test_the_primary_metric_at_the_most_labels_is_logged_with_its_bounds(make_pilot: Make) -> None:
    document = make_pilot()
    (row,) = [
        row
        for row in document["rows"]
        if (row["layer"], row["domain"], row["head"], row["shots"], row["metric"])
        == (3, "in_domain", "ridge", "all", "balanced_accuracy")
    ]
    metrics = pilot_metrics_of(document)
    names = ("pilot_keyword/layer_03", "pilot_keyword/layer_03_low", "pilot_keyword/layer_03_high")
    assert [metrics[name] for name in names] == [row["score"], row["low"], row["high"]]
    assert metrics["pilot_keyword_random/layer_03"] == row["random"]
    assert metrics["pilot_keyword_ood/layer_03"] < metrics["pilot_keyword/layer_03"]
    assert {"pilot_keyword_macro_f1/layer_03", "pilot_keyword/weighted_sum", "pilot_keyword/pilot_best"} <= set(metrics)


def test_unknown_numbers_and_what_was_not_measured_have_no_metric(make_pilot: Make) -> None:
    metrics = pilot_metrics_of(make_pilot(control=False, outside=False, unknown_layers=(2,)))
    assert not any("layer_02" in name or "_ood" in name or "_random" in name for name in metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    assert not any(name.endswith("_low") for name in pilot_metrics_of(make_pilot(interval=False)))


def test_nan_and_infinity_are_unknown_not_numbers(make_pilot: Make) -> None:
    document = make_pilot()
    for row, wrong in zip(document["rows"], (math.nan, math.inf), strict=False):
        row["score"] = wrong
    for row in document["rows"]:
        row["low"] = -math.inf
        row["random"] = math.nan
    metrics = pilot_metrics_of(document)
    assert all(math.isfinite(value) for value in metrics.values())
    assert not any(name.endswith("_low") or "_random" in name for name in metrics)


def test_a_field_with_signs_mlflow_refuses_gets_a_name_it_takes_and_never_anothers(make_pilot: Make) -> None:
    tasks = read_tasks(make_pilot(tasks=("label:alarm [kind]/a", "label:alarm {kind}:a", "label:ALARM  kind  a")))
    groups = metric_groups(tasks)
    assert groups[:2] == ("pilot_label_alarm__kind__a", "pilot_label_alarm__kind__a_2")
    assert groups[2] == "pilot_label_ALARM__kind__a_3"


def test_where_no_layer_had_all_labels_the_largest_number_of_shots_counts(make_pilot: Make) -> None:
    document = make_pilot()
    document["rows"] = [row for row in document["rows"] if row["shots"] != "all"]
    (task,) = read_tasks(document)
    assert {score.labels for score in task.scores().values() if isinstance(score, MeasuredScore)} == {240.0}
    assert task.shots == (1, 5, 10, 20)


def test_layers_ascend_and_the_summaries_come_last(make_pilot: Make) -> None:
    document = make_pilot(layers=12, unknown_layers=(4,))
    document["rows"].reverse()
    scores = read_tasks(document)[0].scores()
    assert [*scores] == [*range(12), "weighted_sum", "pilot_best"]
    assert isinstance(scores[4], UnknownScore)


def test_a_metric_of_one_other_head_is_found(make_pilot: Make) -> None:
    document = make_pilot(tasks=("speaker",))
    document["rows"] = [row | {"head": "cosine"} if row["metric"] == "eer_cosine" else row for row in document["rows"]]
    document["rows"] = list(
        {
            (row["metric"], row["domain"], row["head"], row["shots"], row["layer"]): row for row in document["rows"]
        }.values()
    )
    assert "pilot_speaker_eer_cosine/layer_01" in pilot_metrics_of(document)


def test_layer_names_sort_where_there_are_over_a_hundred(make_pilot: Make) -> None:
    assert "pilot_keyword/layer_007" in pilot_metrics_of(make_pilot(layers=101, heads=("ridge",), outside=False))


def test_what_is_no_pilot_or_claims_a_number_twice_is_refused(make_pilot: Make) -> None:
    with pytest.raises(UsageError, match="this is not a pilot"):
        pilot_metrics_of({"kind": "RankMeasurement", "ranks": []})
    document = make_pilot()
    with pytest.raises(UsageError, match="claim the same number"):
        pilot_metrics_of(document | {"rows": [*document["rows"], document["rows"][-1], document["rows"][4]]} | {
            "rows": [*document["rows"], *document["rows"]]
        })  # fmt: skip
    with pytest.raises(UsageError, match="do not fit its rows"):
        pilot_metrics_of(document | {"tasks": []})
