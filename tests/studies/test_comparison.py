"""Numbers stand side by side only where they mean the same."""

from __future__ import annotations

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.comparison import Pair, ensure_comparable, flat_numbers, pairs_of
from mlflow_rank.studies.conventions import Conventions


def test_every_setting_that_differs_is_named_with_both_values() -> None:
    left = Conventions({"rank.dtype": "float32", "rank.blocks": 10, "rank.preset": "robust"})
    right = Conventions({"rank.dtype": "bfloat16", "rank.preset": "robust", "rank.channel": 1})

    with pytest.raises(UsageError) as refused:
        ensure_comparable(("ours", left), ("theirs", right))

    assert str(refused.value.what).endswith("rank.blocks, rank.channel, rank.dtype")
    assert "rank.dtype: 'float32' and 'bfloat16'" in str(refused.value.got)
    assert "rank.blocks: 10 and '(not set)'" in str(refused.value.got)


def test_only_numbers_that_both_have_are_paired() -> None:
    left = {("layer 0", "rank"): (3.0, (2.0, 4.0)), ("layer 1", "rank"): (5.0, None)}
    right = {("layer 0", "rank"): (4.5, (4.0, 5.0)), ("layer 2", "rank"): (5.0, None)}

    (pair,) = pairs_of(left, right)

    assert (pair.difference, pair.overlap) == (1.5, True)


@pytest.mark.parametrize(
    ("left", "right", "overlap"),
    [((1.0, 2.0), (2.0, 3.0), True), ((1.0, 2.0), (2.1, 3.0), False), ((2.1, 3.0), (1.0, 2.0), False)],
    ids=["touching", "below", "above"],
)
def test_intervals_overlap_where_they_share_a_value(
    left: tuple[float, float], right: tuple[float, float], overlap: bool
) -> None:
    assert Pair("layer 0", "rank", 1.5, 2.5, left, right).overlap is overlap
    assert Pair("layer 0", "rank", 1.5, 2.5, left, None).overlap is None


def test_entries_of_lists_are_found_by_what_they_are_about_in_any_order() -> None:
    rows = [{"layer": 1, "task": "keyword", "rho": 0.5}, {"layer": 2, "task": "keyword", "rho": 0.7}]

    assert flat_numbers({"rows": rows}) == flat_numbers({"rows": rows[::-1]})


def test_entries_that_nothing_tells_apart_are_found_by_number() -> None:
    assert flat_numbers([{"layer": 1, "n": 3}, {"layer": 1, "n": 4}]) == {"0.n": 3.0, "1.n": 4.0}
