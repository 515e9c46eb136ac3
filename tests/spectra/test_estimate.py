"""Each row says how far its number can be trusted, and why not where it cannot."""

import dataclasses
import json

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra import LEVELS, METRICS, Moments, PackedMoments, estimate, merge_all

RNG_SEED = 0


def blocks_of(n, dim=8, blocks=10, offset=1.0):
    rows = np.random.default_rng(RNG_SEED).normal(size=(n, dim)) * np.geomspace(1, 0.3, dim) + offset
    return [Moments.of(part) for part in np.array_split(rows, blocks)]


def one(rows, metric, centred=True):
    (row,) = (row for row in rows if row.metric == metric and row.centred == centred)
    return row


def test_enough_rows_give_every_number_and_no_cause():
    rows = estimate(blocks_of(800), level="frame")
    for row in rows:
        assert (row.status, row.cause, row.n, row.dim) == ("ok", None, 800, 8), row
        assert None not in dataclasses.astuple(dataclasses.replace(row, cause=""))
        assert row.low <= row.corrected <= row.high
        assert row.low <= row.high
        assert 10 <= row.n_effective <= 800


def test_rows_are_json_and_hold_no_nan():
    for blocks in (blocks_of(800), blocks_of(5, blocks=2), [Moments.of(np.ones((9, 2)))]):
        json.dumps([dataclasses.asdict(row) for row in estimate(blocks, level="utterance")], allow_nan=False)


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_reports_its_metrics_once_per_centring(level):
    keys = [(row.metric, row.centred) for row in estimate(blocks_of(80), level=level, intervals=False)]
    assert len(set(keys)) == len(keys)
    names = {name for name, _ in keys}
    assert ("rankme_t" in names) == (level == "utterance_sum") == ("rankme" not in names)
    assert names == {name for name, metric in METRICS.items() if level in metric.levels}
    assert {("effective_rank", True), ("effective_rank", False)} <= set(keys)
    assert ("rankme", True) not in keys


def test_fewer_rows_than_dimensions_are_unknown_and_say_how_many_more_are_needed():
    rows = estimate(blocks_of(6), level="utterance")
    rank = one(rows, "effective_rank")
    assert (rank.status, rank.value, rank.corrected, rank.se, rank.low) == ("unknown", None, None, None, None)
    assert "6 rows for 8 dimensions" in rank.cause
    assert "2 more" in rank.cause
    assert one(rows, "total_variance").status == "ok"


def test_few_rows_per_dimension_are_not_corrected_and_say_how_low_they_read():
    rank = one(estimate(blocks_of(16), level="utterance"), "effective_rank")
    assert (rank.status, rank.corrected) == ("uncorrected", None)
    assert "N/D = 2.0 is below 4" in rank.cause
    assert "92%" in rank.cause
    assert rank.low <= rank.value <= rank.high


def test_one_block_gives_a_value_without_an_interval():
    rows = estimate(blocks_of(800, blocks=1), level="frame")
    for row in rows:
        assert (row.status, row.se, row.low, row.high, row.n_effective) == ("uncorrected", None, None, None, None)
        assert row.value is not None
        assert row.cause == "fewer than two blocks of rows: neither interval nor correction"


def test_intervals_left_out_on_request_are_named_as_such_and_leave_the_values_alone():
    quick, full = (estimate(blocks_of(800), level="frame", intervals=wanted) for wanted in (False, True))
    assert [row.value for row in quick] == pytest.approx([row.value for row in full], rel=1e-9)
    assert {row.cause for row in quick} == {"neither interval nor correction was asked for"}


def test_one_block_with_most_rows_prevents_the_correction_but_not_the_interval():
    big, *small = blocks_of(800, blocks=10)
    rows = estimate(
        [merge_all([big, *small[:-1]]), Moments.of(np.random.default_rng(1).normal(size=(5, 8)))], level="frame"
    )
    rank = one(rows, "effective_rank")
    assert (rank.status, rank.corrected) == ("uncorrected", None)
    assert "one block holds most rows" in rank.cause
    assert rank.low <= rank.value <= rank.high


def test_collapse_is_unknown_where_centred_one_where_not_and_seen_in_the_scales():
    rows = estimate([Moments.of(np.full((20, 4), 0.1))] * 5, level="frame")
    assert one(rows, "effective_rank").status == "unknown"
    assert "nothing varies" in one(rows, "effective_rank").cause
    assert one(rows, "effective_rank", centred=False).corrected == pytest.approx(1.0)
    assert one(rows, "mean_norm_ratio", centred=False).value == pytest.approx(1.0)
    assert one(rows, "normalised_std", centred=False).value == 0.0
    assert one(rows, "total_variance").value == 0.0


def test_variation_in_a_single_block_has_a_value_but_no_interval():
    rng = np.random.default_rng(0)
    constant = [Moments.of(np.ones((30, 4))) for _ in range(3)]
    rank = one(estimate([Moments.of(1 + rng.normal(size=(30, 4))), *constant], level="frame"), "effective_rank")
    assert rank.status == "uncorrected"
    assert rank.value > 1
    assert "no interval, as without one block every row is the same" in rank.cause
    assert "not corrected, as in one half of the blocks every row is the same" in rank.cause


def test_no_rows_are_unknown_and_no_blocks_an_error():
    rows = estimate([Moments.zero(4), Moments.zero(4)], level="frame")
    assert {row.status for row in rows} == {"unknown"}
    assert {row.cause for row in rows} == {"no rows"}
    with pytest.raises(UsageError, match="no blocks"):
        estimate([], level="frame")


def test_empty_blocks_change_nothing():
    blocks = blocks_of(400)
    assert estimate([*blocks, Moments.zero(8)], level="frame") == estimate(blocks, level="frame")


def test_the_order_of_shards_changes_nothing_beyond_rounding():
    blocks = blocks_of(400)
    shards = [[blocks[b] for b in order] for order in (range(10), reversed(range(10)))]
    forth, back = (estimate(shard, level="frame", metrics=["effective_rank"]) for shard in shards)
    for a, b in zip(forth, back, strict=True):
        assert (a.value, a.se) == pytest.approx((b.value, b.se), rel=1e-9)


def test_packed_blocks_with_a_precise_total_give_the_same_estimates():
    blocks = blocks_of(800)
    packed = [PackedMoments.of(block, "float32") for block in blocks]
    exact = estimate(blocks, level="frame")
    compact = estimate(packed, level="frame", total=merge_all(blocks))
    for a, b in zip(exact, compact, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-12)
        assert (a.corrected, a.se, a.low, a.high) == pytest.approx((b.corrected, b.se, b.low, b.high), rel=1e-4)


def test_a_total_of_other_rows_is_refused():
    with pytest.raises(UsageError, match="400 rows of 8 dimensions"):
        estimate(blocks_of(400), level="frame", total=Moments.zero(8))


def test_counts_are_whole_numbers_throughout():
    row = one(estimate(blocks_of(800), level="frame"), "energy_rank_95")
    assert all(number == int(number) for number in (row.value, row.corrected, row.low, row.high))


def test_an_interval_never_leaves_the_range_of_its_metric():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    for row in estimate([Moments.of(part) for part in np.split(rows, 4)], level="frame"):
        if row.low is not None:
            assert METRICS[row.metric].lowest <= row.low
            assert row.high <= (METRICS[row.metric].highest or 3)


def test_unknown_levels_and_metrics_are_refused_with_the_choice():
    with pytest.raises(UsageError, match="frame, utterance, utterance_sum"):
        estimate(blocks_of(80), level="token")
    with pytest.raises(UsageError, match=r"got: +rankme_t\n"):
        estimate(blocks_of(80), level="frame", metrics=["rankme_t", "alpha"])


def test_only_the_metrics_asked_for_are_returned():
    rows = estimate(blocks_of(80), level="utterance_sum", metrics=["rankme_t"])
    assert [(row.metric, row.centred) for row in rows] == [("rankme_t", False)]
