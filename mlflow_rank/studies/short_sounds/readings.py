"""What one encoder gave under one condition: ranks of its layers, and what probes on them called the test clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlflow_rank.probes.scores import Replicates, replicates
from mlflow_rank.probes.tallies import class_tallies
from mlflow_rank.studies.short_sounds.rank_reading import RankReading


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to hear the clips.

    `family` is what is varied (`whole`, `length`, `count`, `stride`, `silence`, `noise`), `at` the value on that axis
    (seconds, clips, frames, share of sound, dB; None of whole clips), `name` the condition in words, unique in a study.
    """

    family: str
    name: str
    at: float | None


@dataclass(frozen=True, slots=True)
class PilotReading:
    """What probes called the test clips, class codes by layer; the truth, the clips' groups, how many were trained on.

    `chosen` is the layer that the training clips alone chose. Where the clips allow no pilot `cause` says why and the
    rest is empty.
    """

    classes: int = 0
    truth: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    called: Mapping[int, tuple[int, ...]] | None = None
    trained: int = 0
    chosen: int | None = None
    cause: str | None = None

    def score(self, layer: int) -> Replicates | None:
        """Return the balanced accuracy of a layer with what its intervals need; None where there was no pilot."""
        if not self.called or layer not in self.called:
            return None
        truth, called = np.array(self.truth), np.array([self.called[layer]])
        return replicates("balanced_accuracy", class_tallies(truth, called, self.groups, classes=self.classes))


@dataclass(frozen=True, slots=True)
class SoundReading:
    """One encoder under one condition; `seconds` is the mean length of what it heard of a clip."""

    condition: Condition
    clips: int
    seconds: float
    ranks: tuple[RankReading, ...]
    pilot: PilotReading

    @property
    def layers(self) -> tuple[int, ...]:
        """Indices of the layers, ascending."""
        return tuple(sorted({each.layer for each in self.ranks}))

    def rank(self, layer: int, level: str) -> RankReading:
        """Return the rank of a layer and level."""
        return next(each for each in self.ranks if (each.layer, each.level) == (layer, level))

    def document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        said = asdict(self)
        called = self.pilot.called
        said["pilot"]["called"] = None if called is None else {str(key): list(each) for key, each in called.items()}
        return said


def read_sound_reading(said: Mapping[str, Any]) -> SoundReading:
    """Return what `SoundReading.document` gave.

    Raises:
        KeyError, TypeError, ValueError: it gave something else.
    """
    pilot = dict(said["pilot"])
    called = pilot["called"]
    pilot["called"] = None if called is None else {int(key): tuple(each) for key, each in called.items()}
    pilot |= {name: tuple(pilot[name]) for name in ("truth", "groups")}
    ranks = [{**each, "without": tuple(each["without"]), "counts": tuple(each["counts"])} for each in said["ranks"]]
    return SoundReading(
        Condition(**said["condition"]),
        int(said["clips"]),
        float(said["seconds"]),
        tuple(RankReading(**each) for each in ranks),
        PilotReading(**pilot),
    )
