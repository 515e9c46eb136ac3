"""Whether a prediction says more than the step: on data where ranks do, where they do not, and where they seem to."""

import json
from dataclasses import replace

import numpy as np
import pytest
from told_by_rank import KEYWORD, one_bent_course, trainings

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.held_out import held_out
from mlflow_rank.studies.prediction.learners import learner
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rivals import CONTROL, Seen, seen_by
from mlflow_rank.studies.prediction.rows import Rows, rows_of
from mlflow_rank.studies.prediction.scores import errors_by_run, gain, scores_of
from mlflow_rank.studies.prediction.study import (
    Manner,
    NoPrediction,
    Prediction,
    PredictionStudy,
    ensure_ranks,
    predict,
)
from mlflow_rank.studies.trajectories import Observation, Trajectories

RANKS = ("rank_frame", "rank_utterance")


def predicted(table: Trajectories, ranks: tuple[str, ...] = RANKS, **how: object) -> Prediction:
    found = predict(table, "pilot_keyword", ranks, Manner(**how))  # type: ignore[arg-type]
    assert isinstance(found, Prediction)
    return found


@pytest.fixture(scope="module")
def told() -> Prediction:
    """Four runs whose ranks follow each run's own course."""
    return predicted(trainings(1, own=1.0))


def test_ranks_that_follow_each_run_beat_the_step_and_are_good_enough(told):
    assert told.verdict == "good_enough"
    assert all(told.gains[name].value > 0.5 for name in ("step", "curve", "mean", "others_rank_step"))
    assert told.at_one_step.value > 0.9
    assert told.triage.ordered.value > 0.9


def test_what_it_leans_on_are_the_ranks(told):
    leaned = {name: answer.value for name, answer in told.importances.items()}
    assert leaned["rank_frame"] > 3 * leaned["step"]
    assert set(leaned) == {"step", *RANKS}


def test_its_error_is_the_mean_over_runs_of_the_mean_over_rows(told):
    off = np.abs(told.found.by("rank_step") - told.rows.score)
    assert told.scores["rank_step"].error.value == pytest.approx(off.mean())  # runs are equally long here


def test_a_prediction_that_never_changes_has_no_order(told):
    assert told.scores["mean"].spearman == NotEnough("runs in which score and prediction change", 0, 3)


def test_a_trend_that_all_share_is_the_steps_merit():
    found = predicted(trainings(2, own=0.0, shared=1.0))
    assert found.verdict in ("step_does_as_well", "may_be_luck")
    assert found.triage.ordered.value > 0.75  # it orders well, and that is no merit of the ranks


def beaten(table: Trajectories, rivals: tuple[str, ...]) -> list[bool]:
    """Say of each rival whether ranks and step beat it, by more than the interval, with the first rank alone."""
    rows = rows_of(table, "pilot_keyword", ("rank_frame",))
    assert isinstance(rows, Rows)
    seen = seen_by(rows)
    few = Seen({name: seen.learnt[name] for name in ("step", "rank_step")}, seen.control if CONTROL in rivals else ())
    found = held_out(rows, few, learner("ridge", 0))
    errors = {name: errors_by_run(rows, each) for name, each in found.predicted.items() if each}
    gains = [gain(errors["rank_step"], errors[rival]) for rival in rivals]
    return [isinstance(each, OverRuns) and each.low > 0 for each in gains]


def test_of_ranks_that_say_nothing_it_hardly_ever_claims_that_they_do():
    """Beating step and course is necessary for a claim, so how often that happens bounds how often one is made."""
    claims = sum(all(beaten(trainings(seed, own=0.0, layers=1), ("step", "curve"))) for seed in range(40))
    assert claims <= 3  # 2.5 % of 40 is one; four or more would happen in 2 of 100 such tests


def test_ranks_that_know_a_course_which_all_share_beat_the_step_and_are_still_not_believed():
    """A curve over steps is too smooth for this course, so ranks beat it; those of another run know it as well."""
    found = np.array([beaten(one_bent_course(seed), ("step", CONTROL)) for seed in range(8)])
    assert found[:, 0].all()
    assert not found[:, 1].any()


def test_a_run_is_never_among_what_its_own_prediction_learnt_from(told):
    """Its scores may be anything: what is predicted of it stays."""
    table = trainings(1, own=1.0)

    def spoilt(each: Observation) -> Observation:
        return replace(each, scores={"pilot_keyword": 50.0 + each.step}) if each.run == "seed_2" else each

    other = predicted(replace(table, observations=tuple(map(spoilt, table.observations))))
    here = told.rows.run == "seed_2"
    assert np.array_equal(other.found.by("rank_step")[here], told.found.by("rank_step")[here])
    assert not np.allclose(other.found.by("rank_step")[~here], told.found.by("rank_step")[~here])


def test_a_rank_that_only_names_the_run_does_not_help():
    """Within the data it tells each run's level exactly; of a run that was not seen it tells nothing."""
    table = trainings(3, own=0.0, noise=0.0)
    levels = dict(zip(table.runs, (0.0, 0.3, 0.1, 0.2), strict=True))

    def named(each: Observation) -> Observation:
        score = each.scores["pilot_keyword"] + levels[each.run]
        return replace(each, ranks={"rank_frame": 10.0 + int(each.run[-1])}, scores={"pilot_keyword": score})

    found = predicted(replace(table, observations=tuple(map(named, table.observations))), ("rank_frame",))
    assert found.verdict in ("step_does_as_well", "may_be_luck")


def test_error_rates_are_predicted_as_well_as_what_they_leave(told):
    table = trainings(1, own=1.0)
    rate = replace(KEYWORD, metric="per", lower_is_better=True)
    turned = (replace(o, scores={"pilot_keyword": 1 - o.scores["pilot_keyword"]}) for o in table.observations)
    as_rate = predicted(replace(table, observations=tuple(turned), outcomes=(rate,)))
    assert as_rate.verdict == "good_enough"
    assert as_rate.scores["rank_step"].error.value == pytest.approx(told.scores["rank_step"].error.value)


def test_trees_find_a_rank_that_tells_too():
    rows = rows_of(trainings(1, own=1.0, runs=3, layers=1), "pilot_keyword", ("rank_frame",))
    assert isinstance(rows, Rows)
    seen = seen_by(rows)
    few = Seen({name: seen.learnt[name] for name in ("step", "rank_step")}, ())
    found = held_out(rows, few, learner("boosting", 0))
    errors = {name: errors_by_run(rows, found.predicted[name]) for name in few.learnt}
    assert gain(errors["rank_step"], errors["step"]).value > 0.2


def test_one_run_is_not_enough_and_neither_is_a_score_that_never_changes():
    alone = predict(trainings(0, runs=1), "pilot_keyword", RANKS)
    assert alone == NoPrediction(KEYWORD, NotEnough("runs of 8 checkpoints or more", 1, 3))
    table = trainings(0)
    flat = replace(table, observations=tuple(replace(o, scores={"pilot_keyword": 0.5}) for o in table.observations))
    assert isinstance(predict(flat, "pilot_keyword", RANKS), NoPrediction)


def test_unknown_names_and_no_ranks_are_refused_with_those_there_are():
    table = trainings(0, runs=1)
    with pytest.raises(UsageError, match="no such pilot score"):
        predict(table, "pilot_speaker", RANKS)
    with pytest.raises(UsageError, match="no such rank") as refused:
        ensure_ranks(table, ("rankme_t",))
    assert "rank_frame, rank_utterance" in str(refused.value)
    bare = replace(table, observations=tuple(replace(each, ranks={}) for each in table.observations))
    with pytest.raises(UsageError, match="nothing to predict from"):
        ensure_ranks(bare, ())


def test_a_clear_difference_of_nothing_is_refused():
    with pytest.raises(UsageError, match="this difference is none"):
        Manner(clear=0.0)


def test_the_document_is_json_and_says_how_it_was_got(told):
    alone = NoPrediction(KEYWORD, NotEnough("runs of 8 checkpoints or more", 1, 3))
    study = PredictionStudy(
        (told, alone), Manner(), RANKS, Conventions({"rank.dtype": "float32"}), told.rows.runs, (10, 1280)
    )
    document = json.loads(json.dumps(study.document(), allow_nan=False))
    assert (document["kind"], document["seed"], document["model"]) == ("PredictionStudy", 0, "ridge")
    assert document["conventions"] == {"rank.dtype": "float32"}
    good, nothing = document["outcomes"]
    assert len(good["predictions"]) == len(told.rows.score)
    assert nothing["not_enough"] == {"what": "runs of 8 checkpoints or more", "n": 1, "minimum": 3}


def test_r2_and_order_are_those_of_sklearn_and_scipy(told):
    from scipy.stats import spearmanr
    from sklearn.metrics import r2_score

    rows, guess = told.rows, told.found.by("step")
    found = scores_of(rows, [guess])
    runs = [rows.run == run for run in rows.runs]
    assert found.r2.value == pytest.approx(np.mean([r2_score(rows.score[at], guess[at]) for at in runs]))
    orders = [
        spearmanr(rows.score[at & (rows.layer == layer)], guess[at & (rows.layer == layer)]).statistic
        for at in runs
        for layer in rows.layers
    ]
    assert found.spearman.value == pytest.approx(np.mean(orders))


def test_a_gain_is_relative_and_paired_by_run():
    found = gain({"a": 1.0, "b": 2.0, "c": 4.0}, {"a": 2.0, "b": 4.0, "c": 8.0})
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
