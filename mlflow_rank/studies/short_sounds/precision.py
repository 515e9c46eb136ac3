"""How many clips a stated precision takes: the widths of intervals over the number of clips, and 1/√n through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra.intervals import CONFIDENCE

LEAST_COUNTS = 3  # a line through two points has no error to show
SLOPE = -0.5  # of log width over log n, where clips are independent


@dataclass(frozen=True, slots=True)
class Width:
    """The half width of a 95 % interval that so many clips gave."""

    clips: int
    half_width: float


@dataclass(frozen=True, slots=True)
class TooFewCounts:
    """Why no number of clips is named."""

    cause: str

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"status": "unknown", "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Needed:
    """The clips that a half width of `target` takes, by half width = `scale` / √n through the measured `widths`.

    `low` and `high` bound `clips` at 95 %, by the scatter of the widths around that line: they say how well the line
    fits, not whether it goes on. `slope` with its interval is that of a line whose slope is free, which is −0.5 where
    clips are as good as independent; `levels_off` says that its whole interval lies above that: the width shrinks more
    slowly than the line, and `clips` is too low. `extrapolated` says that `clips` is outside the numbers measured.
    `least` is what a rank takes to be known at all; `clips` is no fewer.
    """

    target: float
    widths: tuple[Width, ...]
    scale: float
    clips: int
    low: int
    high: int
    slope: float
    slope_low: float
    slope_high: float
    least: int = 1

    @property
    def extrapolated(self) -> bool:
        """Whether the number is outside what was measured."""
        measured = [width.clips for width in self.widths]
        return not min(measured) <= self.clips <= max(measured)

    @property
    def levels_off(self) -> bool:
        """Whether the widths shrink more slowly than 1/√n, beyond what their scatter explains."""
        return self.slope_low > SLOPE

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "status": "ok",
            "target": self.target,
            "law": "half_width = scale / sqrt(clips)",
            "scale": self.scale,
            "clips": self.clips,
            "low": self.low,
            "high": self.high,
            "slope": self.slope,
            "slope_low": self.slope_low,
            "slope_high": self.slope_high,
            "least": self.least,
            "extrapolated": self.extrapolated,
            "levels_off": self.levels_off,
            "widths": [[width.clips, width.half_width] for width in self.widths],
        }


def clips_needed(widths: Sequence[Width], target: float, *, least: int = 1) -> Needed | TooFewCounts:
    """Return how many clips give a half width of `target`.

    Args:
        widths: as measured, of three numbers of clips or more; those of zero or of no clips are passed over.
        target: in the unit of the widths, above 0.
        least: below which no number is known, whatever its interval would be.

    Raises:
        UsageError: the target is not above 0.

    >>> widths = [Width(n, 2.0 / n**0.5) for n in (100, 200, 400)]
    >>> needed = clips_needed(widths, 0.05)
    >>> needed.clips, needed.extrapolated, round(needed.slope, 6)
    (1600, True, -0.5)
    """
    if not target > 0 or not math.isfinite(target):
        raise UsageError("bad precision", got=f"{target:g}", expected="above 0")
    usable = tuple(sorted((each for each in widths if each.clips > 0 and each.half_width > 0), key=lambda w: w.clips))
    counts = len({each.clips for each in usable})
    if counts < LEAST_COUNTS:
        return TooFewCounts(
            f"an interval at {counts} number{'' if counts == 1 else 's'} of clips, at least {LEAST_COUNTS} needed"
        )
    clips = np.log([each.clips for each in usable])
    width = np.log([each.half_width for each in usable])
    scales = width - SLOPE * clips
    scale = float(scales.mean())
    error = float(scales.std(ddof=1)) / math.sqrt(len(scales))
    reach = _t(len(scales) - 1) * error
    centred = clips - clips.mean()
    slope = float(centred @ width / (centred @ centred))
    left = width - width.mean() - slope * centred
    slope_error = math.sqrt(float(left @ left) / (len(left) - 2) / float(centred @ centred))
    slope_reach = _t(len(left) - 2) * slope_error
    return Needed(
        target=target,
        widths=usable,
        scale=math.exp(scale),
        clips=max(least, _clips(scale, target)),
        low=max(least, _clips(scale - reach, target)),
        high=max(least, _clips(scale + reach, target)),
        slope=slope,
        slope_low=slope - slope_reach,
        slope_high=slope + slope_reach,
        least=least,
    )


def _clips(log_scale: float, target: float) -> int:
    return max(1, math.ceil((math.exp(log_scale) / target) ** 2 - 1e-9))  # exact squares stay what they are


def _t(degrees: int) -> float:
    return float(special.stdtrit(degrees, 0.5 + CONFIDENCE / 2))
