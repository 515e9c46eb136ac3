"""What a pilot and a measurement need, and cost, before anybody has labelled anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.planning.power import (
    FEWEST_SPEAKERS,
    Infeasible,
    Question,
    TestItems,
    design_effect,
    half_width,
    items_needed,
    power,
    speakers_needed,
)
from mlflow_rank.studies.planning.rank_size import RankSize

KIND = "Plan"
PILOT_PASSES = 2  # the encoder and the same architecture with random weights, without which a pilot proves nothing


@dataclass(frozen=True, slots=True)
class Labelling:
    """Labels of a task.

    `per_class` labels of each of `classes` are trained on. `speakers` are those there are to test on, None where as
    many can be had as are needed, who then say `per_speaker` items each. `item_seconds` is the sound of an item.
    `full` is what labelling everything would take and `price` that of one label, None where nobody says.

    Raises:
        UsageError: a number is out of its range.
    """

    classes: int
    per_class: int
    per_speaker: int
    item_seconds: float
    speakers: int | None = None
    full: int | None = None
    price: float | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("classes", self.classes, 2),
            ("labels per class", self.per_class, 1),
            ("items per speaker", self.per_speaker, 1),
            ("test speakers", self.speakers, FEWEST_SPEAKERS),
            ("labels in full", self.full, 1),
        ):
            if value is not None and value < least:
                raise UsageError(f"too few {name}", got=str(value), expected=f"{least} or more")
        for name, amount in (("seconds of an item", self.item_seconds), ("price of a label", self.price)):
            if amount is not None and not (math.isfinite(amount) and amount > 0):
                raise UsageError(f"bad {name}", got=f"{amount:g}", expected="more than 0")


@dataclass(frozen=True, slots=True)
class Listening:
    """What listening costs: `pace` is seconds of audio heard in a second of computing, `checkpoints` how often."""

    pace: float
    checkpoints: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pace) and self.pace > 0):
            raise UsageError("bad pace", got=f"{self.pace:g}", expected="seconds of audio per second, more than 0")
        if self.checkpoints < 1:
            raise UsageError("too few checkpoints", got=str(self.checkpoints), expected="1 or more")

    def minutes(self, audio: float, passes: int = 1) -> float:
        """Return the minutes that hearing so many minutes of audio takes, for one checkpoint."""
        return audio * passes / self.pace


@dataclass(frozen=True, slots=True)
class Need:
    """What one question needs: items in all (of each encoder, where unpaired) and speakers; or why nothing is enough.

    `power` is that of these numbers, a little more than was asked for, as nobody can test half an item.
    """

    question: Question
    items: int
    speakers: int
    power: float
    infeasible: Infeasible | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is needed for what was asked, and what it costs. `sources` says where each number that went in is from."""

    task: str
    expected: TestItems
    labelling: Labelling
    listening: Listening
    ranks: tuple[RankSize, ...]
    needs: tuple[Need, ...]
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def infeasible(self) -> Infeasible | None:
        """The first need that the speakers there are cannot meet."""
        return next((each.infeasible for each in self.needs if each.infeasible), None)

    @property
    def test_items(self) -> int:
        """Items to test in all, enough for every question; of both encoders where they are tested on different ones."""
        return max(each.items for each in self.needs) * (1 if self.expected.paired else 2)

    @property
    def test_speakers(self) -> int:
        """Speakers to test; of both encoders where they are tested on different items."""
        return max(each.speakers for each in self.needs) * (1 if self.expected.paired else 2)

    @property
    def train_labels(self) -> int:
        """Labels to train on, of other speakers."""
        return self.labelling.classes * self.labelling.per_class

    @property
    def train_speakers(self) -> int:
        """Speakers to train on, who say as many items as those tested; two or more, so that penalties can be chosen."""
        return max(FEWEST_SPEAKERS, math.ceil(self.train_labels / self.labelling.per_speaker))

    @property
    def labels(self) -> int:
        """Labels in all."""
        return self.test_items + self.train_labels

    @property
    def saved(self) -> int | None:
        """Labels that need not be made, negative where more are needed; None where nobody says how many all are."""
        return None if self.labelling.full is None else self.labelling.full - self.labels

    @property
    def score_half_width(self) -> float:
        """Half the 95 % interval of one encoder's score on its items, by Wilson, at what they are worth independent."""
        items, speakers = (max(getattr(each, what) for each in self.needs) for what in ("items", "speakers"))
        worth = items / design_effect(items, speakers, self.expected.intraclass)
        return half_width(self.expected.accuracy, worth)

    @property
    def rank_audio(self) -> float:
        """Minutes of unlabelled audio: enough for every level."""
        return max(each.minutes for each in self.ranks)

    @property
    def pilot_audio(self) -> float:
        """Minutes of labelled audio."""
        return self.labels * self.labelling.item_seconds / 60

    @property
    def rank_minutes(self) -> float:
        """Minutes of computing that the rank of one checkpoint takes."""
        return self.listening.minutes(self.rank_audio)

    @property
    def pilot_minutes(self) -> float:
        """Minutes of listening that the pilot of one checkpoint takes, random weights beside it."""
        return self.listening.minutes(self.pilot_audio, PILOT_PASSES)

    def document(self) -> dict[str, object]:
        """Return the plan JSON-ready; numbers that depend on an infeasible question are null."""
        met = self.infeasible is None
        asked, labelling = self.expected, self.labelling
        return {
            "kind": KIND,
            "task": self.task,
            "expected": {
                "accuracy": asked.accuracy,
                "paired": asked.paired,
                "discordance": asked.discordance,
                "intraclass": asked.intraclass,
            },
            "labelling": {name: getattr(labelling, name) for name in Labelling.__dataclass_fields__},
            "sources": dict(sorted(self.sources.items())),
            "needs": [_need(each) for each in self.needs],
            "test_items": self.test_items if met else None,
            "test_speakers": self.test_speakers if met else None,
            "train_labels": self.train_labels,
            "train_speakers": self.train_speakers,
            "labels": self.labels if met else None,
            "labels_saved": self.saved if met else None,
            "score_half_width": self.score_half_width if met else None,
            "ranks": [
                {**{name: getattr(each, name) for name in RankSize.__dataclass_fields__}, "minutes": each.minutes}
                for each in self.ranks
            ],
            "listening": {"pace": self.listening.pace, "checkpoints": self.listening.checkpoints},
            "minutes_per_checkpoint": {
                "rank": self.rank_minutes,
                "pilot": self.pilot_minutes if met else None,
                "both": self.rank_minutes + self.pilot_minutes if met else None,
            },
        }


def plan_need(question: Question, expected: TestItems, labelling: Labelling) -> Need:
    """Return what a question needs, of the speakers there are or of as many as it takes."""
    if labelling.speakers is None:
        speakers = speakers_needed(question, expected, labelling.per_speaker)
        if isinstance(speakers, Infeasible):
            return Need(question, 0, speakers.speakers, 0.0, speakers)
        items = speakers * labelling.per_speaker
    else:
        speakers = labelling.speakers
        found = items_needed(question, expected, speakers)
        if isinstance(found, Infeasible):
            return Need(question, 0, speakers, 0.0, found)
        items, speakers = found, min(speakers, found)
    return Need(question, items, speakers, power(question, expected, items, speakers))


def _need(each: Need) -> dict[str, object]:
    question, unmet = each.question, each.infeasible
    return {
        "kind": question.kind,
        "size": question.size,
        "power_asked": question.power,
        "alpha": question.alpha,
        "items": None if unmet else each.items,
        "speakers": None if unmet else each.speakers,
        "power": None if unmet else each.power,
        "infeasible": None
        if unmet is None
        else {"speakers": unmet.speakers, "resolvable": unmet.resolvable, "speakers_needed": unmet.needed},
    }
