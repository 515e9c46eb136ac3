"""Floors for rules from past versions with a known outcome, and how wrong the rules would have been.

A floor is proposed only where its number tells good versions from bad ones, and nothing is proposed that ranks alone
could pass. Every error is about training runs that the floors had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.studies.calibration.cases import Case, Cases, Quantity
from mlflow_rank.studies.calibration.conformal import Threshold, least_runs, threshold_of
from mlflow_rank.studies.calibration.error_rates import Decision, Errors, held_out_errors
from mlflow_rank.studies.calibration.retraining_envelope import NotEnough, RetrainingEnvelope
from mlflow_rank.studies.calibration.separation import Separation, separation_of

LEAST_RUNS = 4  # good and bad each: of three against three, chance alone separates 1 in 20; four against four, 1 in 70
MOST_VETOED = 0.2  # of good versions: a rank that refuses more costs more than a pilot beside it needs
DIGITS = {"rank": 2, "pilot": 4}  # behind the point of a limit
ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)  # of the curve of errors


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The held-out errors of a floor at one rate."""

    alpha: float
    promoted: float
    refused: float
    guaranteed: bool


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor under one quantity, what it is worth, and whether it is proposed; `because` says why or why not."""

    quantity: Quantity
    cases: tuple[Case, ...]
    separation: Separation
    threshold: Threshold
    errors: Errors
    proposed: bool
    because: str
    curve: tuple[TradeOff, ...]

    @property
    def limit(self) -> float:
        """What a rule asks for at least (an error rate: at most), as people know it: the next number in short writing.

        A rule lets its limit pass, and the threshold must not.
        """
        return _limit(self.quantity, self.threshold)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready; limits and numbers are those of the quantity as people know it."""
        return {
            **_named(self.quantity),
            "cases": [
                {"name": case.name, "good": case.good, "value": self.quantity.said(case.numbers[self.quantity.name])}
                for case in self.cases
            ],
            "separation": self.separation.document(),
            "threshold": self.threshold.document() | {"value": self.quantity.said(self.threshold.value)},
            "limit": self.limit,
            "errors": self.errors.document(),
            "proposed": self.proposed,
            "because": self.because,
            "curve": [
                {"alpha": each.alpha, "promoted": each.promoted, "refused": each.refused, "guaranteed": each.guaranteed}
                for each in self.curve
            ],
        }


@dataclass(frozen=True, slots=True)
class NoFloor:
    """A quantity under which no floor can be found, and why."""

    quantity: Quantity
    why: NotEnough
    proposed: bool = False

    @property
    def because(self) -> str:
        """Why, in words."""
        return str(self.why)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {**_named(self.quantity), **self.why.document(), "proposed": False}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Floors at a false-promotion rate, the errors of those that are proposed together, and the retraining envelope.

    `together` are the errors of all proposed floors at once, chosen anew without each training run; None where nothing
    is proposed. `about` is what else the document says.
    """

    alpha: float
    cases: Cases
    floors: tuple[Floor | NoFloor, ...]
    together: Errors | None
    envelope: RetrainingEnvelope | None
    about: Mapping[str, object]

    @property
    def proposed(self) -> tuple[Floor, ...]:
        """The floors that a policy may take; none at all where no pilot is among them."""
        found = tuple(floor for floor in self.floors if isinstance(floor, Floor) and floor.proposed)
        return found if any(floor.quantity.of == "pilot" for floor in found) else ()

    @property
    def least_runs(self) -> int:
        """How many bad trainings a guarantee at the rate takes."""
        return least_runs(self.alpha)

    def document(self) -> dict[str, object]:
        """Return the whole result, JSON-ready."""
        return {
            "kind": "Calibration",
            "alpha": self.alpha,
            "least_bad_runs_for_a_guarantee": self.least_runs,
            "versions": {
                name: dict(zip(("versions", "runs"), self.cases.counts(good), strict=True))
                for name, good in (("good", True), ("bad", False))
            },
            "unlabelled": list(self.cases.unlabelled),
            "unmatched": list(self.cases.unmatched),
            "floors": [floor.document() for floor in self.floors],
            "together": None if self.together is None else self.together.document(),
            "envelope": None if self.envelope is None else self.envelope.document(),
            **self.about,
        }


def calibrate(
    cases: Cases, alpha: float, *, envelope: RetrainingEnvelope | None = None, about: Mapping[str, object] | None = None
) -> Calibration:
    """Return floors for every quantity at a false-promotion rate, and their held-out errors.

    Args:
        cases: past versions with known outcome.
        alpha: how often a bad training may pass a floor, above 0 and at most .5.
        envelope: of repeated trainings.
        about: what else the result is to say of how it was got, JSON-ready.

    Raises:
        UsageError: no such rate.
    """
    least_runs(alpha)  # refuses a bad rate before anything is counted
    floors = tuple(_floor(cases.cases, quantity, alpha) for quantity in cases.quantities)
    found = Calibration(alpha, cases, floors, None, envelope, about or {})
    if not found.proposed:
        return found
    together = held_out_errors(cases.cases, _all_floors(cases.quantities, alpha))
    return Calibration(alpha, cases, floors, together, envelope, about or {})


def _floor(cases: Sequence[Case], quantity: Quantity, alpha: float) -> Floor | NoFloor:
    known = tuple(case for case in cases if quantity.name in case.numbers)
    for good, what in ((False, "training runs with a bad version"), (True, "training runs with a good version")):
        count = len({case.group for case in known if case.good is good})
        if count < LEAST_RUNS:
            return NoFloor(quantity, NotEnough(what, count, LEAST_RUNS))
    separation, threshold = separation_of(known, quantity.name), _threshold(known, quantity, alpha)
    proposed, because = _worth(known, quantity, separation, threshold)
    learn = _one_floor(quantity, alpha)
    errors = held_out_errors(known, learn)
    return Floor(quantity, known, separation, threshold, errors, proposed, because, _curve(known, quantity))


def _threshold(cases: Sequence[Case], quantity: Quantity, alpha: float) -> Threshold:
    bad: dict[str, list[float]] = {}
    for case in cases:
        if not case.good:
            bad.setdefault(case.group, []).append(case.numbers[quantity.name])
    return threshold_of(bad, [case.numbers[quantity.name] for case in cases if case.good], alpha)


def _worth(cases: Sequence[Case], quantity: Quantity, separation: Separation, threshold: Threshold) -> tuple[bool, str]:
    """Say whether a floor is worth a rule, and why."""
    if separation.says == "reversed":
        return False, f"bad versions have the higher numbers (area {separation})"
    if separation.says == "nothing":
        return False, f"it does not tell good versions from bad ones (area {separation})"
    good = [case.numbers[quantity.name] for case in cases if case.good]
    refused = sum(number <= threshold.value for number in good) / len(good)
    if refused == 1.0:
        return False, "at this rate no good version would pass"
    if quantity.of == "pilot" and not _can_be_asked(quantity, _limit(quantity, threshold)):
        return False, f"its limit would be {_limit(quantity, threshold):g}, which guessing reaches"
    if quantity.of == "rank" and refused > MOST_VETOED:
        most = f"{100 * MOST_VETOED:.0f} %"
        return False, f"as a veto it would refuse {100 * refused:.0f} % of the good versions, and {most} is the most"
    return True, f"good versions have the higher numbers (area {separation})"


def _limit(quantity: Quantity, threshold: Threshold) -> float:
    scale = 10 ** DIGITS[quantity.of]
    steps = math.floor(threshold.value * scale) + 1
    while steps / scale <= threshold.value:  # .57 times 10,000 is a little less than 5,700
        steps += 1
    return quantity.said(steps / scale)


def _can_be_asked(quantity: Quantity, limit: float) -> bool:
    """Say whether a rule about a score may have the limit: guessing must not reach it."""
    worse, better = (1.0, 0.0) if quantity.lower_is_better else (0.0, 1.0)
    chance = worse if quantity.chance is None else quantity.chance
    return better <= limit < chance if quantity.lower_is_better else chance < limit <= better


def _one_floor(quantity: Quantity, alpha: float) -> Callable[[Sequence[Case]], Decision]:
    """Return what learns one floor; without a bad version to learn from, it refuses."""

    def learn(cases: Sequence[Case]) -> Decision:
        if all(case.good for case in cases):
            return lambda case: False
        limit = _threshold(cases, quantity, alpha).value
        return lambda case: case.numbers[quantity.name] > limit

    return learn


def _all_floors(quantities: Sequence[Quantity], alpha: float) -> Callable[[Sequence[Case]], Decision]:
    """Return what chooses floors and learns them; an unknown number refuses, and so does the lack of a pilot."""

    def learn(cases: Sequence[Case]) -> Decision:
        limits: dict[Quantity, float] = {}
        for quantity in quantities:
            known = [case for case in cases if quantity.name in case.numbers]
            if len({case.good for case in known}) < 2:
                continue
            threshold = _threshold(known, quantity, alpha)
            if _worth(known, quantity, separation_of(known, quantity.name), threshold)[0]:
                limits[quantity] = threshold.value
        proving = any(quantity.of == "pilot" for quantity in limits)

        def decision(case: Case) -> bool:
            return proving and all(case.numbers.get(each.name, limit) > limit for each, limit in limits.items())

        return decision

    return learn


def _curve(cases: Sequence[Case], quantity: Quantity) -> tuple[TradeOff, ...]:
    points = []
    for alpha in ALPHAS:
        errors = held_out_errors(cases, _one_floor(quantity, alpha))
        guaranteed = _threshold(cases, quantity, alpha).guaranteed
        points.append(TradeOff(alpha, errors.promoted.share, errors.refused.share, guaranteed))
    return tuple(points)


def _named(quantity: Quantity) -> dict[str, object]:
    return {
        "quantity": quantity.name,
        "of": quantity.of,
        "layer": "lowest" if quantity.of == "rank" else quantity.layer,
        "lower_is_better": quantity.lower_is_better,
    }
