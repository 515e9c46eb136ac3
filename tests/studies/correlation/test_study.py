import json
from dataclasses import replace

import numpy as np
import pytest
from simulated import KEYWORD, agreeing, noise, table

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.correlation.multiplicity import adjusted
from mlflow_rank.studies.correlation.panels import panels
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.study import correlate
from mlflow_rank.studies.trajectories import Trajectories

QUICK = StudySettings(resamples=200, permutations=200, random_draws=100)
RISE = np.linspace(0, 4, 10)


def trainings(share, runs=4, layers=4, seed=0):
    random = np.random.default_rng(seed)
    return table(
        {f"seed_{r}": tuple(each + RISE for each in agreeing(random, (layers, 10), share)) for r in range(runs)}
    )


TABLE = trainings(0.9)
STUDY = correlate(TABLE, seed=3, settings=QUICK)
DOCUMENT = STUDY.document()


def test_every_rank_score_and_layer_is_answered_in_order():
    assert [(each.predictor, each.outcome, each.layer) for each in STUDY.within_layer] == [
        ("rank_frame", "pilot_keyword", layer) for layer in range(4)
    ]
    assert len(STUDY.between_runs) == 4
    assert len(STUDY.across_layers) == len(STUDY.layer_regret) == 1
    assert {name: len(each) for name, each in STUDY.step_and_loss.items()} == {"step": 4, "loss": 4}


def test_each_family_is_corrected_by_itself():
    ps = [each.views["partial"]["spearman"].chance.p for each in STUDY.within_layer]
    found = [each.views["partial"]["spearman"].adjusted for each in STUDY.within_layer]
    assert found == pytest.approx(adjusted(ps, "holm"))
    family = next(each for each in STUDY.families if (each.question, each.view) == ("within_layer", "partial"))
    assert family.tests == 4
    assert sum(each.question == "within_layer" for each in STUDY.families) == 9


def test_baselines_are_in_no_family():
    found = DOCUMENT["baselines"]["loss"][0]["views"]["raw"]["spearman"]
    assert (found["p_adjusted"], found["p"] <= 1) == (None, True)


def test_the_document_is_json_without_nan_and_says_how_it_was_got():
    read = json.loads(json.dumps(DOCUMENT, allow_nan=False))
    assert (read["kind"], read["seed"], read["observations"]) == ("CorrelationStudy", 3, 160)
    assert (read["window"], read["conventions"]) == ({"from_step": 25, "to_step": 1600}, {"rank.dtype": "float32"})
    assert read["settings"]["minimum"] == {"checkpoints": 8, "runs": 4, "layers": 4}
    assert [each["checkpoints"] for each in read["runs"]] == [10] * 4
    assert read["within_layer"][0]["controls"] == ["log_step", "log_step_2", "log_step_3", "loss"]


def test_the_same_seed_gives_the_same_study():
    assert correlate(TABLE, seed=3, settings=QUICK).document() == DOCUMENT


def test_a_rank_that_tracks_is_told_from_one_that_only_rises_too():
    assert all(each.views["partial"]["spearman"].adjusted <= 0.05 for each in STUDY.within_layer)
    rising = correlate(trainings(0.0, seed=5), settings=QUICK)
    assert all(each.views["raw"]["spearman"].value > 0.4 for each in rising.within_layer)
    assert not any(each.views["partial"]["spearman"].adjusted <= 0.05 for each in rising.within_layer)


def test_an_error_rate_counts_as_its_negative():
    error = replace(KEYWORD, lower_is_better=True)
    found = correlate(replace(TABLE, outcomes=(error,)), seed=3, settings=QUICK)
    for plain, turned in zip(STUDY.within_layer, found.within_layer, strict=True):
        assert turned.views["raw"]["kendall"].value == pytest.approx(-plain.views["raw"]["kendall"].value)


def test_one_short_run_of_few_layers_answers_nothing_and_says_what_is_missing():
    found = correlate(table({"a": tuple(noise(np.random.default_rng(0), (2, 3, 5)))}), settings=QUICK).document()
    for part, view in (("within_layer", "partial"), ("between_runs", "matched_step"), ("across_layers", "checkpoint")):
        assert all(each["views"][view]["spearman"]["not_enough"]["minimum"] for each in found[part])
    assert found["layer_regret"][0]["choices"]["rank"]["unknown"] == "not enough: 3 layers of a checkpoint, 4 needed"
    assert found["families"] == []


def test_the_loss_of_a_step_is_known_where_one_layer_knows_it():
    first = TABLE.where(lambda each: each.run == "seed_0").observations
    partly = tuple(replace(each, loss=None) if each.layer != 2 else each for each in first)
    (panel,) = panels(replace(TABLE, observations=partly), ("rank_frame",))
    assert panel.loss_known
    (panel,) = panels(replace(TABLE, observations=tuple(replace(each, loss=None) for each in first)), ("rank_frame",))
    assert not panel.loss_known


@pytest.mark.parametrize(
    "given",
    [
        (TABLE, replace(QUICK, predictors=("rank_frame", "rankme"))),
        (TABLE, replace(QUICK, outcomes=("pilot_phone",))),
        (TABLE, replace(QUICK, predictors=())),
        (Trajectories((), (KEYWORD,), Conventions({})), QUICK),
        (replace(TABLE, outcomes=()), QUICK),
    ],
    ids=["strange rank", "strange score", "no rank chosen", "empty table", "no score"],
)
def test_a_table_without_what_is_asked_for_is_refused(given):
    with pytest.raises(UsageError):
        correlate(given[0], settings=given[1])


def test_asking_for_what_the_study_did_not_look_at_is_refused_by_name():
    assert STUDY.within("rank_frame", "pilot_keyword", 2).layer == 2
    with pytest.raises(UsageError, match="rankme, pilot_keyword, layer 0"):
        STUDY.within("rankme", "pilot_keyword", 0)
