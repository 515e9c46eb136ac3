import pytest
from scipy.stats import false_discovery_control

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.correlation.multiplicity import adjusted


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less_and_never_falls():
    assert adjusted([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_benjamini_and_hochberg_are_scipys():
    ps = [0.01, 0.02, 0.03, 0.5]
    assert adjusted(ps, "bh") == pytest.approx(tuple(false_discovery_control(ps)))
    assert adjusted(ps, "bh") == pytest.approx((0.04, 0.04, 0.04, 0.5))


@pytest.mark.parametrize("correction", ["holm", "bh"])
def test_a_correction_never_makes_a_p_smaller_nor_larger_than_one(correction):
    ps = [0.2, 0.9, 1.0, 0.0004, 0.04, 0.9]
    found = adjusted(ps, correction)
    assert all(raw <= after <= 1 for raw, after in zip(ps, found, strict=True))


def test_a_single_test_needs_no_correction_and_none_give_none():
    assert adjusted([0.03], "holm") == adjusted([0.03], "bh") == (0.03,)
    assert adjusted([], "bh") == ()


def test_an_unknown_correction_is_refused_by_name():
    with pytest.raises(UsageError, match="holm or bh"):
        adjusted([0.1], "bonferroni")
