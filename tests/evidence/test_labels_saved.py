"""How many labels were saved: laws of the learning curve."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.evidence.labels_saved import NEARLY, labels_saved

LABELS = (3.0, 15.0, 30.0, 60.0, 240.0)
SHOTS = (1, 5, 10, 20, "all")
curves = st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), min_size=5, max_size=5)


def rows_of(curve, *, layer=0, head="ridge", metric="balanced_accuracy", domain="in_domain"):
    return [
        {"layer": layer, "head": head, "metric": metric, "domain": domain, "shots": shots, "score": score}
        | {"labels": None if score is None else labels}
        for shots, labels, score in zip(SHOTS, LABELS, curve, strict=True)
    ]


def saved(rows):
    return labels_saved(rows, metric="balanced_accuracy")


@hypothesis.given(curve=curves)
def test_the_fewest_labels_that_reach_the_target_are_named_or_a_cause(curve):
    (found,) = saved(rows_of(curve))
    known = [(labels, score) for labels, score in zip(LABELS, curve, strict=True) if score is not None]
    if len(known) < 2:
        assert found["status"] == "unknown"
        assert found["cause"]
        assert {found[name] for name in ("full_score", "target", "shots", "labels", "labels_full")} == {None}
        return
    assert (found["labels_full"], found["full_score"]) == known[-1]
    assert found["target"] == NEARLY * known[-1][1]
    assert dict(known)[found["labels"]] >= found["target"]
    assert all(score < found["target"] for labels, score in known if labels < found["labels"])
    assert SHOTS[LABELS.index(found["labels"])] == found["shots"]
    assert (found["status"], found["cause"]) == ("ok", None)


@hypothesis.given(curve=curves, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(curve, seed):
    rows = rows_of(curve)
    seed.shuffle(rows)
    assert saved(rows) == saved(rows_of(curve))


@hypothesis.given(curve=st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5), factor=st.sampled_from([0.5, 0.25]))
def test_a_curve_of_half_the_height_saves_as_many(curve, factor):
    (one,), (other,) = saved(rows_of(curve)), saved(rows_of([factor * score for score in curve]))
    assert (one["shots"], one["labels"]) == (other["shots"], other["labels"])


@pytest.mark.parametrize(
    ("curve", "shots"),
    [
        ([0.9, 0.9, 0.9, 0.9, 0.9], 1),
        ([0.2, 0.5, 0.7, 0.86, 0.9], 20),
        ([0.2, 0.5, 0.7, 0.8, 0.9], "all"),
        ([0.2, 0.95, 0.7, 0.8, 0.9], 5),  # more than with all labels: it reached the target
        ([None, 0.9, None, None, 0.9], 5),
        ([0.1, 0.9, 0.9, None, None], 5),  # the most labels tried count as all
    ],
)
def test_known_curves(curve, shots):
    (found,) = saved(rows_of(curve))
    assert found["shots"] == shots


def test_every_layer_and_head_has_a_line_of_its_own_from_in_domain_rows_of_the_metric_only():
    ends = [0.9, 0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1, 0.9]
    rows = rows_of(ends[0]) + rows_of(ends[1], layer="weighted_sum") + rows_of(ends[1], head="centroid")
    rows += rows_of(ends[1], metric="macro_f1", layer=5) + rows_of(ends[1], domain="drop", layer=6)
    assert [(each["layer"], each["head"], each["shots"]) for each in saved(rows)] == [
        (0, "ridge", 1), ("weighted_sum", "ridge", "all"), (0, "centroid", "all"),
    ]  # fmt: skip
    assert labels_saved([], metric="balanced_accuracy") == []
