"""How far two trainings of one recipe differ: by hand, by simulation, and with too few of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.retraining_envelope import (
    NotEnough,
    RankEnvelope,
    ScoreEnvelope,
    Spread,
    retraining_envelope,
    spread_of,
)
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.trajectories import Observation, Outcome, Trajectories

KEYWORD = Outcome("pilot_keyword", "keyword", "in_domain", "balanced_accuracy")


def table(ranks: dict[str, list[list[float]]]) -> Trajectories:
    """Ranks by run, step and layer; the score is a hundredth of the rank."""
    return Trajectories(
        tuple(
            Observation(run, 100 * (at + 1), layer, None, {"rank_frame": rank}, {"pilot_keyword": rank / 100})
            for run, steps in ranks.items()
            for at, layers in enumerate(steps)
            for layer, rank in enumerate(layers)
        ),
        (KEYWORD,),
        Conventions({"rank.dtype": "float32"}),
    )


def test_the_spread_pools_variances_and_counts_trainings_not_steps() -> None:
    found = spread_of([{"a": 1.0, "b": 3.0}, {"a": 5.0, "b": 5.0, "c": 8.0}, {"c": 100.0}])
    assert found == Spread(math.sqrt((2.0 + 6.0) / 3), runs=3, cells=2)
    assert found.df == 2
    assert found.difference() == pytest.approx(t.ppf(0.975, 2) * math.sqrt(2) * found.sd)
    assert found.fall() == pytest.approx(t.ppf(0.95, 2) * math.sqrt(2) * found.sd)
    assert found.fall(5) == pytest.approx(t.ppf(0.99, 2) * math.sqrt(2) * found.sd)


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_a_pair_of_new_trainings_lies_within_in_95_percent(shared: float) -> None:
    """Steps of one training may go together fully (1) or not at all (0): the envelope holds either way."""
    rng, draws, inside = np.random.default_rng(7), 1000, 0
    for _ in range(draws):
        steps = shared * rng.normal(size=(6, 1)) + (1 - shared) * rng.normal(size=(6, 3))
        past = [{str(run): float(number) for run, number in enumerate(steps[:4, at])} for at in range(3)]
        found = spread_of(past)
        assert isinstance(found, Spread)
        inside += abs(steps[4, 0] - steps[5, 0]) <= found.difference()
    error = 3 * math.sqrt(0.95 * 0.05 / draws)
    assert inside / draws >= 0.95 - error
    if shared:
        assert inside / draws <= 0.95 + error


def test_ranks_are_compared_as_ratios_layer_by_layer() -> None:
    found = retraining_envelope(
        table({"a": [[10.0, 40.0]], "b": [[20.0, 40.0]]}), ["a", "b"], ranks=["rank_frame"], scores=[]
    )
    envelope = found.ranks["rank_frame"]
    assert isinstance(envelope, RankEnvelope)
    assert envelope.layers[0].sd == pytest.approx(math.log(2) / math.sqrt(2))
    assert envelope.layers[1].sd == 0.0
    assert envelope.least_ratio == pytest.approx(2 ** -t.ppf(1 - 0.05 / 2, 1))  # the widest layer, of two asked


def test_no_layer_of_a_new_pair_falls_below_the_least_ratio_in_95_percent() -> None:
    rng, draws, held = np.random.default_rng(11), 150, 0
    for _ in range(draws):
        ranks = np.exp(3 + 0.1 * rng.normal(size=(5, 2, 4)))
        past = table({str(run): ranks[run].tolist() for run in range(3)})
        envelope = retraining_envelope(past, past.runs, ranks=["rank_frame"], scores=[]).ranks["rank_frame"]
        assert isinstance(envelope, RankEnvelope)
        held += bool((ranks[3, 0] / ranks[4, 0]).min() >= envelope.least_ratio)
    assert held / draws >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / draws)


def test_scores_are_compared_at_the_best_layer() -> None:
    found = retraining_envelope(
        table({"a": [[10.0, 40.0]], "b": [[50.0, 20.0]]}), ["a", "b"], ranks=[], scores=["pilot_keyword"]
    )
    envelope = found.scores["pilot_keyword"]
    assert isinstance(envelope, ScoreEnvelope)
    assert envelope.spread.sd == pytest.approx(0.1 / math.sqrt(2))


def test_only_runs_that_repeat_the_recipe_and_steps_that_they_share_count() -> None:
    ranks = {"a": [[10.0], [11.0]], "b": [[20.0]], "other": [[99.0], [99.0]]}
    envelope = retraining_envelope(table(ranks), ["a", "b"], ranks=["rank_frame"], scores=[]).ranks["rank_frame"]
    assert isinstance(envelope, RankEnvelope)
    assert envelope.layers[0] == Spread(pytest.approx(math.log(2) / math.sqrt(2)), runs=2, cells=1)


def test_one_training_is_not_enough_and_that_is_said_with_numbers() -> None:
    found = retraining_envelope(table({"a": [[10.0]]}), ["a"], ranks=["rank_frame"], scores=["pilot_keyword"])
    assert isinstance(found.ranks["rank_frame"], NotEnough)
    assert isinstance(found.scores["pilot_keyword"], NotEnough)
    assert found.document()["scores"] == {
        "pilot_keyword": {"not_enough": "trainings of one recipe at a shared step", "n": 0, "minimum": 2}
    }


def test_a_run_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no such training run"):
        retraining_envelope(table({"a": [[10.0]]}), ["a", "b"], ranks=["rank_frame"], scores=[])


def test_trainings_that_do_not_differ_at_all_leave_no_envelope() -> None:
    twice = table({"a": [[10.0], [11.0]], "b": [[10.0], [11.0]]})
    found = retraining_envelope(twice, ["a", "b"], ranks=["rank_frame"], scores=[]).ranks["rank_frame"]
    assert str(found) == "not enough: 0 numbers that differ between trainings of one recipe, and 1 are the least"
