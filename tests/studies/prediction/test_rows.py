from dataclasses import replace

import numpy as np
import pytest
from told_by_rank import STEPS, trainings

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.rows import Rows, rows_of
from mlflow_rank.studies.trajectories import Observation, Trajectories

RANKS = ("rank_frame", "rank_utterance")


def changed(table: Trajectories, change: object) -> Trajectories:
    return replace(table, observations=tuple(change(each) for each in table.observations))  # type: ignore[operator]


def rows(table: Trajectories) -> Rows:
    found = rows_of(table, "pilot_keyword", RANKS)
    assert isinstance(found, Rows)
    return found


def test_a_rank_is_taken_by_its_logarithm_so_that_its_unit_does_not_matter():
    table = trainings(0)
    doubled = changed(table, lambda o: replace(o, ranks={name: 2 * value for name, value in o.ranks.items()}))
    assert np.allclose(rows(doubled).ranks - rows(table).ranks, np.log(2))


def test_a_rank_that_is_mostly_unknown_is_left_out_and_named():
    def without(each: Observation) -> Observation:
        known = {"rank_frame"} | ({"rank_utterance"} if each.layer else set())
        return replace(each, ranks={name: each.ranks[name] for name in known})

    found = rows(changed(trainings(0), without))
    assert (found.names, found.left_out.ranks) == (("rank_frame",), ("rank_utterance",))


def test_a_row_without_a_score_is_left_out_and_counted():
    table = trainings(0)
    first = table.observations[0]
    bare = changed(table, lambda o: replace(o, scores={}) if o is first else o)
    # that leaves a run of seven checkpoints in layer 0 of eight; the run keeps its eighth by layer 1
    assert rows(bare).left_out.rows == 1


def test_a_short_run_is_left_out_by_name():
    table = trainings(0, runs=4).where(lambda each: each.run != "seed_2" or each.step < STEPS[-1])
    found = rows(table)
    assert (found.runs, found.left_out.runs) == (("seed_0", "seed_1", "seed_3"), ("seed_2",))


def test_a_layer_that_not_all_runs_have_is_left_out():
    found = rows(trainings(0).where(lambda each: (each.run, each.layer) != ("seed_1", 1)))
    assert (found.layers, found.left_out.layers) == ((0,), (1,))


@pytest.mark.parametrize("runs", [1, 2])
def test_fewer_than_three_runs_are_not_enough(runs):
    expected = NotEnough("runs of 8 checkpoints or more", runs, 3)
    assert rows_of(trainings(0, runs=runs), "pilot_keyword", RANKS) == expected


def test_a_score_without_any_rank_beside_it_is_refused():
    with pytest.raises(UsageError, match="no rank is known beside pilot_keyword"):
        rows_of(changed(trainings(0), lambda o: replace(o, ranks={})), "pilot_keyword", ())


def test_an_unknown_loss_is_no_loss_at_all():
    table = trainings(0)
    last = table.observations[-1]
    assert rows(table).log_loss is not None
    assert rows(changed(table, lambda o: replace(o, loss=None) if o is last else o)).log_loss is None
