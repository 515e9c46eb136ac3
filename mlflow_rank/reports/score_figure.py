"""Score by layer as a figure, above the rank of the same layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, read_ranks
from mlflow_rank.registry.runs.measured_score import (
    LOWER_IS_BETTER,
    OUT_OF_DOMAIN,
    MeasuredScore,
    PilotTask,
    Scores,
    UnknownScore,
)
from mlflow_rank.reports.drawing import (
    BLUE,
    DASHES,
    DOTS,
    GREEN,
    INK,
    ORANGE,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    listed,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.pilot_words import known, metric_name, shots_name
from mlflow_rank.reports.subject import model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_ALONE, _INCHES_WITH_RANKS = (7.0, 4.6), (7.0, 6.8)

INSIDE, OUTSIDE = "in domain, 95 % interval", "out of domain, 95 % interval"
LOG_MEL, RANDOM, CHANCE, UNKNOWN = "log-mel features", "random weights", "chance", "unknown"
FRAMES, UTTERANCES = "rank of frames", "rank of utterance means"
_LEGEND = (INSIDE, OUTSIDE, RANDOM, LOG_MEL, CHANCE, UNKNOWN, FRAMES, UTTERANCES)


def score_by_layer(document: Document, task: PilotTask, measurement: Document | None = None) -> Figure:
    """Draw the primary score of each layer with its references, above the rank of the same layers where it is known.

    Scores are those with the most labels and the first head, in percent. A layer without a number is a cross on the
    axis with its cause beneath; no line crosses it. The layers that pilot and rank find best are named.

    Args:
        document: the pilot.
        task: one of its tasks.
        measurement: the ranks of the same encoder.

    """
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=_INCHES_ALONE if measurement is None else _INCHES_WITH_RANKS, layout="constrained", facecolor="white"
    )
    panels: Sequence[Axes] = (
        [figure.subplots()]
        if measurement is None
        else figure.subplots(2, 1, sharex=True, height_ratios=(1.35, 1))  # the decision is read in the upper one
    )
    scores, outside = task.scores(), task.scores(domain=OUT_OF_DOMAIN)
    above = panels[0]
    _draw_references(above, scores)
    _draw_scores(above, outside, ORANGE, "D", OUTSIDE)
    _draw_scores(above, scores, BLUE, "o", INSIDE)
    notes = _draw_unknown(above, scores)
    if any(known(outside)):
        notes.append("Random weights, log-mel features and chance are those in domain.")
    dress(above, f"score by layer, {shots_name(task.shots[-1]) if task.shots else 'no labels'}", score_axis(task))
    above.set_ylim(*score_scale(above, task))
    _name_layer(above, task.layer_choice("pilot_best"), "pilot's best")
    if measurement is not None:
        _draw_ranks(panels[1], measurement)
        dress(panels[1], "rank by layer", "effective rank")
        panels[1].set_ylim(0, 1.2 * panels[1].get_ylim()[1])
        _name_layer(panels[1], task.layer_choice("rank_best"), "highest rank")
        notes.append("Layers are chosen by the pilot; rank describes the representation and asks for no labels.")
    panels[-1].set_xlabel("layer   (0 enters the first block, then each block's output)", color=INK)
    title_over_legend(figure, f"{task.name} with {model_name(document)}, {task.head}", _LEGEND)
    write_notes(figure, notes)
    return figure


def _draw_scores(axes: Axes, scores: Scores, colour: str, marker: str, label: str) -> None:
    for run in _unbroken(scores.values()):
        layers, values = [_at(score) for score in run], [100 * score.value for score in run]
        axes.plot(layers, values, color=colour, lw=2.2, marker=marker, ms=5.5, label=label, zorder=4)
        bounded = [(_at(score), *score.interval) for score in run if score.interval is not None]
        for layer, low, high in bounded:
            axes.plot(
                [layer, layer],
                [100 * low, 100 * high],
                color=colour,
                lw=2.2,
                alpha=0.45,
                solid_capstyle="butt",
                zorder=3.9,
            )
        if bounded:
            spread, lows, highs = zip(*bounded, strict=True)
            axes.fill_between(
                spread,
                [100 * low for low in lows],
                [100 * high for high in highs],
                color=colour,
                alpha=0.13,
                lw=0,
                zorder=2,
            )


def _draw_references(axes: Axes, scores: Scores) -> None:
    single = [score for score in known(scores) if isinstance(score.layer, int)]
    random = [(_at(score), 100 * score.random) for score in single if score.random is not None]
    if random:
        axes.plot(*zip(*random, strict=True), color=RANDOM_GREY, lw=1.4, marker="s", ms=3.5, label=RANDOM, zorder=3)
    for name, colour, dashes, label in (("logmel", GREEN, DASHES, LOG_MEL), ("chance", SOFT_INK, DOTS, CHANCE)):
        value = next((getattr(score, name) for score in single if getattr(score, name) is not None), None)
        if value is not None:
            axes.axhline(100 * value, color=colour, lw=1.4, ls=dashes, label=label, zorder=1)


def _draw_unknown(axes: Axes, scores: Scores) -> list[str]:
    causes: dict[str, list[int]] = {}
    for layer, score in scores.items():
        if isinstance(score, UnknownScore) and isinstance(layer, int):
            causes.setdefault(score.cause, []).append(layer)
    layers = [layer for each in causes.values() for layer in each]
    if layers:
        axes.plot(
            layers, [0.02] * len(layers), "x", transform=axes.get_xaxis_transform(), color=INK, ms=8, mew=2,
            label=UNKNOWN, zorder=6,
        )  # fmt: skip
    return [f"× layer {listed(layers)}: {cause}" for cause, layers in causes.items()]


def _draw_ranks(axes: Axes, measurement: Document) -> None:
    for level, colour, marker, label in (("frame", INK, "o", FRAMES), ("utterance", "#9467BD", "^", UTTERANCES)):
        ranks = read_ranks(measurement, level=level, centred=True)
        runs: list[list[MeasuredRank]] = [[]]
        for rank in ranks:
            if isinstance(rank, MeasuredRank):
                runs[-1].append(rank)
            elif runs[-1]:
                runs.append([])
        for run in filter(None, runs):
            axes.plot(
                [r.layer for r in run], [r.value for r in run], color=colour, lw=1.8, marker=marker, ms=5, label=label
            )
            for rank in run:
                if rank.interval is not None:
                    axes.plot([rank.layer] * 2, rank.interval, color=colour, lw=2, alpha=0.4, solid_capstyle="butt")


def _name_layer(axes: Axes, layer: int | None, name: str) -> None:
    """Mark a layer at the top of a panel."""
    if layer is None:
        return
    axes.axvline(layer, color=SOFT_INK, lw=0.8, alpha=0.5, zorder=0.5)
    left = layer < sum(axes.get_xlim()) / 2
    axes.annotate(
        name, (layer, 1), xycoords=("data", "axes fraction"), xytext=(4 if left else -4, -2),
        textcoords="offset points", ha="left" if left else "right", va="top", fontsize=9, color=SOFT_INK,
    )  # fmt: skip


def _unbroken(scores: Iterable[MeasuredScore | UnknownScore]) -> list[list[MeasuredScore]]:
    """Return the stretches of layers that have a number, so that no line is drawn across an unknown one."""
    stretches: list[list[MeasuredScore]] = [[]]
    for score in scores:
        if isinstance(score, MeasuredScore) and isinstance(score.layer, int):
            stretches[-1].append(score)
        else:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def score_scale(axes: Axes, task: PilotTask) -> tuple[float, float]:
    """Return the whole range of a share, wider where an error rate passes it; room above for names."""
    return 0.0, max(118.0 if task.metrics[0] not in LOWER_IS_BETTER else 60.0, 1.05 * axes.get_ylim()[1])


def score_axis(task: PilotTask) -> str:
    """Return what the axis of scores is called."""
    return f"{metric_name(task.metrics[0])}, %" + (" (lower is better)" if task.metrics[0] in LOWER_IS_BETTER else "")


def _at(score: MeasuredScore) -> int:
    return score.layer if isinstance(score.layer, int) else -1
