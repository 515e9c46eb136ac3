"""The planned power is the power that the planned test set has."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.group_intervals import Interval, difference
from mlflow_rank.probes.scores import METRICS, Replicates
from mlflow_rank.studies.planning.plan import Labelling, Listening, Plan, plan_need
from mlflow_rank.studies.planning.power import (
    Infeasible,
    Question,
    TestItems,
    design_effect,
    half_width,
    independent_discordance,
    items_needed,
    power,
    resolvable,
    speakers_needed,
    standard_error,
)

FIVE = Question("difference", 0.05)
MARGIN = Question("margin", 0.05)
PAIRED = TestItems(0.8, 0.1, 0.05)


def simulated(question: Question, expected: TestItems, items: int, speakers: int, *, rounds: int = 2000) -> float:
    """How often the interval over speakers shows it, on test sets as they are expected.

    An item adds −1, 0 or 1 to the paired difference; with probability √ρ it repeats what its speaker is like.
    """
    rng = np.random.default_rng(7)
    shift = question.size if question.kind == "difference" else 0.0
    assert expected.discordance is not None
    up, down = (expected.discordance + shift) / 2, (expected.discordance - shift) / 2
    each = items // speakers

    def drawn(*shape: int) -> np.ndarray:
        chance = rng.random(shape)
        return (chance < up).astype(float) - (chance > 1 - down)

    like = rng.random((rounds, speakers, each)) < math.sqrt(expected.intraclass)
    sets = np.where(like, drawn(rounds, speakers, 1), drawn(rounds, speakers, each))
    means = sets.mean(axis=2)
    error = means.std(axis=1, ddof=1) / math.sqrt(speakers)
    reach = stats.t.ppf(1 - question.alpha / 2, speakers - 1) * error
    if question.kind == "margin":
        return float((means.mean(axis=1) - reach > -question.size).mean())
    return float((np.abs(means.mean(axis=1)) > reach).mean())


def test_a_score_reads_no_better_because_the_other_encoder_has_items_of_its_own() -> None:
    labelling = Labelling(classes=10, per_class=5, per_speaker=20, item_seconds=1.0, speakers=40)
    apart = replace(PAIRED, discordance=None)
    need = plan_need(Question("difference", 0.1), apart, labelling)
    whole = Plan("keyword", apart, labelling, Listening(5.0), (), (need,))
    assert whole.test_items == 2 * need.items
    worth = need.items / design_effect(need.items, need.speakers, apart.intraclass)
    assert whole.score_half_width == half_width(apart.accuracy, worth)


@pytest.mark.parametrize("question", [FIVE, MARGIN], ids=["difference", "margin"])
@pytest.mark.parametrize(("discordance", "intraclass", "each"), [(0.2, 0.05, 20), (0.2, 0.0, 10), (0.35, 0.1, 30)])
def test_a_planned_test_set_has_the_power_asked_for(
    question: Question, discordance: float, intraclass: float, each: int
) -> None:
    expected = TestItems(0.8, discordance, intraclass)
    speakers = speakers_needed(question, expected, each)
    assert isinstance(speakers, int)

    found = simulated(question, expected, speakers * each, speakers, rounds=1500 if speakers > 100 else 4000)

    assert power(question, expected, speakers * each, speakers) == pytest.approx(question.power, abs=0.01)
    assert found == pytest.approx(question.power, abs=0.03)


def test_where_encoders_hardly_disagree_the_plan_errs_on_the_cautious_side() -> None:
    """Rare disagreements that mostly go one way are skewed, and t finds a little more of them than is planned for."""
    speakers = speakers_needed(FIVE, PAIRED, 20)
    assert isinstance(speakers, int)

    assert 0.8 <= simulated(FIVE, PAIRED, speakers * 20, speakers, rounds=4000) <= 0.86


def test_the_interval_of_a_pilot_finds_the_difference_as_often_as_planned() -> None:
    rng = np.random.default_rng(5)
    speakers, each = 30, 25
    expected = TestItems(0.8, 0.25, 0.0)
    question = Question("difference", 0.06)
    found = 0

    for _ in range(300):
        champion = rng.random((speakers, each)) < 0.8
        flips = rng.random((speakers, each))  # 0.155 of all items turn right, 0.095 wrong
        candidate = np.where(champion, flips >= 0.095 / 0.8, flips < 0.155 / 0.2)
        interval = difference(taken(candidate), taken(champion), pairing="same_items").interval
        assert isinstance(interval, Interval)
        found += interval.low > 0

    assert found / 300 == pytest.approx(power(question, expected, speakers * each, speakers), abs=0.07)


def taken(right: np.ndarray) -> Replicates:
    """The accuracy of one draw on items of speakers, as pilots keep it."""
    speakers, each = right.shape
    alone = right.mean(axis=1)
    without = (right.sum() - right.sum(axis=1)) / (right.size - each)
    names = tuple(f"s{number}" for number in range(speakers))
    full = np.array([right.mean()])
    items = (each,) * speakers
    return Replicates(METRICS["balanced_accuracy"], names, items, float(right.size), full, without[None], alone[None])


def test_items_of_few_speakers_have_the_power_planned() -> None:
    items = items_needed(MARGIN, PAIRED, 40)
    assert isinstance(items, int)

    assert simulated(MARGIN, PAIRED, items - items % 40, 40) == pytest.approx(0.8, abs=0.03)


def test_many_independent_items_need_as_many_as_the_published_formulas_say() -> None:
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    paired = z**2 * (0.2 - 0.05**2) / 0.05**2  # Connor (1987), with the variance of the alternative
    unpaired = z**2 * (0.8 * 0.2 + 0.75 * 0.25) / 0.05**2  # Fleiss, Levin & Paik (2003)

    assert items_needed(FIVE, TestItems(0.8, 0.2, 0.0), 100_000) == pytest.approx(paired, rel=0.01)
    assert items_needed(FIVE, TestItems(0.8, None, 0.0), 100_000) == pytest.approx(unpaired, rel=0.01)


def test_encoders_that_err_independently_gain_nothing_from_pairing() -> None:
    independent = TestItems(0.8, independent_discordance(0.8, 0.05), 0.0)

    assert independent.variance(FIVE) == pytest.approx(TestItems(0.8, None, 0.0).variance(FIVE))


@pytest.mark.parametrize(("items", "points"), [(100, 7.8), (250, 4.9), (1000, 2.5)])
def test_a_score_is_as_uncertain_as_wilson_says(items: int, points: float) -> None:
    low, high = stats.binomtest(items * 8 // 10, items).proportion_ci(method="wilson")

    assert half_width(0.8, items) == pytest.approx((high - low) / 2)
    assert 100 * half_width(0.8, items) == pytest.approx(points, abs=0.06)


def test_items_of_a_speaker_are_worth_less_the_more_there_are() -> None:
    assert design_effect(16, 16, 0.1) == 1.0
    assert design_effect(640, 16, 0.1) == pytest.approx(1 + 39 * 0.1)
    assert standard_error(FIVE, PAIRED, 640, 16) > standard_error(FIVE, PAIRED, 640, 64)


shares = st.floats(0.02, 0.4)


@settings(max_examples=40, deadline=None)
@given(shares, st.floats(0.3, 0.95), st.floats(0.0, 0.3), st.integers(2, 400), st.booleans())
def test_more_speakers_never_need_more_items(
    size: float, asked: float, alike: float, speakers: int, paired: bool
) -> None:
    question = Question("difference", size, asked)
    expected = TestItems(0.7, 0.5 if paired else None, alike)

    few, many = items_needed(question, expected, speakers), items_needed(question, expected, 2 * speakers)

    assert isinstance(few, Infeasible) or (isinstance(many, int) and many <= few)


@settings(max_examples=40, deadline=None)
@given(shares, st.floats(0.3, 0.9), st.integers(1, 60))
def test_more_that_is_asked_needs_more(size: float, asked: float, each: int) -> None:
    expected = TestItems(0.7, 0.5, 0.05)
    needed = speakers_needed(Question("difference", size, asked), expected, each)
    finer = speakers_needed(Question("difference", size * 0.8, asked), expected, each)
    surer = speakers_needed(Question("difference", size, asked + 0.08), expected, each)

    assert isinstance(needed, int)
    assert isinstance(finer, int)
    assert isinstance(surer, int)
    assert needed <= finer
    assert needed <= surer


def test_speakers_that_are_too_few_are_infeasible_whatever_the_items() -> None:
    found = items_needed(FIVE, TestItems(0.8, 0.3, 0.1), 8)

    assert isinstance(found, Infeasible)
    assert found.resolvable > 0.05
    assert found.needed is not None
    assert isinstance(items_needed(FIVE, TestItems(0.8, 0.3, 0.1), found.needed), int)
    assert isinstance(items_needed(FIVE, TestItems(0.8, 0.3, 0.1), found.needed - 1), Infeasible)


def test_what_a_set_resolves_is_what_it_shows_with_the_power_asked_for() -> None:
    smallest = resolvable(FIVE, PAIRED, 500, 25)

    assert power(Question("difference", smallest), PAIRED, 500, 25) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Question("difference", 0.0),
        lambda: Question("difference", float("nan")),
        lambda: Question("difference", 0.1, power=1.0),
        lambda: Question("difference", 0.1, power=0.04),
        lambda: Question("margin", 0.1, alpha=0.0),
        lambda: TestItems(1.0, 0.1),
        lambda: TestItems(0.8, 1.2),
        lambda: TestItems(0.8, 0.1, -0.1),
        lambda: items_needed(FIVE, PAIRED, 1),
        lambda: speakers_needed(FIVE, PAIRED, 0),
        lambda: items_needed(Question("difference", 0.2), PAIRED, 30),
    ],
    ids=range(11),
)
def test_numbers_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError):
        wrong()  # type: ignore[operator]


def test_where_next_to_nothing_is_shown_the_smallest_size_is_nearly_all() -> None:
    assert resolvable(Question("difference", 0.25, power=0.9375), TestItems(0.8, 0.1, 0.0), 2, 2) == pytest.approx(1.0)
