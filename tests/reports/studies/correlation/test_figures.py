from __future__ import annotations

import numpy as np
import pytest
from correlated import STEPS, number, study_of, too_few, trainings
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mlflow_rank.reports.studies.correlation.heat_map import heat_map, readable_on
from mlflow_rank.reports.studies.correlation.panels import MOST_PANELS, OTHER_RUNS
from mlflow_rank.reports.studies.correlation.regret import layer_regret, legend
from mlflow_rank.reports.studies.correlation.results import Correlated
from mlflow_rank.reports.studies.correlation.scatter import rank_against_score
from mlflow_rank.reports.studies.correlation.trajectories import RANDOM, rank_and_score

TABLE = trainings(steps=(0, 5, *STEPS), tasks=("keyword", "phone"))
SIGNS = {0: 0.8, 1: -0.8, 2: 0.3, 3: -0.3, 4: 0.9}


@pytest.fixture(scope="module")
def study() -> Correlated:
    """Five layers have a number, those above .5 after correction; the sixth has none."""
    document = study_of(
        TABLE,
        lambda _rank, _score, layer: (
            number(SIGNS[layer], adjusted=0.01 if abs(SIGNS[layer]) > 0.5 else 0.5) if layer in SIGNS else too_few()
        ),
    )
    document["window"]["from_step"] = STEPS[0]
    return Correlated(document)


@pytest.fixture(scope="module")
def heat(study: Correlated) -> Figure:
    return heat_map(study, "rank_frame", study.outcomes)


@pytest.fixture(scope="module")
def scatter(study: Correlated) -> Figure:
    return rank_against_score(study, TABLE, "rank_frame", study.outcomes[0])


def _texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_pilot_score_is_a_column_of_the_heat_map_and_every_layer_a_row(heat: Figure) -> None:
    axes = heat.axes[0]
    assert [" ".join(label.get_text().split()) for label in axes.get_xticklabels()] == [
        "keyword in domain",
        "keyword out of domain",
        "phone in domain",
        "phone out of domain",
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "4", "5"]


def test_a_cell_is_blue_above_0_and_red_below_and_starred_where_it_counts(heat: Figure) -> None:
    axes = heat.axes[0]
    mesh = axes.collections[0]
    values = np.ma.getdata(mesh.get_array()).reshape(6, 4)
    colours = mesh.to_rgba(values)
    for layer, value in SIGNS.items():
        red, _, blue, _ = colours[layer, 0]
        assert (blue > red) == (value > 0)
    assert _texts(axes)[:20:4] == ["+0.80*", "-0.80*", "+0.30", "-0.30", "+0.90*"]


def test_what_has_no_number_is_hatched_with_its_cause_beneath_and_no_nan(heat: Figure) -> None:
    axes = heat.axes[0]
    assert len(axes.patches) == 4
    assert {patch.get_hatch() for patch in axes.patches} == {"////"}
    assert "– in layer 5: not enough: 5 checkpoints of a run, 8 needed" in heat.get_supxlabel()
    assert not any("nan" in text for text in _texts(axes))


@pytest.mark.parametrize("value", [-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0])
def test_a_number_can_be_read_on_its_cell(value: float) -> None:
    """The contrast of large text is 3 to 1 (WCAG 2.2, 1.4.3); numbers in cells have more."""
    from matplotlib import colormaps

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    light, dark = sorted((luminance(colormaps["RdBu"]((value + 1) / 2)), luminance(to_rgb(readable_on(value)))))[::-1]
    assert (light + 0.05) / (dark + 0.05) > 3.9


def test_the_regret_figure_has_every_choice_for_every_score_with_its_interval(study: Correlated) -> None:
    axes = layer_regret(study).axes[0]
    for name in legend(study):
        marks = [line for line in axes.lines if line.get_label() == name]
        assert len(marks) == len(study.outcomes)
    by_rank = next(line for line in axes.lines if line.get_label() == "highest rank of frames")
    assert list(by_rank.get_xdata()) == [12.0]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(bar, (7.0, 17.0)) for bar in bars)


def test_a_loss_without_an_interval_is_hollow_and_one_without_a_number_a_cross() -> None:
    lost = {"rank": number(0.1, interval=None), "fixed": too_few("runs", 1, 4)}
    lost |= dict.fromkeys(("last", "random", "pilot"), number(0.05, interval=None))
    study = Correlated(study_of(TABLE, lambda *_: too_few(), lost=lost))
    figure = layer_regret(study)
    axes = figure.axes[0]
    by_rank = next(line for line in axes.lines if line.get_label() == "highest rank of frames")
    assert by_rank.get_markerfacecolor() == "white"
    assert sum(line.get_marker() == "x" for line in axes.lines) == len(study.outcomes)
    assert "1 runs, 4 needed" in " ".join(figure.get_supxlabel().split())


def test_points_of_the_scatter_are_the_checkpoints_of_the_window(scatter: Figure) -> None:
    panels = scatter.axes
    offsets = np.vstack([each.get_offsets() for each in panels[2].collections])
    there = [each for each in TABLE.observations if each.layer == 2 and each.step >= STEPS[0]]
    assert len(offsets) == len(there) == 4 * len(STEPS)
    expected = sorted((each.ranks["rank_frame"], 100 * each.scores["pilot_keyword"]) for each in there)
    assert np.allclose(sorted(map(tuple, offsets)), expected)


def test_marks_of_the_scatter_grow_with_the_step(scatter: Figure) -> None:
    sizes = scatter.axes[0].collections[0].get_sizes()
    assert (np.diff(sizes) > 0).all()


def test_an_error_rate_is_shown_as_it_is_with_better_above(study: Correlated) -> None:
    outcome = next(each for each in study.outcomes if each["name"] == "pilot_phone")
    axes = rank_against_score(study, TABLE, "rank_frame", outcome).axes[0]
    bottom, top = axes.get_ylim()
    assert bottom > top > 0


def test_forty_eight_layers_get_twelve_panels_and_the_note_says_what_is_left_out() -> None:
    table = trainings(layers=48, tasks=("keyword",), steps=STEPS[:3], runs=("a",))
    study = Correlated(study_of(table, lambda *_: too_few()))
    for figure in (
        rank_against_score(study, table, "rank_frame", study.outcomes[0]),
        rank_and_score(study, table, "rank_frame", study.outcomes),
    ):
        shown = [axes for axes in figure.axes if axes.get_visible()]
        assert len(shown) <= MOST_PANELS
        titles = [axes.get_title(loc="left") for axes in shown]
        assert {"layer 0", "layer 47"} <= set(titles)
        assert "of 48; the other" in " ".join(figure.get_supxlabel().split())


def test_more_runs_than_colours_share_a_grey_and_long_names_keep_what_differs() -> None:
    runs = [f"models:/a-very-long-name-of-a-model/${at}$" for at in range(9)]
    table = trainings(runs=runs, tasks=("keyword",), layers=1, steps=STEPS[:3])
    study = Correlated(study_of(table, lambda *_: too_few()))
    (names,) = rank_against_score(study, table, "rank_frame", study.outcomes[0]).legends
    labels = [text.get_text() for text in names.texts]
    assert len(set(labels)) == 8
    assert labels[-1] == OTHER_RUNS
    assert labels[0].endswith("\\$0\\$")


def test_random_weights_are_a_line_and_the_window_is_shaded_where_the_table_holds_more(study: Correlated) -> None:
    figure = rank_and_score(study, TABLE, "rank_frame", study.outcomes[:2])
    above = figure.axes[0]
    level = next(line for line in above.lines if line.get_label() == RANDOM)
    expected = [each.ranks["rank_frame"] for each in TABLE.observations if each.step == 0 and each.layer == 0]
    assert level.get_ydata()[0] == pytest.approx(np.mean(expected))
    assert len(above.patches) == 1
    assert "(shaded)" in figure.get_supxlabel()
    within = rank_and_score(study, TABLE.where(lambda each: each.step >= STEPS[0]), "rank_frame", study.outcomes[:2])
    assert not within.axes[0].patches
    assert RANDOM not in {text.get_text() for text in within.legends[0].texts}
