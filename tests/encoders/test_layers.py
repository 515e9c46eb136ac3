from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.encoders.layers import select_layers
from mlflow_rank.errors import UsageError

COUNTS = st.integers(1, 50)


@given(COUNTS)
def test_all_is_every_layer_and_last_is_the_deepest(count):
    assert select_layers("all", count) == select_layers(None, count) == tuple(range(count))
    assert select_layers("last", count) == (count - 1,)


@given(st.data())
def test_a_list_of_indices_selects_exactly_those_ascending(data):
    count = data.draw(COUNTS)
    indices = data.draw(st.lists(st.integers(0, count - 1), min_size=1))
    assert select_layers(",".join(map(str, indices)), count) == tuple(sorted(set(indices)))


@given(st.data())
def test_a_range_includes_both_ends(data):
    count = data.draw(COUNTS)
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first, count - 1))
    assert select_layers(f" {first} - {last} ", count) == tuple(range(first, last + 1))


@given(COUNTS, st.integers(0, 100))
def test_a_layer_that_does_not_exist_is_refused_with_the_range_that_does(count, beyond):
    with pytest.raises(UsageError) as refusal:
        select_layers(f"0,{count + beyond}", count)
    assert f"layer {count + beyond} does not exist" in str(refusal.value)
    assert f"0 to {count - 1}" in str(refusal.value)


@pytest.mark.parametrize("text", ["-1", "1,,2", "one", "1-2-3", "1.5", ","])
def test_what_is_no_list_of_layers_is_refused(text):
    with pytest.raises(UsageError, match="cannot read"):
        select_layers(text, 13)


def test_a_backward_range_is_refused_with_the_forward_one():
    with pytest.raises(UsageError, match="3-6"):
        select_layers("6-3", 13)
