import numpy as np
import pytest

from mlflow_rank.studies.correlation.association import association
from mlflow_rank.studies.correlation.trend import controls, seen

STEPS = np.round(np.geomspace(25, 1600, 12))
RANDOM = np.random.default_rng(5)
LOSS = 4 / np.log(STEPS) + 0.05 * RANDOM.standard_normal(12)
TIME = np.log1p(STEPS)


def residuals(series, columns):
    return series - columns @ np.linalg.lstsq(columns, series, rcond=None)[0]


def test_partial_is_the_correlation_of_what_regressions_on_step_and_loss_leave():
    one, other = RANDOM.standard_normal((2, 12)) + TIME
    columns = np.column_stack([np.ones(12), TIME, TIME**2, TIME**3, LOSS])
    expected = np.corrcoef(residuals(one, columns), residuals(other, columns))[0, 1]
    off = controls("partial", STEPS, LOSS)
    assert off.names == ("log_step", "log_step_2", "log_step_3", "loss")
    assert association(off.off(one), off.off(other), "pearson") == pytest.approx(expected, abs=1e-9)


def test_partial_of_one_control_is_the_textbook_formula():
    one, other, third = RANDOM.standard_normal((3, 12))
    columns = np.column_stack([np.ones(12), third])
    r = np.corrcoef([one, other, third])
    textbook = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert np.corrcoef(residuals(one, columns), residuals(other, columns))[0, 1] == pytest.approx(textbook)


@pytest.mark.parametrize("curve", [TIME, TIME**2 - TIME, 3 + 0.1 * TIME**3, LOSS, LOSS + TIME])
def test_a_curve_over_the_step_and_the_loss_leave_nothing(curve):
    assert np.isnan(controls("partial", STEPS, LOSS).off(curve)).all()


def test_a_loss_that_is_not_known_everywhere_is_not_taken_off():
    for loss in (None, np.where(STEPS < 30, np.nan, LOSS), np.full(12, 2.0)):
        assert "loss" not in controls("partial", STEPS, loss).names


def test_many_checkpoints_are_freed_of_a_curve_that_bends_more():
    many = np.round(np.geomspace(25, 1600, 16))
    assert controls("partial", many, None).names[-1] == "log_step_5"


def test_changes_are_freed_of_the_changes_of_the_trend():
    one = RANDOM.standard_normal(12)
    off = controls("differences", STEPS, LOSS)
    trended = one + 2 * TIME + 0.3 * TIME**2 - 5 * LOSS
    assert off.off(seen("differences", trended)) == pytest.approx(off.off(seen("differences", one)))


def test_the_raw_view_takes_nothing_off():
    assert controls("raw", STEPS, LOSS).off(LOSS) is LOSS
