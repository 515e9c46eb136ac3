"""What is known of every layer at one step of training: a point of every chart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mlflow_rank.errors import UsageError

Document = Mapping[str, object]
LEVELS = ("frame", "utterance")


@dataclass(frozen=True, slots=True)
class Reading:
    """One layer at one level, on the probe set.

    All values are plug-in values on `count` rows of `dim` dimensions: comparable from step to step on one probe set,
    and with nothing else. `rank` and `rank_uncentred` are effective ranks in [1, min(N, D)] (Roy & Vetterli 2007),
    `total_variance` is in squared units of the activations. `normalised_std` and `mean_norm_ratio` are those of
    `spectra`, as `mlflow-rank measure` reports them. None is unknown; `cause` says why.
    """

    layer: int
    level: str
    count: int
    dim: int
    rank: float | None = None
    rank_uncentred: float | None = None
    total_variance: float | None = None
    normalised_std: float | None = None
    mean_norm_ratio: float | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """Every layer at one step. `seconds` is what it cost, `at` when it was taken (Unix time); neither is judged.

    `loss` is what the training loop said of its loss since the point before, None where it says nothing; NaN and
    infinity are kept as they are.
    """

    step: int
    readings: tuple[Reading, ...]
    loss: float | None = None
    seconds: float = 0.0
    at: float = 0.0

    @property
    def layers(self) -> tuple[int, ...]:
        """The indices of its layers, ascending."""
        return tuple(sorted({reading.layer for reading in self.readings}))

    def reading(self, layer: int, level: str) -> Reading | None:
        """Return the reading of a layer at a level, None where there is none."""
        return next((each for each in self.readings if (each.layer, each.level) == (layer, level)), None)

    def document(self) -> dict[str, object]:
        """Return the point, JSON-ready: a loss that is not finite becomes its name."""
        loss = self.loss if self.loss is None or math.isfinite(self.loss) else str(self.loss)
        return {**asdict(self), "readings": [asdict(reading) for reading in self.readings], "loss": loss}

    @classmethod
    def read(cls, document: Document) -> Point:
        """Return the point that `document` wrote.

        Raises:
            UsageError: a field is missing, or one too many.
        """
        try:
            fields = dict(document)
            readings = tuple(Reading(**each) for each in fields.pop("readings"))  # type: ignore[attr-defined]
            loss = fields.pop("loss")
            return cls(readings=readings, loss=None if loss is None else float(loss), **fields)  # type: ignore[arg-type]
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(
                "this is no point of a monitor", got=str(error), remedy="was it cut off in writing?"
            ) from error
