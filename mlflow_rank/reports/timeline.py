"""The timeline of a monitored run, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.reports.drawing import save_figure
from mlflow_rank.reports.timeline_figure import timeline_figure
from mlflow_rank.reports.timeline_page import timeline_page

NAME = "timeline"


def draw_timeline(verdicts: Sequence[Verdict], folder: Path) -> list[Path]:
    """Write `timeline.svg`, `timeline.png` and `timeline.html` and return the paths; none where no layer was read.

    It takes some seconds of one core, so it is for now and then, not for every point.

    Args:
        verdicts: of the run, in the order of steps.
        folder: where to, an existing one.
    """
    if not any(verdict.point.readings for verdict in verdicts):
        return []
    figure = timeline_figure(verdicts)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)  # once, not for each file: it takes longer than drawing
        figure.set_layout_engine(None)
    svg, png = save_figure(figure, folder / NAME)
    page = folder / f"{NAME}.html"
    page.write_text(timeline_page(verdicts, svg.read_text(encoding="utf-8")), encoding="utf-8")
    return [svg, png, page]
