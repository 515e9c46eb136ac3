"""What people read of a prediction: words that follow the numbers, tables with all of them, figures of every score."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from told_by_rank import KEYWORD, trainings

from mlflow_rank.reports.studies.prediction.report import report
from mlflow_rank.reports.studies.prediction.words import NEVER
from mlflow_rank.reports.studies.report import ReportTable, StudyReport
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.study import Manner, NoPrediction, Prediction, PredictionStudy, predict
from mlflow_rank.studies.prediction.triage import Triage, Verdict

RANKS = ("rank_frame", "rank_utterance")
NOTHING = NoPrediction(
    replace(KEYWORD, name="pilot_speaker", task="speaker"), NotEnough("runs of 8 checkpoints or more", 1, 3)
)


@pytest.fixture(scope="module")
def told() -> Prediction:
    found = predict(trainings(1, own=1.0), "pilot_keyword", RANKS)
    assert isinstance(found, Prediction)
    return found


def shown(*found: Prediction | NoPrediction) -> StudyReport:
    runs = ("seed_0", "seed_1", "seed_2", "seed_3")
    return report(PredictionStudy(found, Manner(), RANKS, Conventions({}), runs, (10, 1280)))


def table(of: StudyReport, name: str) -> ReportTable:
    (found,) = (each for each in of.tables if each.name == name)
    return found


def about(value: float, half: float = 0.01) -> OverRuns:
    return OverRuns(value, value - half, value + half, 4)


def judged(told: Prediction, verdict: Verdict, *, gain: OverRuns, rival: str = "step", ordered: float = 0.6) -> str:
    gains = dict.fromkeys(told.gains, about(0.3)) | {rival: gain}
    changed = replace(told, verdict=verdict, gains=gains, triage=Triage(about(ordered), about(0.02), about(0.5)))
    return shown(changed).verdicts[0]


def test_it_always_says_that_it_approves_nothing(told: Prediction) -> None:
    assert shown(told).verdicts[-1] == NEVER
    assert shown(NOTHING).verdicts[-1] == NEVER


def test_good_enough_is_said_with_error_order_and_loss(told: Prediction) -> None:
    said = shown(told).verdicts[0]
    assert said.startswith("Keyword in domain: ranks are good enough for triage.")
    error = told.scores["rank_step"].error
    assert isinstance(error, OverRuns)
    assert f"off by {round(100 * error.value, 1):g} [" in said
    assert "less than by step alone" in said
    assert "Of two unseen runs at one step" in said


@pytest.mark.parametrize(
    ("verdict", "rival", "gain", "words"),
    [
        ("step_does_as_well", "step", about(-0.2), "step alone does as well: ranks add nothing here."),
        ("step_does_as_well", "curve", about(-0.2), "by the score of the other runs at that step"),
        ("step_does_as_well", "others_rank_step", about(-0.2), "another run's ranks do as well"),
        ("may_be_luck", "step", about(0.2, 0.5), "it is not shown that ranks say more than step alone."),
        ("not_good_enough", "step", about(0.2), "more than the step, but are not good enough for triage."),
        ("not_enough", "step", about(0.2), "whether that is enough for triage is open."),
    ],
)
def test_every_other_verdict_says_what_failed(
    told: Prediction, verdict: Verdict, rival: str, gain: OverRuns, words: str
) -> None:
    said = judged(told, verdict, gain=gain, rival=rival)
    assert words in said
    assert "good enough for triage. On" not in said.replace("not good enough", "")


def test_a_larger_error_is_called_larger(told: Prediction) -> None:
    assert "run by run it was 20 % larger [19, 21]" in judged(told, "step_does_as_well", gain=about(-0.2))
    assert "run by run it was 0 % larger [-1, 1]" in judged(told, "step_does_as_well", gain=about(-0.001))


def test_too_little_is_said_with_how_much_is_needed_and_without_a_figure() -> None:
    found = shown(NOTHING)
    assert found.verdicts[0] == "Speaker in domain: not enough: 1 runs of 8 checkpoints or more, 3 needed."
    assert (found.figures, found.metrics) == ((), {})
    assert table(found, "triage").rows[0][:2] == ("speaker in domain", "not enough")
    assert set(table(found, "triage").rows[0][2:]) == {None}


def test_several_scores_are_summed_up_first(told: Prediction) -> None:
    said = shown(told, NOTHING).verdicts
    good = "Ranks are good enough for triage of 1 of 2 pilot scores: keyword in domain"
    assert said[0] == f"{good}; not enough data for 1."
    assert len(said) == 4


def test_no_score_with_enough_data_is_not_summed_up_as_none_good_enough() -> None:
    said = shown(NOTHING, NOTHING).verdicts
    assert said[0] == "Not enough data to say whether ranks are good enough for triage of any of 2 pilot scores."


def test_the_models_table_has_every_model_and_the_predictions_every_row(told: Prediction) -> None:
    found = shown(told)
    assert len(table(found, "models").rows) == len(told.scores) == 7
    assert len(table(found, "predictions").rows) == len(told.rows.score)
    for each in found.tables:
        assert all(len(row) == len(each.columns) for row in each.rows)
        assert len(set(each.columns)) == len(each.columns)


def test_predictions_of_an_error_rate_are_shown_as_the_rate(told: Prediction) -> None:
    rate = replace(told, outcome=replace(told.outcome, lower_is_better=True))
    measured = table(shown(rate), "predictions").rows[0][4]
    assert measured == -told.rows.score[0]


def test_metrics_have_names_that_mlflow_takes(told: Prediction) -> None:
    metrics = shown(told).metrics
    assert set(metrics) == {
        "prediction_error/pilot_keyword",
        "prediction_error_less_than_step/pilot_keyword",
        "prediction_ordered/pilot_keyword",
    }
    assert all(re.fullmatch(r"[\w./ -]+", name) for name in metrics)


def test_figures_have_a_panel_for_each_score_and_a_point_for_each_row(told: Prediction) -> None:
    figures = {each.name: each.draw() for each in shown(told, replace(told, outcome=NOTHING.outcome)).figures}
    assert set(figures) == {"errors_by_model", "predicted", "importances"}
    for figure in figures.values():
        titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
        assert titles == ["keyword in domain", "speaker in domain"]
    points = [len(line.get_xdata()) for line in figures["predicted"].axes[0].lines if line.get_label() != "as measured"]
    assert sum(points) == len(told.rows.score)


def test_what_was_left_out_is_said(told: Prediction) -> None:
    left = replace(told.rows.left_out, ranks=("rankme_t",), runs=("seed_9",), layers=(3,), rows=12)
    found = shown(replace(told, rows=replace(told.rows, left_out=left)))
    (said,) = (each for each in found.about if each.startswith("Left out"))
    for part in ("rankme_t", "seed_9", "layers that not all runs have: 3", "12 rows"):
        assert part in said
