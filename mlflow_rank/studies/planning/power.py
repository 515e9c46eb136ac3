"""How surely a test set shows a difference between two encoders: by the interval that pilots have, before they are run.

The interval of a difference is Student's t with the speakers' degrees of freedom (`probes.group_intervals`), so its
power is read from the noncentral t. With many speakers that becomes the normal approximation of the textbooks: for
paired shares n = (z_{α/2} + z_β)² (ψ − d²) / d², Connor (1987), Sample size for testing differences in proportions for
the paired-sample design, Biometrics 43, with the null variance ψ replaced by that of the alternative, as Wald's
interval has it; for unpaired ones n = (z_{α/2} + z_β)² (p q + p' q') / d² (Fleiss, Levin & Paik 2003, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.group_intervals import INTRACLASS

MOST_ITEMS = 10_000_000  # nobody labels more; what these do not show, no number of items does
MOST_SPEAKERS = 1_000_000
FEWEST_SPEAKERS = 2  # the jackknife leaves one out
_NEARLY_ALL = 1.0 - 1e-12  # of the items: a share that is still below 1
NO_OTHER_TAIL = 5.0  # noncentrality from which less than 1e-6 lies beyond the other end; scipy gives NaN further out


@dataclass(frozen=True, slots=True)
class Question:
    """What a test set must be able to show, and how surely.

    `difference`: two encoders whose scores truly differ by `size` are told apart, at the two-sided level `alpha`.
    `margin`: an encoder that is truly as good as the champion is shown not to be worse by `size`, at the one-sided
    level `alpha`/2, which is what `pilot_not_worse` asks by the end of the 95 % interval when `alpha` is 0.05.

    Raises:
        UsageError: a number is no share between 0 and 1.
    """

    kind: Literal["difference", "margin"]
    size: float
    power: float = 0.8
    alpha: float = 0.05

    def __post_init__(self) -> None:
        for name, value in ((f"size of a {self.kind}", self.size), ("power", self.power), ("alpha", self.alpha)):
            _require_share(name, value)
        if self.power <= self.alpha:
            raise UsageError("no plan is needed for such a power", got=f"{self.power:g}", expected=f"> {self.alpha:g}")

    @property
    def level(self) -> str:
        """The level of the test, in words."""
        if self.kind == "difference":
            return f"two-sided, {self.alpha:g}"
        return f"one-sided, {self.alpha / 2:g} (end of the {100 * (1 - self.alpha):g} % interval)"


@dataclass(frozen=True, slots=True)
class TestItems:
    """What is expected of the test items, all numbers from 0 to 1.

    `accuracy` is the champion's score. `discordance` is the share of items that just one of two encoders calls right;
    None where they are tested on different items. `intraclass` is how alike the items of a speaker are.

    Raises:
        UsageError: a number is no share.
    """

    __test__ = False  # no test of ours, whatever its name begins with

    accuracy: float
    discordance: float | None
    intraclass: float = INTRACLASS

    def __post_init__(self) -> None:
        _require_share("accuracy", self.accuracy)
        if self.discordance is not None:
            _require_share("share of discordant items", self.discordance)
        if not 0.0 <= self.intraclass <= 1.0:
            raise UsageError("bad intraclass correlation", got=f"{self.intraclass:g}", expected="0 to 1")

    @property
    def paired(self) -> bool:
        """Whether both encoders are tested on the same items."""
        return self.discordance is not None

    def variance(self, question: Question) -> float:
        """Return the variance of what one item adds to the difference: ψ − d² where paired, else p q + p' q'.

        Raises:
            UsageError: encoders that differ by so much must disagree on more items than they are said to.
        """
        shift = question.size if question.kind == "difference" else 0.0
        if self.discordance is None:
            return max(_unpaired(self.accuracy, other) for other in _shifted(self.accuracy, shift))
        if self.discordance < shift:
            raise UsageError(
                "scores that differ by so much must disagree on at least as many items",
                got=f"a difference of {shift:g} with {self.discordance:g} of the items discordant",
                expected=f"a share of discordant items of {shift:g} or more",
            )
        return self.discordance - shift**2


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Why no number of items is enough: with so many speakers at best `resolvable` is shown; `speakers` would do."""

    speakers: int
    resolvable: float
    needed: int | None


def independent_discordance(accuracy: float, size: float) -> float:
    """Return the discordance of two encoders whose errors have nothing to do with each other: p(1 − p') + p'(1 − p).

    Encoders mostly fail on the same hard items, so they disagree on fewer; this is the cautious guess.

    >>> round(independent_discordance(0.8, 0.05), 3)
    0.35
    """
    return max(accuracy * (1 - other) + other * (1 - accuracy) for other in _shifted(accuracy, size))


def design_effect(items: float, speakers: float, intraclass: float) -> float:
    """Return 1 + (n/G − 1)ρ, by which the items of few speakers are worth less than independent ones (Kish 1965).

    >>> design_effect(640, 16, 0.1)
    4.9
    """
    return 1.0 + (max(items / speakers, 1.0) - 1.0) * intraclass


def half_width(accuracy: float, effective_items: float, alpha: float = 0.05) -> float:
    """Return half the width of Wilson's interval (1927) of a score on so many independent items.

    >>> [round(100 * half_width(0.8, n), 1) for n in (100, 250, 1000)]
    [7.8, 4.9, 2.5]
    """
    z = float(special.ndtri(1 - alpha / 2))
    shrink = z * z / effective_items
    return math.sqrt(shrink * accuracy * (1 - accuracy) + shrink * shrink / 4) / (1 + shrink)


def standard_error(question: Question, expected: TestItems, items: int, speakers: int) -> float:
    """Return the standard error of the difference on so many items in all (of each encoder, where unpaired).

    It is no less than that of one disagreement in n* + 2 items, as pilots have it however alike two encoders are.
    """
    inflated = design_effect(items, speakers, expected.intraclass)
    least = 1.0 / (items / design_effect(items, speakers, INTRACLASS) + 2.0)
    floor = least if expected.paired else math.hypot(least, least)
    return max(math.sqrt(expected.variance(question) * inflated / items), floor)


def power(question: Question, expected: TestItems, items: int, speakers: int) -> float:
    """Return how surely so many items in all, of so many speakers, show what is asked; from 0 to 1.

    Where there are fewer items than speakers, each item is of another speaker.
    """
    groups = min(speakers, items)
    if groups < FEWEST_SPEAKERS:
        return 0.0
    degrees = float(groups - 1) if expected.paired else 2.0 * (groups - 1)
    bar = float(special.stdtrit(degrees, 1 - question.alpha / 2))
    shift = question.size / standard_error(question, expected, items, groups)
    missed = float(special.nctdtr(degrees, shift, bar))
    above = 1.0 if math.isnan(missed) else 1.0 - missed  # scipy gives NaN for some far too good to be missed
    if question.kind == "margin" or shift > NO_OTHER_TAIL:
        return above
    return above + float(special.nctdtr(degrees, shift, -bar))


def items_needed(question: Question, expected: TestItems, speakers: int) -> int | Infeasible:
    """Return the fewest test items in all that so many speakers need; more speakers never need more items.

    Raises:
        UsageError: fewer than two speakers.
    """
    if speakers < FEWEST_SPEAKERS:
        raise UsageError("too few test speakers", got=str(speakers), expected=f"{FEWEST_SPEAKERS} or more")
    if power(question, expected, MOST_ITEMS, speakers) < question.power:
        return Infeasible(speakers, resolvable(question, expected, MOST_ITEMS, speakers), _enough(question, expected))
    return _least(lambda n: power(question, expected, n, speakers) >= question.power, FEWEST_SPEAKERS, MOST_ITEMS)


def speakers_needed(question: Question, expected: TestItems, items_per_speaker: int) -> int | Infeasible:
    """Return the fewest test speakers who say so many items each.

    Raises:
        UsageError: less than one item.
    """
    if items_per_speaker < 1:
        raise UsageError("too few items of a speaker", got=str(items_per_speaker), expected="1 or more")

    def shows(speakers: int) -> bool:
        return power(question, expected, speakers * items_per_speaker, speakers) >= question.power

    if not shows(MOST_SPEAKERS):
        best = resolvable(question, expected, MOST_SPEAKERS * items_per_speaker, MOST_SPEAKERS)
        return Infeasible(MOST_SPEAKERS, best, None)
    return _least(shows, FEWEST_SPEAKERS, MOST_SPEAKERS)


def resolvable(question: Question, expected: TestItems, items: int, speakers: int) -> float:
    """Return the smallest size that a test set shows with the power asked for; 1 where it shows none."""
    low, high = 0.0, 1.0
    for _ in range(40):  # halvings: far below any digit that is shown
        middle = (low + high) / 2
        if _shows(question, expected, middle, items, speakers):
            high = middle
        else:
            low = middle
    return high


def _shows(question: Question, expected: TestItems, size: float, items: int, speakers: int) -> bool:
    if not 0.0 < size < _NEARLY_ALL:
        return size >= _NEARLY_ALL
    asked = replace(question, size=size)
    if expected.discordance is not None:  # who differ by more disagree on more
        expected = replace(expected, discordance=min(max(expected.discordance, size), _NEARLY_ALL))
    return power(asked, expected, items, speakers) >= question.power


def _enough(question: Question, expected: TestItems) -> int | None:
    def shows(speakers: int) -> bool:
        return power(question, expected, MOST_ITEMS, speakers) >= question.power

    return _least(shows, FEWEST_SPEAKERS, MOST_SPEAKERS) if shows(MOST_SPEAKERS) else None


def _least(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least number from `low` to `high` for which something holds that holds for all above it."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _shifted(accuracy: float, shift: float) -> list[float]:
    """Return the scores that differ by so much from another, upwards and downwards, where they are scores."""
    return [other for other in (accuracy + shift, accuracy - shift) if 0.0 <= other <= 1.0] or [0.5]


def _unpaired(one: float, other: float) -> float:
    return one * (1 - one) + other * (1 - other)


def _require_share(name: str, value: float) -> None:
    if not (math.isfinite(value) and 0.0 < value < 1.0):
        expected = "a share above 0 and below 1, as 0.05 for 5 points or 0.8 for 80 %"
        raise UsageError(f"bad {name}", got=f"{value:g}", expected=expected)
