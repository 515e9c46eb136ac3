from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import MeasuredRank, UnknownRank, read_ranks, read_row

Make = Callable[..., dict[str, Any]]


def test_the_corrected_number_is_the_one_shown(make_measurement: Make) -> None:
    shown = read_ranks(make_measurement(), level="frame", centred=True)
    rows = [row for row in make_measurement()["ranks"] if row["metric"] == "effective_rank" and row["centred"]]
    assert [rank.value for rank in shown if isinstance(rank, MeasuredRank)] == [
        row["corrected"] for row in rows if row["level"] == "frame"
    ]
    assert [rank.layer for rank in shown] == [0, 1, 2]


def test_the_plug_in_number_is_shown_where_nothing_corrects_it(make_measurement: Make) -> None:
    first = read_ranks(make_measurement(), level="utterance", centred=True)[0]
    assert isinstance(first, MeasuredRank)
    assert (first.corrected, first.status, first.value) == (False, "uncorrected", pytest.approx(16 * 0.3))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "12", True])
def test_what_is_no_finite_number_is_unknown_and_never_a_number(make_measurement: Make, value: object) -> None:
    row = make_measurement()["ranks"][0] | {"value": value, "corrected": None}
    assert read_row(row) == UnknownRank(0, "hidden_states.0", 900, 16, "the measurement gives no number and no cause")


def test_an_unknown_row_says_its_own_cause_whatever_numbers_it_carries(make_measurement: Make) -> None:
    row = make_measurement()["ranks"][0] | {"status": "unknown", "cause": "too little audio"}
    assert read_row(row) == UnknownRank(0, "hidden_states.0", 900, 16, "too little audio")


def test_one_bound_without_the_other_is_no_interval(make_measurement: Make) -> None:
    read = read_row(make_measurement()["ranks"][0] | {"high": None})
    assert isinstance(read, MeasuredRank)
    assert read.interval is None


def test_two_rows_that_claim_one_number_are_refused(make_measurement: Make) -> None:
    document = make_measurement()
    document["ranks"].append(document["ranks"][0])
    with pytest.raises(UsageError) as raised:
        read_ranks(document, level="frame", centred=True)
    assert raised.value.got == "two rows for layer 0, effective_rank, frame, centred=True"


@pytest.mark.parametrize(
    "document", [{}, {"kind": "PilotScore", "ranks": []}, {"kind": "RankMeasurement", "ranks": "x"}]
)
def test_a_document_of_another_kind_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="this is not a measurement"):
        read_ranks(document, level="frame", centred=True)
