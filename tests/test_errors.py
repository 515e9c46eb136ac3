from __future__ import annotations

import pickle

import pytest

from mlflow_rank.errors import EvidenceError, MeasurementError, MissingDependencyError, MlflowRankError, UsageError
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.utterance import SkipCause


@pytest.mark.parametrize(
    "error",
    [
        UsageError("what", got="this", expected="that", remedy="do it"),
        MeasurementError("what", got="this"),
        EvidenceError("what", got="this", expected="that"),
        MissingDependencyError("datasets", needed_for="saved datasets", install="'mlflow_rank[datasets]'"),
        UnusableAudio(SkipCause.SILENT, "peak 0"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_from_one_process_to_another_whole(error: MlflowRankError) -> None:
    arrived = pickle.loads(pickle.dumps(error))

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
    assert arrived.exit_code == error.exit_code


def test_exit_codes_tell_a_wrong_call_from_nothing_to_say() -> None:
    assert (UsageError.exit_code, MissingDependencyError.exit_code) == (2, 2)
    assert (MeasurementError.exit_code, EvidenceError.exit_code) == (3, 3)
