"""Small panels of a study's figures: which layers get one, what runs look like, and names that fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.reports.drawing import BLUE, GREEN, INK, ORANGE, SOFT_INK, listed, shortened
from mlflow_rank.reports.studies.correlation.results import Document
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.studies.trajectories import Trajectories

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 7.0  # inches, as all figures: at 500 pixels the smallest text is still 9 pixels high
COLUMNS, MOST_PANELS = 3, 12
SMALL = 9.5
OTHER_RUNS = "other runs"
_NAME_LENGTH = 22  # characters of a run's name of which three fit beside each other
# Okabe & Ito (2008), as in `drawing`; a run has a form as well.
_LOOKS = ((BLUE, "o"), (ORANGE, "D"), (GREEN, "^"), ("#CC79A7", "s"), ("#E69F00", "v"), ("#56B4E9", "P"), (INK, "X"))
_OTHER = (SOFT_INK, ".")
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """The colour, the marker and the name of a run in a figure."""

    colour: str
    marker: str
    label: str


def looks(runs: Sequence[str]) -> dict[str, Look]:
    """Return how runs look: seven differ, the others are grey and share a name."""
    found: dict[str, Look] = {}
    for at, run in enumerate(runs):
        told = at < len(_LOOKS)
        label = written(_ending(run), _NAME_LENGTH)
        taken = {each.label for each in found.values()}
        if told and label in taken:
            label = written(f"{at + 1}: {_ending(run)}", _NAME_LENGTH)
        found[run] = Look(*_LOOKS[at], label) if told else Look(*_OTHER, OTHER_RUNS)
    return found


def _ending(run: str) -> str:
    """Return a name, its beginning cut where it is long: runs differ at the end."""
    said = plain(run)
    return said if len(said) <= _NAME_LENGTH else f"…{said[len(said) - _NAME_LENGTH + 1 :]}"


def legend_order(shown: dict[str, Look], *more: str) -> list[str]:
    """Return the names of runs and other lines as a legend lists them."""
    return [*dict.fromkeys(each.label for each in shown.values()), *more]


def written(text: str, longest: int) -> str:
    r"""Return text that matplotlib draws as it stands: no formula, no name that a legend leaves out.

    >>> written("_seed$0$", 20), written("a long name", 6)
    ('seed\\$0\\$', 'a lon…')
    """
    return shortened(plain(text).lstrip("_") or "unnamed", longest).replace("$", r"\$")


def chosen_layers(layers: Sequence[int], most: int) -> list[int]:
    """Return layers that get a panel: all, or as many as fit, evenly from the first to the last.

    >>> chosen_layers(range(48), 4), chosen_layers([0, 1], 12)
    ([0, 16, 31, 47], [0, 1])
    """
    if len(layers) <= most:
        return list(layers)
    return [layers[int(0.5 + at * (len(layers) - 1) / (most - 1))] for at in range(most)]


def left_out(layers: Sequence[int], shown: Sequence[int], where: str) -> list[str]:
    """Return a note on the layers that have no panel."""
    missing = len(layers) - len(shown)
    return [f"Layers {listed(list(shown))} of {len(layers)}; the other {missing} are {where}."] if missing else []


def window_of(document: Document) -> tuple[int, int]:
    """Return the first and the last step that were studied."""
    return int(document["window"]["from_step"]), int(document["window"]["to_step"])


def in_window(document: Document, trajectories: Trajectories) -> Trajectories:
    """Return what was studied of a table that may hold more."""
    first, last = window_of(document)
    return trajectories.where(lambda each: first <= each.step <= last)


def by_run(trajectories: Trajectories, name: str) -> dict[tuple[str, int], tuple[Numbers, Numbers]]:
    """Return by run and layer the steps and a column, NaN where it is unknown.

    Scores are in percent as people know them: error rates are not negated.
    """
    values = trajectories.column(name)
    if name not in trajectories.predictors:
        values = values * (-100.0 if trajectories.outcome(name).lower_is_better else 100.0)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for each, value in zip(trajectories.observations, values, strict=True):
        found.setdefault((each.run, each.layer), []).append((each.step, float(value)))
    return {
        place: (np.array([s for s, _ in rows], float), np.array([v for _, v in rows])) for place, rows in found.items()
    }


def count_steps(axes: Axes, first: float, last: float, most: int = 4) -> None:
    """Give a panel a logarithmic axis of steps from 1 on, with few round numbers on it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    wide = (last / first) ** 0.04 if last > first else 1.5
    axes.set_xlim(first / wide, last * wide)
    axes.xaxis.set_major_locator(FixedLocator(round_steps(first, last, most)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_step(step)))
    axes.xaxis.set_minor_locator(NullLocator())


def round_steps(first: float, last: float, most: int) -> list[float]:
    """Return round numbers between two, at most so many: powers of ten, with 2 and 5 between them where they fit.

    >>> round_steps(25, 1600, 4), round_steps(1, 10**6, 4), round_steps(30, 45, 4)
    ([100.0, 1000.0], [1.0, 100.0, 10000.0, 1000000.0], [30, 45])
    """
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    coarser = ([10.0**power for power in powers if power % every == 0] for every in itertools.count(1))
    for steps in itertools.chain([[m * 10.0**power for power in powers for m in (1, 2, 5)]], coarser):
        inside = [step for step in steps if first <= step <= last]
        if len(inside) <= most:
            break
    return inside if len(inside) > 1 else sorted({first, last})


def short_step(step: float) -> str:
    """Return a step in few characters.

    >>> short_step(1600), short_step(20_000), short_step(2_500_000)
    ('1,600', '20k', '2.5M')
    """
    if step >= 1e6:
        return f"{step / 1e6:g}M"
    return f"{step / 1e3:g}k" if step >= 1e4 else f"{step:,.0f}"


def at_edge(at: int, count: int, columns: int = COLUMNS) -> tuple[bool, bool]:
    """Say whether a panel is the first of its row, and whether none is beneath it."""
    return at % columns == 0, at + columns >= count
