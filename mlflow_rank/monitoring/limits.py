"""What a judge asks before it speaks: how rarely it may be wrong, and how small a fall is worth a word."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_rank.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """The few knobs of a judge.

    `false_alarms` is how many alarms a healthy run may raise per point, all layers together. `drop` is the least limit
    of a chart, however calm the layer is: a fall of the centred rank below its trend by that share alarms within two or
    three points, one of three quarters of it (in logarithms) only where it lasts for eight; it is well under the 30 %
    that must be found, and several times the 3 % that settled layers of healthy runs fell. `slow_drop` is a fall below
    the best level that the run has held: half, because late compression by tens of percent goes with better features
    (arXiv 2509.23024).

    `warm_up` is how many points a layer's chart calibrates on once its rank has settled, `unmoved` how many points a
    rank may stay near its first value before that counts as settled too; after twice as many it counts as settled
    whatever it does. It must be longer than a run from random weights takes to begin to fall. For one that goes on from
    trained weights, 8 has it watched from its 24th point on instead of the 56th.

    `persistence` is how many points in a row a constant collapse, a disagreement or a rank under a floor must show to
    be one, and how many in a row must be without any sign for an alarm to be over. A fall of a chart needs two points,
    a divergence one.

    `rank_floor` is the share of min(N, D) below which a rank is collapsed whatever its history, `first_floor` the share
    of the layer's first rank: the early fall from random weights left 21 % of it at the least. A layer is constant
    where its normalised standard deviation is below `std_floor` (fairseq stops data2vec at a variance of .1) and half
    of what the run has had. `variance_share` is the share of its own total variance below which a layer's is gone,
    `explosion` how many times the largest recent total variance is one. `disagreement` is by what factor centred and
    uncentred rank may move apart: theirs did by 6 in one real failure, by 1.03 in healthy layers that had settled.
    """

    false_alarms: float = 1e-3
    drop: float = 0.2
    slow_drop: float = 0.5
    warm_up: int = 16
    unmoved: int = 40
    persistence: int = 3
    rank_floor: float = 0.03
    first_floor: float = 0.15
    std_floor: float = 0.1
    variance_share: float = 0.05
    explosion: float = 100.0
    disagreement: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what no judge could keep to."""
        shares = ("false_alarms", "drop", "slow_drop", "rank_floor", "first_floor", "std_floor", "variance_share")
        for name in shares:
            value = getattr(self, name)
            if not 0 < value < 1:
                raise UsageError(f"the limit `{name}` is no share", got=str(value), expected="above 0 and below 1")
        for name, least in (("warm_up", 8), ("unmoved", 8), ("persistence", 1), ("explosion", 2), ("disagreement", 1)):
            value = getattr(self, name)
            if not value >= least:
                raise UsageError(f"the limit `{name}` is too small", got=str(value), expected=f"{least} or more")
        if self.slow_drop < self.drop:
            raise UsageError(
                "the limit `slow_drop` is below `drop`", got=str(self.slow_drop), expected=f"{self.drop} or more"
            )
