from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from correlated import STEPS, number, study_of, too_few, trainings

from mlflow_rank.reports.studies.correlation.about import about
from mlflow_rank.reports.studies.correlation.results import Correlated, Family, Known, Unknown, read_result
from mlflow_rank.reports.studies.correlation.standing import Choice, Tracking, choice_of, standing_of
from mlflow_rank.reports.studies.correlation.words import verdicts

ONE = trainings(tasks=("keyword",))
SURE, UNSURE = 0.001, 0.4


def _found(values: Mapping[int, tuple[float, float]], smallest: float = 1e-6) -> dict[int, Known | Unknown]:
    return {
        layer: read_result(number(value, adjusted=adjusted, smallest=smallest))
        for layer, (value, adjusted) in values.items()
    }


def _words(within: Any, **more: Any) -> list[str]:
    return list(verdicts(Correlated(study_of(ONE, within, **more))))


@pytest.mark.parametrize(
    ("values", "tracking"),
    [
        ({0: (0.6, SURE), 1: (0.5, SURE), 2: (0.1, UNSURE)}, Tracking.TRACKED),
        ({0: (0.6, SURE), 1: (0.5, UNSURE), 2: (0.1, UNSURE)}, Tracking.PARTLY),
        ({0: (-0.6, SURE), 1: (0.5, UNSURE)}, Tracking.AGAINST),
        ({0: (-0.6, SURE), 1: (0.5, SURE)}, Tracking.MIXED),
        ({0: (0.9, UNSURE), 1: (0.9, UNSURE)}, Tracking.NOT_SHOWN),
        ({}, Tracking.NO_NUMBER),
    ],
)
def test_only_what_passed_the_correction_makes_rank_track(
    values: dict[int, tuple[float, float]], tracking: Tracking
) -> None:
    assert standing_of(_found(values), Family(10, 0, "holm")).tracking is tracking


def test_a_high_number_that_no_data_of_this_size_could_prove_is_too_few_not_missing() -> None:
    found = _found({0: (1.0, 1.0), 1: (1.0, 1.0)}, smallest=1 / 24)
    assert standing_of(found, Family(108, 0, "holm")).tracking is Tracking.TOO_FEW
    assert standing_of(found, Family(108, 0, "bh")).tracking is Tracking.NOT_SHOWN  # all as small would pass


@pytest.mark.parametrize(
    ("fixed", "last", "random", "choice"),
    [
        ((-0.03, -0.01), (-0.3, -0.2), (-0.3, -0.2), Choice.PICKED),
        ((-0.03, 0.01), (-0.3, -0.2), (-0.3, -0.2), Choice.BETTER_THAN_RANDOM),
        ((0.01, 0.03), (-0.3, -0.2), (-0.3, -0.2), Choice.WORSE),
        ((-0.03, 0.01), (-0.3, 0.2), (-0.3, 0.2), Choice.NOT_SHOWN),
        (None, None, None, Choice.OPEN),
    ],
)
def test_rank_picks_a_layer_only_where_intervals_say_so(fixed: Any, last: Any, random: Any, choice: Choice) -> None:
    given = {"fixed": fixed, "last": last, "random": random}
    more = {name: Known(sum(each or (0, 0)) / 2, each) for name, each in given.items()}
    assert choice_of(more) is choice


def test_a_choice_that_is_unknown_is_open() -> None:
    assert choice_of(dict.fromkeys(("fixed", "last", "random"), Unknown("not enough"))) is Choice.OPEN


def test_verdicts_begin_with_the_two_questions_for_both_headline_ranks() -> None:
    said = _words(lambda *_: number(0.6, adjusted=SURE))
    assert [sentence.split("?")[0] for sentence in said[:4]] == [
        "Does rank of frames track the pilot within a layer, beyond the trend",
        "Does RankMe-t track the pilot within a layer, beyond the trend",
        "Does rank of frames pick the layer",
        "Does RankMe-t pick the layer",
    ]
    assert said[0].endswith("? Yes: both pilot scores.")
    assert said[2].endswith("? No, worse than a layer chosen without rank: both pilot scores.")


def test_the_sentence_of_a_score_has_the_numbers_the_interval_and_the_layers() -> None:
    values = {0: 0.2, 1: 0.3, 2: 0.4, 3: 0.5, 4: 0.6, 5: 0.7}
    said = _words(lambda _rank, _score, layer: number(values[layer], adjusted=SURE if layer > 2 else UNSURE))
    (sentence,) = (each for each in said if each.startswith("Keyword in domain, within layers"))
    assert "rank of frames tracked it, partial Spearman +0.40 [+0.20, +0.60] in layer 2" in sentence
    assert (
        "the middle one of 6, +0.20 to +0.70 over all, 3 above 0 after Holm (+0.90 with the trend left in)" in sentence
    )


def test_the_sentence_on_the_layer_says_what_each_choice_lost_in_points() -> None:
    said = _words(lambda *_: number(0.6, adjusted=SURE))
    (sentence,) = (each for each in said if each.startswith("Keyword in domain, choice of layer"))
    assert "rank of frames did not pick it, worse than the layer best in the other runs and the last one" in sentence
    assert "lost 12.0 [7.0, 17.0] points to the pilot's best" in sentence
    assert "the last one 3.0 [2.0, 4.0]" in sentence


def test_below_the_minimum_there_is_a_count_and_no_number() -> None:
    nothing = dict.fromkeys(("rank", "fixed", "last", "random", "pilot"), too_few("layers", 2, 4))
    said = _words(lambda *_: too_few(), lost=nothing, more_lost=nothing, beside=lambda *_: too_few())
    assert said[0].endswith("? Not enough: both pilot scores.")
    (within,) = (each for each in said if each.startswith("Keyword in domain, within layers"))
    assert "not enough to say whether rank of frames tracked it (5 checkpoints of a run, 8 needed)" in within
    (choice,) = (each for each in said if each.startswith("Keyword in domain, choice of layer"))
    assert "(2 layers, 4 needed)" in choice
    assert not re.search(r"[+-]0\.\d\d|\d\.\d points", within + choice)


def test_the_step_alone_is_said_to_do_as_well_where_it_does() -> None:
    said = _words(lambda *_: number(0.6, adjusted=SURE))
    assert any("step alone" in each and "at least as closely as rank of frames for both" in each for each in said)
    better = _words(lambda *_: number(0.6, adjusted=SURE), beside=lambda *_: number(0.99))
    assert any("training step alone" in each and "less closely than rank of frames" in each for each in better)


def test_between_few_runs_the_smallest_p_is_said() -> None:
    said = _words(lambda *_: number(0.6, adjusted=SURE))[-1]
    assert "Between runs at the same step" in said
    assert "p cannot be below 0.042" in said


def test_a_constant_score_is_no_lack_of_data() -> None:
    said = _words(lambda *_: {"unknown": "the score never changes"})
    assert any("no number for rank of frames (the score never changes)" in each for each in said)


def test_how_it_was_got_names_the_window_the_tests_the_correction_and_the_seed() -> None:
    said = " ".join(about(Correlated(study_of(ONE, lambda *_: number(0.5, adjusted=SURE), correction="bh"))))
    for part in (f"steps {STEPS[0]} to {STEPS[-1]:,}", "36 tests", "Benjamini-Hochberg", "seed 3", "study predict"):
        assert part in said


def test_no_sentence_holds_a_number_that_is_not_finite() -> None:
    said = _words(lambda *_: number(float("nan"), adjusted=SURE))
    assert not any(re.search(r"\bnan\b|\binf\b", each) for each in said)
    assert any("no finite number" in each for each in said)
