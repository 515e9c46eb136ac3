from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection

from mlflow_rank.reports.figures import CENTRED, RANDOM, UNCENTRED, UNCORRECTED, UNKNOWN, rank_by_layer, save_figure

Make = Callable[..., dict[str, Any]]


def _points(axes: Axes, label: str) -> list[tuple[float, float]]:
    """Every point of the lines with a label, in order of layer."""
    lines = [line for line in axes.lines if line.get_label() == label]
    return sorted((float(x), float(y)) for line in lines for x, y in np.asarray(line.get_xydata()))


def test_the_lines_are_the_ranks_that_are_known(make_document: Make) -> None:
    frames, utterances = rank_by_layer(make_document()).axes
    assert _points(frames, CENTRED) == [(0, 40), (1, 45), (2, 50), (3, 55)]
    assert _points(frames, UNCENTRED) == [(0, 20), (1, 22.5), (2, 25), (3, 27.5)]
    assert _points(utterances, CENTRED) == [(0, 40), (1, 43), (3, 55)]


def test_no_line_crosses_an_unknown_layer_which_is_a_cross_with_its_cause_beneath(make_document: Make) -> None:
    figure = rank_by_layer(make_document())
    utterances = figure.axes[1]
    drawn = [list(line.get_xdata()) for line in utterances.lines if line.get_label() == CENTRED]
    assert drawn == [[0, 1], [3]]
    assert _points(utterances, UNKNOWN) == [(2, 0)]
    beneath = figure.get_supxlabel()
    assert beneath.startswith("× utterance means, layer 2: 60 rows for 100 dimensions")


def test_a_plug_in_number_is_drawn_hollow(make_document: Make) -> None:
    frames, utterances = rank_by_layer(make_document()).axes
    assert _points(utterances, UNCORRECTED) == [(1, 43)]
    assert _points(frames, UNCORRECTED) == []


def test_the_control_is_a_band_and_is_called_no_bar_to_beat(make_document: Make) -> None:
    figure = rank_by_layer(make_document(), make_document(spec="random:lab/hubert-small", scale=1.5))
    (band,) = [
        each
        for each in figure.axes[0].collections
        if isinstance(each, FillBetweenPolyCollection) and each.get_label() == RANDOM
    ]
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (57.0, 85.5)
    assert "not a bar to beat" in figure.get_supxlabel()


def test_dimensions_are_a_line_in_sight_and_a_note_beyond(make_document: Make) -> None:
    near = rank_by_layer(make_document()).axes[0]
    assert [line.get_ydata()[0] for line in near.lines if line.get_linestyle() == "--"] == [100]
    assert near.get_ylim()[1] > 100
    far = rank_by_layer(make_document(scale=0.1)).axes[0]
    assert far.get_ylim()[1] < 20
    assert [text.get_text() for text in far.texts] == ["D = 100 ↑"]


def test_the_title_says_model_audio_and_minutes(make_document: Make) -> None:
    (legend,) = rank_by_layer(make_document()).legends
    assert legend.get_title().get_text() == "hubert-small on 12 min of dev"
    assert [text.get_text() for text in legend.texts] == [CENTRED, UNCENTRED, UNCORRECTED, UNKNOWN]


def test_layers_of_different_widths_have_a_ceiling_each(make_document: Make) -> None:
    document = make_document()
    for row in document["ranks"]:
        row["dim"] = 60 + 20 * row["layer"]
    frames = rank_by_layer(document).axes[0]
    assert [list(line.get_ydata()) for line in frames.lines if line.get_linestyle() == "--"] == [[60, 80, 100, 120]]


def test_a_level_without_rows_says_so(make_document: Make) -> None:
    document = make_document()
    document["ranks"] = [row for row in document["ranks"] if row["level"] == "frame"]
    assert [text.get_text() for text in rank_by_layer(document).axes[1].texts] == ["not measured"]


def test_two_files_come_out_one_png_and_one_svg_that_is_the_same_every_time(
    make_document: Make, tmp_path: Path
) -> None:
    svg, png = save_figure(rank_by_layer(make_document()), tmp_path / "rank_by_layer.v1")
    assert (svg.name, png.name) == ("rank_by_layer.v1.svg", "rank_by_layer.v1.png")
    width, height = struct.unpack(">II", png.read_bytes()[16:24])  # PNG's first chunk, IHDR
    assert width >= 1000
    assert height >= 1000
    text = "".join(ElementTree.parse(svg).getroot().itertext())
    assert "hubert-small on 12 min of dev" in text
    again, _ = save_figure(rank_by_layer(make_document()), tmp_path / "again")
    assert again.read_bytes() == svg.read_bytes()


def test_nothing_is_left_in_pyplot(make_document: Make) -> None:
    rank_by_layer(make_document())
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
