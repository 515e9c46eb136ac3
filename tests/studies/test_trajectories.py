import json
from dataclasses import replace

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories, read_trajectories

KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")
PHONES = Outcome("pilot_phone", "phone_sequence", "in_domain", "per", lower_is_better=True)


def seen(run: str, step: int, layer: int, **more: float) -> Observation:
    scores = {name: more[name] for name in ("pilot_keyword", "pilot_phone") if name in more}
    ranks = {name: more[name] for name in ("rank_frame", "rankme_t") if name in more}
    return Observation(run, step, layer, more.get("loss"), ranks, scores)


TABLE = Trajectories(
    (
        seen("b", 10, 1, rank_frame=30.0, pilot_keyword=0.5, pilot_phone=0.7, loss=2.5),
        seen("a", 20, 0, rank_frame=41.0, rankme_t=4.0, pilot_keyword=0.6),
        seen("a", 5, 0, rank_frame=40.0, pilot_keyword=0.4, pilot_phone=0.9, loss=3.0),
    ),
    (KEYWORD, PHONES),
    Conventions({"rank.dtype": "float32"}),
)


@pytest.mark.parametrize(
    ("name", "domain", "begin"),
    [
        ("pilot_keyword", "in_domain", "pilot.keyword."),
        ("pilot_keyword_ood", "out_of_domain", "pilot.keyword."),
        ("pilot_label_v1.2_ood", "in_domain", "pilot.label_v1_2_ood."),
    ],
)
def test_an_outcome_finds_the_settings_of_its_task(name: str, domain: str, begin: str):
    assert Outcome(name, "any", domain, "balanced_accuracy").settings == begin


def test_observations_stand_in_order_of_run_step_and_layer():
    assert [(each.run, each.step) for each in TABLE.observations] == [("a", 5), ("a", 20), ("b", 10)]
    assert (TABLE.runs, TABLE.layers, TABLE.steps("a")) == (("a", "b"), (0, 1), (5, 20))


def test_what_is_unknown_is_not_a_number_in_a_column():
    assert np.isnan(TABLE.column("loss")).tolist() == [False, True, False]
    assert np.isnan(TABLE.column("rankme_t")).tolist() == [True, False, True]


def test_of_an_error_rate_more_is_better_in_its_column_but_not_in_its_row():
    assert TABLE.column("pilot_phone")[0] == -0.9
    assert TABLE.observations[0].scores["pilot_phone"] == 0.9


def test_a_document_read_back_is_the_same_table():
    again = read_trajectories(json.loads(json.dumps(TABLE.document(), allow_nan=False)))
    assert again == TABLE


def test_a_layer_given_twice_is_refused():
    with pytest.raises(UsageError, match="given twice") as refused:
        replace(TABLE, observations=(*TABLE.observations, seen("a", 5, 0)))
    assert "a, step 5, layer 0" in str(refused.value)


def test_chosen_observations_keep_their_conventions():
    later = TABLE.where(lambda each: each.step > 5)
    assert (len(later.observations), later.conventions) == (2, TABLE.conventions)


def test_an_unknown_number_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="no such pilot score") as refused:
        TABLE.column("pilot_speaker")
    assert "pilot_keyword, pilot_phone" in str(refused.value)


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "RankMeasurement"},
        {"rows": [["a", 1]]},
        {"rows": [["a", 1, None, 0, "much", None, None, None]]},
        {"rows": [["a", 1, None, 0, float("nan"), None, None, None]]},
        {"outcomes": [{"name": "pilot_keyword"}]},
        {"rows": [["a", 400.7, None, 0, 1.0, None, None, None]]},
        {"outcomes": [*TABLE.document()["outcomes"], *TABLE.document()["outcomes"]]},
        {"rows": 3},
        {"conventions": []},
    ],
)
def test_a_document_of_another_kind_or_a_damaged_one_is_refused_by_its_name(damage):
    with pytest.raises(UsageError, match=r"runs\.json"):
        read_trajectories(TABLE.document() | damage, named="runs.json")
