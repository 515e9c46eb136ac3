"""The timeline of a monitored run: the figure, the page, and what both are made of."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from verdicts import alarm, verdict, verdicts

from mlflow_rank.monitoring.verdict import ChartValue, Verdict
from mlflow_rank.reports.timeline import draw_timeline
from mlflow_rank.reports.timeline_figure import CENTRED, LIMITS, UNCENTRED, timeline_figure
from mlflow_rank.reports.timeline_page import timeline_page
from mlflow_rank.reports.timeline_series import headline, lowest_layer, marks_of, most_telling_layers, thinned

STEPS = [0, 1, 2, 4, 8, 16, *range(20, 300, 20)]


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith(title)]
    return found


def line(axes: Axes, label: str) -> np.ndarray[Any, Any]:
    return np.asarray(next(each for each in axes.lines if each.get_label() == label).get_xydata())


def fallen(each: Verdict, layer: int, residual: float) -> Verdict:
    charts = tuple(
        replace(chart, residual=residual) if chart.layer == layer and chart.residual is not None else chart
        for chart in each.charts
    )
    return replace(each, charts=charts)


def test_each_layer_has_its_ranks_and_where_it_began() -> None:
    axes = panel(timeline_figure(verdicts(STEPS)), "layer 2")
    assert line(axes, CENTRED).tolist() == [[step, pytest.approx(78 + 0.01 * step)] for step in STEPS]
    assert line(axes, UNCENTRED)[:, 1] == pytest.approx(0.6 * line(axes, CENTRED)[:, 1])
    assert line(axes, "at the first point")[:, 1].tolist() == [78.0, 78.0]


def test_the_heat_map_shows_every_layer_as_a_share_of_its_beginning() -> None:
    axes = panel(timeline_figure(verdicts(STEPS, layers=48)), "rank of frames")
    shown = np.ma.getdata(axes.collections[0].get_array())
    assert shown.shape == (48, len(STEPS))
    assert shown[:, 0] == pytest.approx(100.0)
    assert shown[2, -1] == pytest.approx(100 * (78 + 0.01 * STEPS[-1]) / 78)


def test_the_chart_shows_the_layer_to_look_at_with_its_limits() -> None:
    told = [fallen(each, 1, -0.08) for each in verdicts(STEPS)]
    axes = panel(timeline_figure(told), "control chart")
    assert lowest_layer(told, "frame") == 1
    assert line(axes, "layer 1")[-1] == pytest.approx([280, 100 * math.expm1(-0.08)])
    assert line(axes, LIMITS)[-1, 1] == pytest.approx(100 * math.expm1(-0.1))


def test_an_alarm_is_marked_in_its_layers_for_as_long_as_it_held() -> None:
    opened = alarm(since=100, layers=(1, 2))
    over = alarm("divergence", since=20, layers=(0,), closed_step=60)
    told = [*verdicts(STEPS[:-1]), verdict(STEPS[-1], alarms=[over, opened])]
    figure = timeline_figure(told)
    assert [mark.line for mark in marks_of(told)] == [
        "A  divergence, steps 20 to 60, layer 0",
        "B  dimensional collapse, open since step 100, layers 1–2",
    ]
    beneath = figure.get_supxlabel()
    assert all(
        mark.line in " ".join(beneath.split()).replace("A d", "A  d").replace("B d", "B  d") for mark in marks_of(told)
    )
    frames = [patch.get_bbox().bounds for patch in panel(figure, "rank of frames").patches]
    assert frames == [(20.0, -0.5, 40.0, 1.0), (100.0, 0.5, 180.0, 2.0)]
    assert len(panel(figure, "layer 0").patches) == 1
    assert len(panel(figure, "training loss").patches) == 2


def test_letters_go_on_after_z() -> None:
    many = [alarm(since=step) for step in range(30)]
    letters = [mark.letter for mark in marks_of([verdict(40, alarms=many)])]
    assert (letters[0], letters[25], letters[26], letters[29]) == ("A", "Z", "A2", "D2")


def test_headlines_say_how_a_run_stands() -> None:
    assert headline([verdict(40)]) == "No alarm until step 40"
    assert headline([verdict(1200, alarms=[alarm()])]) == "ALARM at step 1,200: dimensional collapse"
    over = alarm(closed_step=30)
    assert headline([verdict(40, alarms=[over])]) == "No alarm is open at step 40; 1 alarm was"


def test_of_many_layers_those_with_alarms_are_among_the_few_that_are_drawn() -> None:
    told = [*verdicts(STEPS[:-1], layers=48), verdict(STEPS[-1], layers=48, alarms=[alarm(layers=(17, 18, 19))])]
    shown = most_telling_layers(told, "frame", 12)
    assert len(shown) == 12
    assert shown == sorted(shown)
    assert {0, 17, 19} <= set(shown)
    assert most_telling_layers(verdicts(STEPS), "frame", 12) == [0, 1, 2]


def test_a_long_run_is_thinned_to_what_fell_lowest() -> None:
    told = verdicts(range(20, 3020), layers=1)
    told[1234] = fallen(told[1234], 0, -0.3)
    kept = thinned(told, 100)
    assert len(kept) == 100
    assert (kept[0], kept[-1]) == (told[0], told[-1])
    assert told[1234] in kept
    steps = [each.point.step for each in kept]
    assert steps == sorted(set(steps))
    assert max(after - before for before, after in itertools.pairwise(steps)) < 70


@pytest.mark.parametrize(
    "told",
    [
        verdicts([0], layers=1),
        verdicts(STEPS, rank=None, rank_uncentred=None, cause="NaN", loss=math.nan, layers=2),
        verdicts(STEPS, layers=1, rank=0.0, loss=None),
    ],
    ids=["one point", "no numbers", "a rank of nothing"],
)
def test_any_run_can_be_drawn(told: list[Verdict], tmp_path: Path) -> None:
    paths = draw_timeline(told, tmp_path)
    assert sorted(path.name for path in paths) == ["timeline.html", "timeline.png", "timeline.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_a_run_without_layers_is_not_drawn(tmp_path: Path) -> None:
    assert draw_timeline(verdicts([0], layers=0), tmp_path) == []
    assert draw_timeline([], tmp_path) == []


class Page(HTMLParser):
    """The tags that are open, and all addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in {"src", "href", "xlink:href", "action"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_no_network_and_no_script(tmp_path: Path) -> None:
    draw_timeline(verdicts(STEPS, layers=1), tmp_path)
    page = Page((tmp_path / "timeline.html").read_text())
    assert page.open == []
    assert all(address.startswith(("#", "data:image/png")) for address in page.addresses)
    assert "<script" not in (tmp_path / "timeline.html").read_text()


def test_the_page_says_what_open_alarms_ask_for_and_tells_of_every_layer() -> None:
    told = [*verdicts(STEPS[:-1], layers=48), verdict(280, layers=48, alarms=[alarm(since=100, layers=(3, 4))])]
    words = " ".join(Page(timeline_page(told)).words)
    assert "Look at the learning rate." in words
    assert "layers 3–4" in words
    rows = re.findall(r"<tr><td.*?</tr>", timeline_page(told))
    assert [int(re.findall(r"<td[^>]*>(\d+)</td>", row)[0]) for row in rows] == list(range(47, -1, -1))


def test_what_was_not_read_is_no_number_in_the_page() -> None:
    told = verdicts(STEPS, rank=None, cause="NaN")
    assert "nan" not in timeline_page(told).lower().replace("font-variant-numeric", "")


def test_text_of_others_stays_text() -> None:
    hostile = alarm(saw="<img src=x onerror=alert(1)>\x1b[31m", layers=(0,))
    page = timeline_page([verdict(40, alarms=[hostile])])
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;img" in page


def test_a_chart_that_is_missing_is_no_failure() -> None:
    bare = replace(verdict(40), charts=(ChartValue(0, "frame", "calibrating"),))
    assert "–" in timeline_page([verdict(20), bare])
