"""The look that all figures share: colours, axes, one legend under the title, notes beneath, and the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008): colours that stay apart for every common kind of colour vision; marks differ in form as well.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, SOFT_INK, BAND, GRID = "#222222", "#6B6B6B", "#C9C9C9", "#E8E8E8"
RANDOM_GREY = "#8A8A8A"
DASHES, DOTS = (0, (5, 3)), (0, (1, 2))
NOTE_CHARACTERS = 92  # of a line beneath the panels
_PIXELS_PER_INCH = 150
_LONGEST_TITLE = 60  # characters of the title that fit the width


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as `stem.svg` and `stem.png`, and return the two paths.

    The SVG holds text as text and no date, so the same measurement gives the same file.
    """
    import matplotlib as mpl

    svg, png = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mlflow_rank"}):
        figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png, dpi=_PIXELS_PER_INCH)
    return svg, png


def title_over_legend(figure: Figure, title: str, order: Sequence[str]) -> None:
    """Write the title above one legend for all panels: as the legend's own title, so that the two never overlap.

    Args:
        figure: whose panels have labelled lines.
        title: cut where it is too long.
        order: of the labels; those that no panel has are left out.

    """
    drawn = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = [label for label in order if label in drawn]
    legend = figure.legend(
        [drawn[label] for label in labels],
        labels,
        title=shortened(title),
        loc="outside upper left",
        alignment="left",
        ncols=3,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        title_fontproperties={"size": 13.5, "weight": "bold"},
    )
    legend.get_title().set_color(INK)


def write_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Write lines beneath the panels, wrapped to the width of the figure."""
    if notes:
        lines = "\n".join(fill(note, NOTE_CHARACTERS, subsequent_indent="   ") for note in notes)
        figure.supxlabel(lines, x=0.015, ha="left", fontsize=9.5, color=SOFT_INK)


def dress(axes: Axes, title: str, measure: str) -> None:
    """Give a panel its title, its vertical axis and a light grid; the horizontal axis counts in whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", color=INK)
    axes.set_ylabel(measure, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=13))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.tick_params(colors=INK, length=3, labelsize=10)


def listed(layers: list[int]) -> str:
    """Return ascending layers in few characters.

    >>> listed([0, 1, 2, 5, 7, 8])
    '0–2, 5, 7–8'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def shortened(text: str, longest: int = _LONGEST_TITLE) -> str:
    """Return the text, its end replaced by `…` where it is longer than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
