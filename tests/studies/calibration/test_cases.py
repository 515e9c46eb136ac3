"""What a rule would have read of past versions, and which of them count."""

from __future__ import annotations

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import cases_of
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
PHONES = Outcome("pilot_phone", "phone", "in_domain", "per", lower_is_better=True)


def seen(
    run: str, layer: int, *, rank: float | None = 10.0, keyword: float | None = 0.5, per: float = 0.4
) -> Observation:
    scores = {"pilot_phone": per} | ({} if keyword is None else {"pilot_keyword": keyword})
    return Observation(run, 100, layer, None, {} if rank is None else {"rank_frame": rank}, scores)


def table(*observations: Observation) -> Trajectories:
    return Trajectories(observations, (KEYWORD, PHONES), Conventions({}))


ASKED = {"ranks": ["rank_frame"], "scores": ["pilot_keyword", "pilot_phone"]}


def test_ranks_are_the_lowest_layer_and_scores_the_best() -> None:
    two = table(seen("a", 0, rank=30.0, keyword=0.9, per=0.4), seen("a", 1, rank=20.0, keyword=0.7, per=0.2))
    (case,) = cases_of(two, {("a", 100): True}, **ASKED).cases
    assert case.numbers == {"rank_frame": 20.0, "pilot_keyword": 0.9, "pilot_phone": -0.2}
    assert (case.name, case.group, case.good) == ("a, step 100", "a", True)


def test_a_layer_that_is_named_is_read_alone() -> None:
    two = table(seen("a", 0, keyword=0.9), seen("a", 1, keyword=0.7))
    (case,) = cases_of(two, {("a", 100): True}, **ASKED, layer=1).cases
    assert case.numbers["pilot_keyword"] == 0.7


def test_what_one_layer_lacks_is_not_known() -> None:
    two = table(seen("a", 0, rank=None, keyword=None), seen("a", 1))
    (case,) = cases_of(two, {("a", 100): True}, **ASKED).cases
    assert set(case.numbers) == {"pilot_phone"}


def test_checkpoints_without_outcome_and_outcomes_without_checkpoint_are_named() -> None:
    found = cases_of(table(seen("a", 0), seen("b", 0)), {("a", 100): True, ("c", 7): False}, **ASKED)
    assert (found.unlabelled, found.unmatched) == (("b, step 100",), ("c, step 7",))
    assert (found.counts(True), found.counts(False)) == ((1, 1), (0, 0))


@pytest.mark.parametrize(
    "asked",
    [
        {"ranks": ["rank_of_honour"], "scores": []},
        {"ranks": [], "scores": ["pilot_nobody"]},
        {"ranks": [], "scores": ["pilot_keyword"], "layer": 9},
    ],
)
def test_what_the_table_lacks_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no such"):
        cases_of(table(seen("a", 0)), {("a", 100): True}, **asked)  # type: ignore[arg-type]
