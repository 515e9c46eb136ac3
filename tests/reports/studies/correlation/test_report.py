from __future__ import annotations

import json
import math
import warnings

import pytest
from correlated import STEPS, number, study_of, too_few, trainings

from mlflow_rank.reports.studies.correlation.report import report
from mlflow_rank.reports.studies.correlation.tables import TRACKING
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.study import correlate

TABLE = trainings(tasks=("keyword", "speaker"))


def test_a_real_study_gives_a_report_whose_figures_draw_without_a_warning() -> None:
    table = trainings(layers=4, tasks=("keyword",), steps=STEPS[:8], tracking=0.5, predictors=("rank_frame",))
    shown = report(correlate(table, settings=StudySettings(resamples=100, permutations=100, random_draws=100)), table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in shown.figures:
            figure.draw().draw_without_rendering()
    assert shown.study == "correlate"
    assert set(shown.metrics) == {
        f"{what}_rank_frame/pilot_keyword{domain}"
        for what in ("partial_spearman", "layer_regret")
        for domain in ("", "_ood")
    }
    assert json.loads(json.dumps(shown.document))["kind"] == "CorrelationStudy"


def test_domains_of_two_metrics_share_no_axis_and_the_other_metric_is_said() -> None:
    document = study_of(TABLE, lambda *_: number(0.5))
    speakers = next(each for each in document["outcomes"] if each["name"] == "pilot_speaker_ood")
    speakers |= {"metric": "eer_cosine", "lower_is_better": True}
    shown = report(document, TABLE)
    drawn = [each.name for each in shown.figures if each.name.startswith("trajectories_")]
    assert drawn == [f"trajectories_pilot_{name}" for name in ("keyword", "speaker", "speaker_ood")]
    said = "Speaker out of domain is measured by EER by cosine, not by balanced accuracy as in domain."
    assert said in shown.about


def test_tables_have_a_row_for_each_rank_and_score_headline_ranks_first_and_others_in_files() -> None:
    tables = {
        table.name: table for table in report(study_of(TABLE, lambda *_: number(0.5, adjusted=0.01)), TABLE).tables
    }
    assert [row[0] for row in tables["within_layers"].rows] == ["rank of frames"] * 4 + ["RankMe-t"] * 4
    assert {row[0] for row in tables["within_layers_other_ranks"].rows} == {"rank of utterance means"}
    assert tables["within_layers"].on_terminal
    assert not tables["within_layers_other_ranks"].on_terminal
    for statistic in ("spearman", "pearson", "kendall"):
        assert len(tables[f"within_layers_{statistic}"].rows) == 3 * 4 * 6
    assert all(len(row) == len(table.columns) for table in tables.values() for row in table.rows)
    assert len({table.name for table in tables.values()}) == len(tables)


def test_points_lost_and_bounds_of_correlations_are_numbers_in_their_columns() -> None:
    tables = {
        table.name: table for table in report(study_of(TABLE, lambda *_: number(0.5, adjusted=0.01)), TABLE).tables
    }
    lost = dict(zip(tables["choice_of_layer"].columns, tables["choice_of_layer"].rows[0], strict=True))
    assert [lost[name] for name in ("by rank", "low", "high", "last")] == pytest.approx([12.0, 7.0, 17.0, 3.0])
    cell = dict(zip(tables["within_layers_kendall"].columns, tables["within_layers_kendall"].rows[0], strict=True))
    assert [cell[name] for name in ("partial", "partial low", "partial high")] == pytest.approx([0.5, 0.3, 0.7])


def test_what_is_not_known_is_no_number_anywhere() -> None:
    nothing = dict.fromkeys(("rank", "fixed", "last", "random", "pilot"), too_few("runs", 1, 4))
    document = study_of(TABLE, lambda *_: too_few(), lost=nothing, more_lost=nothing, beside=lambda *_: too_few())
    shown = report(document, TABLE)
    assert not any(name.startswith(("partial", "layer_regret")) for name in shown.metrics)
    within = next(table for table in shown.tables if table.name == "within_layers")
    assert {row[2] for row in within.rows} == {"not enough"}
    assert all(cell is None for row in within.rows for cell in row[4:])
    cells = next(table for table in shown.tables if table.name == "within_layers_spearman")
    assert {row[-1] for row in cells.rows} == {"not enough: 5 checkpoints of a run, 8 needed"}
    assert not any(
        isinstance(cell, float) and math.isnan(cell) for table in shown.tables for row in table.rows for cell in row
    )


def test_more_scores_than_fit_get_a_second_heat_map() -> None:
    table = trainings(layers=2, steps=STEPS[:2], tasks=[f"label:kind {at}" for at in range(5)])
    shown = report(study_of(table, lambda *_: too_few()), table)
    maps = [figure for figure in shown.figures if figure.name.startswith("heat_map_rank_frame")]
    columns = [len(figure.draw().axes[0].get_xticklabels()) for figure in maps]
    assert columns == [8, 2]
    assert len({figure.name for figure in shown.figures}) == len(shown.figures)


def test_every_word_of_tracking_has_one_for_tables() -> None:
    assert len(set(TRACKING.values())) == len(TRACKING)
