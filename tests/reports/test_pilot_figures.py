from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes

from mlflow_rank.registry.runs.measured_score import PilotTask, read_tasks
from mlflow_rank.reports.figures import save_figure
from mlflow_rank.reports.pilot_figures import confusion_matrix, draw_pilot, learning_curve, score_by_layer
from mlflow_rank.reports.score_figure import CHANCE, FRAMES, INSIDE, LOG_MEL, OUTSIDE, RANDOM, UNKNOWN, UTTERANCES

Make = Callable[..., dict[str, Any]]


def _task(document: dict[str, Any]) -> PilotTask:
    return read_tasks(document)[0]


def _points(axes: Axes, label: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_label() == label]
    return sorted((float(x), round(float(y), 1)) for line in lines for x, y in np.asarray(line.get_xydata()))


def test_the_lines_are_the_scores_and_the_references_of_their_rows(make_pilot: Make) -> None:
    document = make_pilot()
    (axes,) = score_by_layer(document, _task(document)).axes
    assert _points(axes, INSIDE) == [(0, 75.4), (1, 79.4), (2, 83.4), (3, 87.4), (4, 83.4)]
    assert _points(axes, OUTSIDE)[3] == (3, 71.7)
    assert {y for _, y in _points(axes, RANDOM)} == {17.8}
    assert {y for _, y in _points(axes, LOG_MEL)} == {53.5}
    assert {y for _, y in _points(axes, CHANCE)} == {8.3}


def test_ranks_share_the_axis_of_layers_and_both_bests_are_named(make_pilot: Make, make_document: Make) -> None:
    document = make_pilot()
    above, beneath = score_by_layer(document, _task(document), make_document()).axes
    assert above.get_shared_x_axes().joined(above, beneath)
    assert _points(beneath, FRAMES) == [(0, 40), (1, 45), (2, 50), (3, 55)]
    assert _points(beneath, UTTERANCES) == [(0, 40), (1, 43), (3, 55)]
    assert [text.get_text() for axes in (above, beneath) for text in axes.texts] == ["pilot's best", "highest rank"]


def test_no_line_crosses_an_unknown_layer_which_is_a_cross_with_its_cause(make_pilot: Make) -> None:
    document = make_pilot(unknown_layers=(2,))
    figure = score_by_layer(document, _task(document))
    (axes,) = figure.axes
    assert [list(line.get_xdata()) for line in axes.lines if line.get_label() == INSIDE] == [[0, 1], [3, 4]]
    assert [x for x, _ in _points(axes, UNKNOWN)] == [2]
    assert figure.get_supxlabel().startswith("× layer 2: class 'up' has 3 training labels")


def test_what_was_not_measured_is_not_in_the_legend(make_pilot: Make) -> None:
    document = make_pilot(control=False, outside=False)
    (legend,) = score_by_layer(document, _task(document)).legends
    assert [text.get_text() for text in legend.texts] == [INSIDE, LOG_MEL, CHANCE]
    assert legend.get_title().get_text() == "keyword with hubert-small, ridge"


def test_the_axis_of_scores_starts_at_zero_and_holds_every_interval(make_pilot: Make) -> None:
    document = make_pilot(tasks=("phone",))
    document["tasks"][0]["metrics"] = ["per"]
    document["rows"] = [
        row | {"score": 1.3, "low": 1.2, "high": 1.45} if row["metric"] == "per" else row for row in document["rows"]
    ]
    (axes,) = score_by_layer(document, _task(document)).axes
    bottom, top = axes.get_ylim()
    assert bottom == 0
    assert top > 145
    assert "lower is better" in axes.get_ylabel()


def test_the_curve_of_the_pilots_best_is_drawn_over_labels_with_the_target(make_pilot: Make) -> None:
    document = make_pilot()
    axes = learning_curve(document, _task(document)).axes[0]
    label = "layer 3, the pilot's best, 95 % interval"
    assert _points(axes, label) == [(12, 61.3), (60, 73.5), (120, 79.2), (240, 84.0), (480, 87.4)]
    assert [text.get_text() for text in axes.texts] == ["95 % of its full-label score"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["12\n1", "60\n5", "120\n10", "240\n20", "480\nall"]
    assert axes.get_xscale() == "log"


def test_labels_without_a_number_are_left_out_and_said(make_pilot: Make) -> None:
    document = make_pilot(unknown_shots=(1,))
    figure = learning_curve(document, _task(document))
    assert _points(figure.axes[0], "layer 3, the pilot's best, 95 % interval")[0][0] == 60
    assert figure.get_supxlabel().startswith("unknown with 1 label per class")


def test_a_task_without_any_number_still_gives_figures(make_pilot: Make) -> None:
    document = make_pilot(unknown_layers=(*range(5), "weighted_sum", "pilot_best"))
    document["tasks"][0] |= {"labels_saved": [], "layer_choice": {}, "confusions": []}
    assert score_by_layer(document, _task(document)).axes[0].get_ylim()[0] == 0
    assert learning_curve(document, _task(document)).axes
    assert confusion_matrix(document, _task(document)) is None


def test_the_shade_of_a_confusion_is_the_share_of_the_true_class(make_pilot: Make) -> None:
    document = make_pilot(classes=("no", "yes"))
    document["tasks"][0]["confusions"][0]["matrix"] = [[9, 1], [0, 0]]
    figure = confusion_matrix(document, _task(document))
    assert figure is not None
    axes = figure.axes[0]
    assert np.asarray(axes.images[0].get_array()).tolist() == [[90, 10], [0, 0]]
    assert [text.get_text() for text in axes.texts] == ["9", "1", "0", "0"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no", "yes"]
    assert figure.get_suptitle() == "keyword with hubert-small\nlayer 3, ridge, in domain, all labels"


def test_hundreds_of_classes_are_drawn_without_crowding(make_pilot: Make) -> None:
    document = make_pilot(classes=[f"spk_{number:03d}" for number in range(120)], heads=("ridge",), outside=False)
    figure = confusion_matrix(document, _task(document))
    assert figure is not None
    assert len(figure.axes[0].get_xticklabels()) <= 45
    assert not figure.axes[0].texts


@pytest.mark.parametrize("draw", [score_by_layer, learning_curve, confusion_matrix])
def test_the_files_are_the_same_every_time(make_pilot: Make, tmp_path: Path, draw: Callable[..., Any]) -> None:
    document = make_pilot(layers=3, classes=("no", "yes"))
    svg, png = save_figure(draw(document, _task(document)), tmp_path / "one")
    again, _ = save_figure(draw(document, _task(document)), tmp_path / "two")
    assert svg.read_bytes() == again.read_bytes()
    assert png.stat().st_size > 10_000
    assert "keyword with hubert-small" in "".join(ElementTree.parse(svg).getroot().itertext())


def test_nothing_is_left_in_pyplot(make_pilot: Make) -> None:
    document = make_pilot()
    learning_curve(document, _task(document))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_each_task_gets_its_figures_under_names_of_its_own(make_pilot: Make, tmp_path: Path) -> None:
    document = make_pilot(tasks=("keyword", "label:kind/a"), layers=3, classes=("no", "yes"))
    document["tasks"][1]["confusions"] = []
    document["rows"] = [row for row in document["rows"] if row["task"] == "keyword" or row["shots"] == "all"]
    paths = draw_pilot(document, tmp_path)
    assert sorted(path.name for path in paths if path.suffix == ".svg") == [
        "pilot_keyword_by_layer.svg", "pilot_keyword_confusion.svg", "pilot_keyword_learning_curve.svg",
        "pilot_label_kind_a_by_layer.svg",
    ]  # fmt: skip
    assert all(path.is_file() for path in paths)


def test_the_confusion_shown_is_that_of_the_pilots_best_layer_in_domain(make_pilot: Make) -> None:
    document = make_pilot()
    (shown,) = document["tasks"][0]["confusions"]
    document["tasks"][0]["confusions"] = [
        shown | {"domain": "out_of_domain"}, shown | {"layer": 1}, shown, shown | {"shots": 5},
    ]  # fmt: skip
    figure = confusion_matrix(document, _task(document))
    assert figure is not None
    assert figure.get_suptitle().endswith("layer 3, ridge, in domain, all labels")
