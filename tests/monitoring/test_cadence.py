from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.cadence import Cadence


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1e5

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def scheduled(every: int, count: int) -> list[int]:
    cadence, steps = Cadence(every), [0]
    while len(steps) < count:
        steps.append(cadence.scheduled(steps[-1] + 1))
    return steps


class Training:
    """A training that does what monitors do at due steps, and notes when points began and what they had cost."""

    def __init__(self, cadence: Cadence, clock: Clock) -> None:
        self.cadence, self.clock = cadence, clock
        self.points: list[int] = []
        self.checks = 0
        self.shares: list[float] = []  # spent after each point, as a share of the training's own time
        self.trained = self.spent = 0.0

    def run(self, steps: range, *, pace: float | list[float], cost: float | list[float]) -> Training:
        for step in steps:
            if self.cadence.due(step):
                self._due(step, cost if isinstance(cost, float) else cost[len(self.points) % len(cost)])
            seconds = 1 / (pace if isinstance(pace, float) else pace[step % len(pace)])
            self.clock.passes(seconds)
            self.trained += seconds
        return self

    def _due(self, step: int, cost: float) -> None:
        self.checks += 1
        if not self.cadence.affords(step):
            assert self.cadence.postponed(step) > step
            return
        with self.cadence.spending():
            self.clock.passes(cost)
        self.spent += cost
        self.points.append(step)
        self.shares.append(self.spent / self.trained if self.trained else math.inf)
        assert self.cadence.plan(step) > step


def begun(every: int = 200, max_overhead: float | None = 0.01, step: int = 0, last: int | None = None) -> Training:
    clock = Clock()
    cadence = Cadence(every, max_overhead, clock=clock)
    cadence.begin(step, last=last)
    return Training(cadence, clock)


def test_points_are_log_spaced_until_they_lie_every_steps_apart() -> None:
    assert scheduled(200, 12) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 400, 600]
    assert scheduled(20, 8) == [0, 1, 2, 4, 8, 16, 32, 40]
    assert scheduled(256, 11) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert scheduled(1, 5) == [0, 1, 2, 3, 4]


@given(st.integers(1, 5000), st.integers(0, 10**7))
def test_the_next_scheduled_step_is_scheduled_itself_and_never_further_than_every(every: int, step: int) -> None:
    cadence = Cadence(every)
    found = cadence.scheduled(step)
    assert found >= step
    assert cadence.scheduled(found) == found
    assert step == 0 or found - step < max(every, step)


def test_without_a_budget_every_scheduled_step_has_its_point() -> None:
    training = begun(max_overhead=None).run(range(1001), pace=2.0, cost=30.0)
    assert training.points == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 400, 600, 800, 1000]


def test_cheap_points_are_taken_at_all_scheduled_steps_after_the_reference_is_paid_for() -> None:
    training = begun().run(range(2001), pace=1.0, cost=0.1)  # two of them are affordable from 20 s on
    assert training.points == [0, 32, 64, 128, 256, *range(400, 2001, 200)]
    assert training.cadence.overhead == pytest.approx(0.1 * len(training.points) / 2001)


def test_dear_points_are_thinned_to_multiples_of_every() -> None:
    training = begun().run(range(100_001), pace=2.0, cost=5.0)  # one in 1,000 steps at most
    assert all(step % 200 == 0 for step in training.points)
    assert 95 <= len(training.points) <= 101
    assert training.checks <= 2 * len(
        training.points
    )  # a wrong guess of the pace costs no more than a look at the clock
    assert training.cadence.overhead <= 0.01


@settings(max_examples=60, deadline=None)
@given(
    every=st.integers(1, 300),
    share=st.sampled_from([0.001, 0.01, 0.1, 0.5]),
    paces=st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40),
    costs=st.lists(st.floats(0.001, 60.0), min_size=1, max_size=10),
)
def test_the_budget_is_kept_whatever_points_cost_and_however_training_goes(
    every: int, share: float, paces: list[float], costs: list[float]
) -> None:
    training = begun(every, share).run(range(1500), pace=paces, cost=costs)
    assert training.points[0] == 0
    spent = dearest = 0.0
    for number, after in enumerate(training.shares):
        cost = costs[number % len(costs)]
        spent += cost
        # The clock cannot know that a point will be dearer than all before: then by so much, and it is paid back first.
        excess = max(0.0, cost - dearest)
        if number > 0:
            assert after * (spent - excess) <= spent * share * (1 + 1e-9)
        dearest = max(dearest, cost)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 20.0), min_size=1, max_size=40), st.floats(0.01, 5.0))
def test_points_that_cost_alike_never_take_more_than_their_share(paces: list[float], cost: float) -> None:
    training = begun(50).run(range(3000), pace=paces, cost=cost)
    assert all(share <= 0.01 * (1 + 1e-9) for share in training.shares[1:])


def test_training_that_grows_faster_than_planned_is_found_at_the_due_step() -> None:
    training = begun(every=10)
    training.run(range(50), pace=1.0, cost=1.0)
    assert training.points == [0]
    assert training.cadence.next_step >= 128
    training.run(range(50, 30_000), pace=100.0, cost=1.0)
    assert training.checks > len(training.points) > 2
    assert all(share <= 0.01 * (1 + 1e-9) for share in training.shares[1:])


def test_a_resumed_run_goes_on_with_its_schedule() -> None:
    def first_due(step: int, last: int | None) -> int:
        return begun(step=step, last=last).cadence.next_step

    assert first_due(5000, last=5000) == 5200
    assert first_due(5000, last=4800) == 5000
    assert first_due(5050, last=4000) == 5200
    assert first_due(5050, last=None) == 5050  # with no chart to go on with, this is its reference
    assert first_due(3, last=2) == 4


def test_a_resumed_run_that_knows_the_cost_takes_no_point_on_credit() -> None:
    clock = Clock()
    cadence = Cadence(clock=clock)
    cadence.begin(5000, last=5000, cost=4.0)
    training = Training(cadence, clock).run(range(5000, 8000), pace=2.0, cost=4.0)
    assert training.points == [5800, 6600, 7400]
    assert all(share <= 0.01 for share in training.shares)


def test_a_training_that_begins_anew_begins_with_nothing_spent() -> None:
    training = begun().run(range(2000), pace=1.0, cost=4.0)
    training.cadence.begin(2000)
    again = Training(training.cadence, training.clock).run(range(2000, 4000), pace=1.0, cost=4.0)
    assert training.points == [0, 800, 1200, 1600]
    assert again.points == [2000, 2800, 3200, 3600]
    assert training.cadence.overhead == pytest.approx(again.spent / again.trained)


def test_a_point_that_fails_is_paid_for_as_well() -> None:
    training = begun()

    def fail() -> None:
        training.clock.passes(3.0)
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"), training.cadence.spending():
        fail()
    training.cadence.plan(0)
    training.clock.passes(100.0)
    assert not training.cadence.affords(1)
    assert training.cadence.overhead == pytest.approx(0.03)


def test_between_points_nobody_looks_at_the_clock() -> None:
    training = begun()
    training.run(range(1), pace=1.0, cost=1.0)
    training.cadence._clock = lambda: pytest.fail("the clock was read")
    assert not training.cadence.due(0)


@pytest.mark.parametrize(
    ("every", "share"), [(0, 0.01), (-1, 0.01), (2.5, 0.01), (True, 0.01), (200, 0.0), (200, 1.0), (200, math.nan)]
)
def test_a_cadence_that_makes_no_sense_is_refused(every: int, share: float) -> None:
    with pytest.raises(UsageError, match="bad cadence"):
        Cadence(every, share)
