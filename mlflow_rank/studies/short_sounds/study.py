"""Whether rank and pilot put an encoder and its shuffled copy in one order, however short sounds are heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from mlflow_rank.errors import MeasurementError
from mlflow_rank.probes.group_intervals import Difference, Interval, NoInterval, Score, difference, score
from mlflow_rank.studies.short_sounds.precision import Needed, TooFewCounts, Width, clips_needed
from mlflow_rank.studies.short_sounds.rank_reading import RankReading, Ratio, ratio
from mlflow_rank.studies.short_sounds.readings import Condition, SoundReading

TRAINED, SHUFFLED, RANDOM = "trained", "shuffled", "random"
LEVELS = ("frame", "utterance")
KIND = "ShortSoundsStudy"

Order = Literal["right", "wrong", "undecided", "unknown"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The trained encoder beside another one, at one layer and level, on the same rows and the same test clips.

    `order` is `right` where rank and pilot both say the same encoder is better, each with an interval that leaves out
    no difference; `wrong` where they say opposite things; `undecided` where an interval holds no difference; `unknown`
    where there is no rank or no pilot, with the `cause`.
    """

    condition: Condition
    other: str
    layer: int
    level: str
    clips: int
    seconds: float
    rank: RankReading
    other_rank: RankReading
    ratio: Ratio
    pilot: Score | None
    other_pilot: Score | None
    gained: Difference | None
    order: Order
    cause: str | None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, flat."""
        return {
            "condition": asdict(self.condition),
            "other": self.other,
            "layer": self.layer,
            "level": self.level,
            "clips": self.clips,
            "mean_seconds": self.seconds,
            "rows": self.rank.n,
            "dim": self.rank.dim,
            "rank": self.rank.shown,
            "rank_half_width": self.rank.half_width,
            "rank_corrected": self.rank.corrected is not None,
            "other_rank": self.other_rank.shown,
            "ratio": asdict(self.ratio),
            "pilot": None if self.pilot is None else self.pilot.row(),
            "other_pilot": None if self.other_pilot is None else self.other_pilot.row(),
            "gained": None if self.gained is None else self.gained.row(),
            "order": self.order,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Targets:
    """The precision wanted: of rank, as a half width relative to the rank; of the pilot, as a half width of a share."""

    rank: float = 0.05
    pilot: float = 0.05


@dataclass(frozen=True, slots=True)
class Precision:
    """How many clips the targets take: of frame and utterance rank, and of the pilot."""

    targets: Targets
    ranks: Mapping[str, Needed | TooFewCounts]
    pilot: Needed | TooFewCounts


@dataclass(frozen=True, slots=True)
class ShortSoundsStudy:
    """Every comparison, the layer that the tables are about, and how many clips a precision takes.

    `layer` was chosen by the pilot on whole clips inside the trained encoder's training clips, or asked for
    (`layer_asked`). `settings` say how it was made, for whoever makes it again.
    """

    layer: int
    layer_asked: bool
    comparisons: tuple[Comparison, ...]
    precision: Precision
    settings: Mapping[str, object]

    def of(self, other: str, level: str, layer: int | None = None) -> tuple[Comparison, ...]:
        """Return the comparisons with another encoder at a level, of the tables' layer unless another is named."""
        wanted = (other, level, self.layer if layer is None else layer)
        return tuple(each for each in self.comparisons if (each.other, each.level, each.layer) == wanted)

    @property
    def others(self) -> tuple[str, ...]:
        """Whom the trained encoder was compared with."""
        return tuple(dict.fromkeys(each.other for each in self.comparisons))

    @property
    def layers(self) -> tuple[int, ...]:
        """Indices of the layers, ascending."""
        return tuple(sorted({each.layer for each in self.comparisons}))

    def document(self) -> dict[str, object]:
        """Return the whole study JSON-ready."""
        precision = self.precision
        return {
            "kind": KIND,
            "settings": dict(self.settings),
            "layer": self.layer,
            "layer_chosen_by": "request" if self.layer_asked else "pilot of whole clips, inside its training clips",
            "comparisons": [each.document() for each in self.comparisons],
            "precision": {
                "targets": asdict(precision.targets),
                **{f"rank_{level}": needed.document() for level, needed in precision.ranks.items()},
                "pilot": precision.pilot.document(),
            },
        }


def short_sounds_study(
    readings: Mapping[str, Sequence[SoundReading]],
    *,
    layer: int | None,
    targets: Targets,
    settings: Mapping[str, object],
) -> ShortSoundsStudy:
    """Compare the trained encoder with each other one, condition by condition.

    Args:
        readings: by role (`trained`, `shuffled`, `random`); conditions that the trained encoder lacks are passed over.
        layer: the layer of the tables; None for the one that the pilot of whole clips chooses.
        targets: the precision wanted.
        settings: how it was made.

    Raises:
        MeasurementError: no layer was asked for and the pilot of whole clips chose none.
    """
    trained = readings[TRAINED]
    chosen = _whole(trained).pilot.chosen if layer is None else layer
    if chosen is None:
        raise MeasurementError(
            "the pilot chose no layer",
            got=_whole(trained).pilot.cause,
            expected="labelled clips that a pilot can be made from",
            remedy="label more clips, or name a layer with --layer",
        )
    comparisons = tuple(
        _compared(own, its, other, at, level)
        for other, theirs in readings.items()
        if other != TRAINED
        for own, its in _pairs(trained, theirs)
        for at in own.layers
        for level in LEVELS
    )
    return ShortSoundsStudy(chosen, layer is not None, comparisons, _precision(trained, chosen, targets), settings)


def _pairs(trained: Sequence[SoundReading], theirs: Sequence[SoundReading]) -> list[tuple[SoundReading, SoundReading]]:
    by_condition = {each.condition: each for each in theirs}
    return [(each, by_condition[each.condition]) for each in trained if each.condition in by_condition]


def _whole(readings: Sequence[SoundReading]) -> SoundReading:
    return next(each for each in readings if each.condition.family == "whole")


def _compared(own: SoundReading, its: SoundReading, other: str, layer: int, level: str) -> Comparison:
    rank, other_rank = own.rank(layer, level), its.rank(layer, level)
    ranks = ratio(rank, other_rank)
    mine, theirs = own.pilot.score(layer), its.pilot.score(layer)
    gained = None
    if mine is not None and theirs is not None:
        gained = difference(mine, theirs, pairing="same_items")
    order, cause = _order(ranks, gained, own.pilot.cause)
    return Comparison(
        condition=own.condition,
        other=other,
        layer=layer,
        level=level,
        clips=own.clips,
        seconds=own.seconds,
        rank=rank,
        other_rank=other_rank,
        ratio=ranks,
        pilot=None if mine is None else score(mine),
        other_pilot=None if theirs is None else score(theirs),
        gained=gained,
        order=order,
        cause=cause,
    )


def _order(ranks: Ratio, gained: Difference | None, no_pilot: str | None) -> tuple[Order, str | None]:
    if ranks.low is None or ranks.high is None:
        return "unknown", ranks.cause
    if gained is None:
        return "unknown", no_pilot or "no pilot"
    if isinstance(gained.interval, NoInterval):
        return "unknown", gained.interval.cause
    better = _sign(gained.interval)
    if ranks.direction == 0 or better == 0:
        what = [name for name, tied in (("rank", ranks.direction == 0), ("pilot", better == 0)) if tied]
        return "undecided", f"a tie is possible by {' and by '.join(what)}"
    return ("right" if ranks.direction == better else "wrong"), None


def _sign(interval: Interval) -> int:
    return int(interval.low > 0.0) - int(interval.high < 0.0)


def _precision(trained: Sequence[SoundReading], layer: int, targets: Targets) -> Precision:
    counted = [each for each in trained if each.condition.family in ("count", "whole")]
    ranks: dict[str, Needed | TooFewCounts] = {}
    for level in LEVELS:
        widths = []
        for each in counted:
            rank = each.rank(layer, level)
            if rank.half_width is not None and rank.shown:
                widths.append(Width(each.clips, rank.half_width / rank.shown))
        # A clip is a row of clip means, and fewer rows than dimensions give no rank.
        least = trained[0].rank(layer, level).dim if level == "utterance" else 1
        ranks[level] = clips_needed(widths, targets.rank, least=least)
    widths = []
    for each in counted:
        found = each.pilot.score(layer)
        interval = None if found is None else score(found).interval
        if isinstance(interval, Interval):
            widths.append(Width(each.clips, (interval.high - interval.low) / 2))
    return Precision(targets, ranks, clips_needed(widths, targets.pilot))
