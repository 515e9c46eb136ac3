import numpy as np
import pytest
from scipy import stats

from mlflow_rank.studies.correlation.association import STATISTICS, association, marks

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
RANDOM = np.random.default_rng(3)
SMOOTH = RANDOM.standard_normal((2, 17))
TIED = RANDOM.integers(0, 5, size=(2, 17)).astype(float)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("pair", [SMOOTH, TIED], ids=["smooth", "tied"])
def test_an_association_is_what_scipy_says_it_is(statistic, pair):
    assert association(*pair, statistic) == pytest.approx(SCIPY[statistic](*pair).statistic, abs=1e-12)


def test_kendall_counts_pairs_that_agree_less_those_that_do_not():
    assert association(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 2, 3]), "kendall") == pytest.approx((4 - 2) / 6)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_never_changes_goes_with_nothing(statistic):
    assert np.isnan(association(np.full(9, 0.1), SMOOTH[0, :9], statistic))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_series_with_an_unknown_has_no_marks(statistic):
    series = SMOOTH.copy()
    series[0, 4] = np.nan
    found = marks(series, statistic)
    assert np.isnan(found[0]).all()
    assert np.linalg.norm(found[1]) == pytest.approx(1)


@pytest.mark.parametrize("statistic", ["spearman", "kendall"])
def test_orders_alone_count_for_spearman_and_kendall(statistic):
    assert association(np.exp(SMOOTH[0]), SMOOTH[1] ** 3, statistic) == pytest.approx(association(*SMOOTH, statistic))
