import numpy as np
from told_by_rank import STEPS, trainings

from mlflow_rank.studies.prediction.rivals import curve_of_others, handed_on, mean_of_others, seen_by
from mlflow_rank.studies.prediction.rows import Rows, rows_of


def rows(runs: int = 3, **how: object) -> Rows:
    found = rows_of(trainings(0, runs=runs, **how), "pilot_keyword", ("rank_frame",))  # type: ignore[arg-type]
    assert isinstance(found, Rows)
    return found


def of(table: Rows, run: str, layer: int = 0) -> np.ndarray:
    return np.flatnonzero((table.run == run) & (table.layer == layer))


def test_at_shared_steps_every_run_gets_the_ranks_of_another():
    table = rows()
    handed = handed_on(table, 1)
    for taker, giver in (("seed_0", "seed_1"), ("seed_1", "seed_2"), ("seed_2", "seed_0")):
        assert np.array_equal(handed[of(table, taker)], table.ranks[of(table, giver)])


def test_between_checkpoints_of_the_giver_ranks_are_interpolated_over_log_step():
    table = rows()
    moved = table.log_step.copy()
    here = of(table, "seed_0")
    moved[here[:-1]] = (moved[here[:-1]] + moved[here[1:]]) / 2
    handed = handed_on(Rows(**{name: getattr(table, name) for name in Rows.__slots__} | {"log_step": moved}), 1)
    giver = table.ranks[of(table, "seed_1"), 0]
    assert np.allclose(handed[here[:-1], 0], (giver[:-1] + giver[1:]) / 2)


def test_the_course_of_the_others_is_their_mean_at_the_same_step_and_layer():
    table = rows()
    train, test = np.flatnonzero(table.run != "seed_0"), of(table, "seed_0", layer=1)
    expected = (table.score[of(table, "seed_1", 1)] + table.score[of(table, "seed_2", 1)]) / 2
    assert np.allclose(curve_of_others(table, train, test), expected)
    assert np.allclose(mean_of_others(table, train, test), np.repeat(expected.mean(), len(STEPS)))


def test_the_model_of_ranks_and_step_sees_nothing_that_names_the_run():
    table = rows()
    names = np.array([np.unique(table.run).tolist().index(name) for name in table.run])
    seen = seen_by(table)
    assert seen.learnt["rank_step"].values.shape[1] == 3  # layer, step, rank
    assert not any((column == names).all() for column in seen.learnt["rank_step"].values.T)


def test_the_loss_is_a_rival_only_where_it_is_known():
    assert "loss" in seen_by(rows()).learnt
    bare = rows()
    without = Rows(**{name: getattr(bare, name) for name in Rows.__slots__} | {"log_loss": None})
    assert "loss" not in seen_by(without).learnt
