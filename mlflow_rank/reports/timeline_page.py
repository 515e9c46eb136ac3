"""A monitored run as one page: how it stands, what each alarm says and asks for, the figure, and every layer in a row.

It needs no network and no script, is readable at 500 pixels (MLflow shows it in a frame of that width), and follows the
reader's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.reports.page import page, said
from mlflow_rank.reports.timeline_figure import KIND_COLOURS
from mlflow_rank.reports.timeline_series import (
    Mark,
    charts_of,
    headline,
    kind_name,
    layers_named,
    layers_of,
    levels_of,
    marks_of,
    percent,
    readings_of,
    shares_of_first,
    thinned,
)

_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_POINTS = 90, 18, 120  # pixels, and points that such a line can show
_UNKNOWN = "–"
_SAID_LAST = (
    "Ranks are plug-in values on a small fixed probe set: comparable from step to step of this run, and with nothing "
    "else. Random weights rank highest; the early fall from them, the recovery after it and a slow late compression "
    "are healthy."
)
_STYLE = """
.alarm { border-left: 6px solid; outline: 1px solid #8886; padding: 4px 10px; margin: 10px 0; }
.alarm b.letter { display: inline-block; min-width: 1.2em; padding: 0 .3em; text-align: center; color: #fff;
  border-radius: 3px; outline: 1px solid #fff8; }
.closed { opacity: .8; } td.lit { font-weight: 700; }
td svg { display: block; margin-left: auto; } polyline { fill: none; stroke: currentColor; stroke-width: 1.3; }
"""


def timeline_page(verdicts: Sequence[Verdict], figure_svg: str = "") -> str:
    """Return the page of a run as HTML.

    Args:
        verdicts: of the run, at least one.
        figure_svg: the text of `timeline_figure` as SVG; nothing: the page has no figure.
    """
    return page(headline(verdicts), _body(verdicts, figure_svg), _STYLE)


def _body(verdicts: Sequence[Verdict], figure_svg: str) -> Iterator[str]:
    yield f'<p class="soft">{said(_scope(verdicts))}</p>'
    for mark in sorted(marks_of(verdicts), key=lambda each: not each.alarm.is_open):
        yield from _alarm(mark)
    yield from _figure(figure_svg)
    yield from _table(thinned(verdicts, _SPARK_POINTS))
    yield f'<p class="soft">{_SAID_LAST}</p>'


def _scope(verdicts: Sequence[Verdict]) -> str:
    point, first = verdicts[-1].point, verdicts[0].point
    spent = sum(verdict.point.seconds for verdict in verdicts)
    phases = dict.fromkeys(chart.phase for chart in verdicts[-1].charts if chart.level == "frame")
    charts = f"; charts are {' or '.join(phases)}" if phases else ""
    points = f"{len(verdicts):,} point{'s' * (len(verdicts) != 1)}"
    return f"{points}, steps {first.step:,} to {point.step:,}, {spent:.0f} s of listening in all{charts}"


def _alarm(mark: Mark) -> Iterator[str]:
    alarm, colour = mark.alarm, KIND_COLOURS[mark.alarm.kind]
    state = "open" if alarm.is_open else f"over since step {mark.until:,}"
    yield f'<div class="alarm {"" if alarm.is_open else "closed"}" style="border-color: {colour}">'
    yield (
        f'<p><b class="letter" style="background: {colour}">{said(mark.letter)}</b> '
        f"<b>{said(kind_name(alarm))}</b>, {said(state)}: {said(layers_named(alarm.layers))}, "
        f"first seen at step {alarm.since_step:,}, raised at step {alarm.raised_step:,}</p>"
    )
    yield f"<p>{said(alarm.saw)} {said(alarm.sure)}</p>"
    if alarm.is_open:
        yield f"<p><b>What to do:</b> {said(alarm.next)}</p>"
    yield "</div>"


def _figure(svg: str) -> Iterator[str]:
    if "<svg" in svg:
        yield f"<figure>{svg[svg.index('<svg') :].strip()}</figure>"


def _table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield every layer, the last one first: what is nearest to the loss is on top, as in the heat maps."""
    levels, first = levels_of(verdicts), verdicts[0].point.step
    alarmed = {layer for alarm in verdicts[-1].alarms if alarm.is_open for layer in alarm.layers}
    if len(alarmed) == len(layers_of(verdicts)):
        alarmed = set()
    titles = ["layer", f"{levels[0]} rank, all steps", "now", f"% of step {first:,}", "% from trend", "uncentred"]
    titles += [f"{level} rank" for level in levels[1:]]
    yield '<h2>Every layer, at the last point</h2><div class="wide"><table>'
    yield "<tr>" + "".join(f"<th>{said(title)}</th>" for title in titles) + "</tr>"
    for layer in reversed(layers_of(verdicts)):
        ranks = {level: readings_of(verdicts, layer, level) for level in levels}
        main = ranks[levels[0]]
        chart = charts_of(verdicts[-1:], layer, levels[0])[0]
        cells = [
            _number(main[-1]),
            _number(100 * shares_of_first(main)[-1], 0),
            _number(percent(None if chart is None else chart.residual), signed=True),
            _number(readings_of(verdicts[-1:], layer, levels[0], "rank_uncentred")[0]),
            *(_number(ranks[level][-1]) for level in levels[1:]),
        ]
        lit = ' class="lit"' if layer in alarmed else ""
        row = "".join(f"<td{lit}>{said(cell)}</td>" for cell in cells)
        line = _spark([verdict.point.step for verdict in verdicts], main)
        yield f"<tr><td{lit}>{layer}</td><td>{line}</td>{row}</tr>"
    yield "</table></div>"


def _spark(steps: Sequence[int], values: Sequence[float]) -> str:
    """Return a line without axes, from 0 to the highest value, broken where there is none."""
    top, long = max(filter(math.isfinite, values), default=0.0), steps[-1] - steps[0]
    if not top or not long:
        return ""
    parts: list[list[str]] = [[]]
    for step, value in zip(steps, values, strict=True):
        if math.isfinite(value):
            x = _SPARK_WIDTH * (step - steps[0]) / long
            parts[-1].append(f"{x:.1f},{1 + (_SPARK_HEIGHT - 2) * (1 - value / top):.1f}")
        elif parts[-1]:
            parts.append([])
    lines = "".join(f'<polyline points="{" ".join(part)}"/>' for part in parts if part)
    return f'<svg width="{_SPARK_WIDTH}" height="{_SPARK_HEIGHT}" aria-hidden="true">{lines}</svg>'


def _number(value: float, digits: int = 1, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return _UNKNOWN
    return f"{value:{'+' if signed else ''}.{digits}f}"
