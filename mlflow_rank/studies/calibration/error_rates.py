"""How often a decision was wrong about versions that it had not seen, counted by version and by training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Case

LEVEL = 0.95
Decision = Callable[[Case], bool]  # whether a version would be promoted
Learning = Callable[[Sequence[Case]], Decision]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many, with the exact 95 % interval of the share (Clopper & Pearson, Biometrika 26, 1934)."""

    count: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The observed share."""
        return self.count / self.n

    def __str__(self) -> str:
        return f"{self.count} of {self.n} [{100 * self.low:.0f}, {100 * self.high:.0f}] %"

    def document(self) -> dict[str, float]:
        """Return it JSON-ready."""
        return {"count": self.count, "n": self.n, "share": self.share, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Errors:
    """Bad versions promoted and good ones refused.

    By run: trainings of which a bad version was promoted, or a good one refused. Only those are independent of one
    another; the intervals by version are too narrow where a training left several.
    """

    promoted: Rate
    refused: Rate
    promoted_runs: Rate
    refused_runs: Rate

    def document(self) -> dict[str, object]:
        """Return them JSON-ready."""
        return {name: getattr(self, name).document() for name in self.__slots__}


def rate_of(count: int, n: int) -> Rate:
    """Return a share with its exact interval.

    Raises:
        UsageError: of nothing, or more than there are.

    >>> print(rate_of(0, 10))
    0 of 10 [0, 31] %
    """
    from scipy.stats import beta

    if n < 1 or not 0 <= count <= n:
        raise UsageError("no share of so many", got=f"{count} of {n}", expected="some of one or more")
    tail = (1.0 - LEVEL) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, n - count + 1))
    high = 1.0 if count == n else float(beta.ppf(1.0 - tail, count + 1, n - count))
    return Rate(count, n, low, high)


def held_out_errors(cases: Sequence[Case], learn: Learning) -> Errors:
    """Return the errors about versions of each training run, decided by what all other runs teach.

    Args:
        cases: of several runs, good and bad ones.
        learn: makes a decision of the cases of the other runs.

    Raises:
        UsageError: none of them is good, or none bad.
    """
    wrong: list[Case] = []
    for group in sorted({case.group for case in cases}):
        decision = learn([case for case in cases if case.group != group])
        wrong += [case for case in cases if case.group == group and decision(case) is not case.good]
    return errors_of(cases, wrong)


def errors_of(cases: Sequence[Case], wrong: Sequence[Case]) -> Errors:
    """Return the errors of a decision that was wrong about some of the cases.

    Raises:
        UsageError: none of the cases is good, or none bad.
    """
    versions, runs = {}, {}
    for good in (False, True):
        there, mistaken = ([case for case in some if case.good is good] for some in (cases, wrong))
        versions[good] = rate_of(len(mistaken), len(there))
        runs[good] = rate_of(len({case.group for case in mistaken}), len({case.group for case in there}))
    return Errors(versions[False], versions[True], runs[False], runs[True])
