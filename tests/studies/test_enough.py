import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import Minimum, NotEnough, Unknown


def test_what_is_not_enough_says_of_what_how_many_and_how_many_are_needed():
    assert NotEnough("runs", 2, 4).document() == {
        "unknown": "not enough: 2 runs, 4 needed",
        "not_enough": {"what": "runs", "n": 2, "minimum": 4},
    }


def test_what_is_unknown_for_another_cause_says_only_that():
    assert Unknown("the score never changes").document() == {"unknown": "the score never changes"}


@pytest.mark.parametrize("short", [{"checkpoints": 7}, {"runs": 2}, {"layers": 1}])
def test_a_minimum_at_which_the_arithmetic_ends_is_refused(short):
    with pytest.raises(UsageError, match="too small for any number"):
        Minimum(**short)


@pytest.mark.parametrize(
    "wrong", [{"correction": "none"}, {"resamples": 10}, {"permutations": 99}, {"random_draws": 0}]
)
def test_settings_that_give_no_interval_or_p_are_refused(wrong):
    with pytest.raises(UsageError):
        StudySettings(**wrong)
