"""Promotion by hand: at once, or as soon as nothing lacks any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mlflow_rank.workflow.acting import Aimed

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=60)
_GROWTH = 1.5  # so that a wait of hours asks hundreds of times, not thousands
End = Literal["there", "promoted", "refused", "missing"]


@dataclass(frozen=True, slots=True)
class Promoted:
    """How it ended: it was there already, it was promoted (perhaps by others), refused, or something still lacks."""

    end: End
    sentence: str | None
    after: Aimed

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        outlook = self.after.outlook
        placed, version = outlook.at(self.after.target), outlook.version
        return {
            "end": self.end,
            "refused": self.sentence,
            "model": outlook.model,
            "version": self.after.named.version,
            "target": self.after.target,
            "placed": None if placed is None else placed.model_dump(mode="json"),
            "missing": [each.model_dump(mode="json") for each in (version.missing if version else ())],
        }


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when to wait, by which clock, and how to pause; `tell` hears what lacks whenever that changes."""

    until: datetime
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    tell: Callable[[Aimed], None]


def promote(aimed: Aimed) -> Promoted:
    """Point the target at the version, unless it is there already; the gate decides.

    Raises:
        MeasurementError: the server does not answer.
    """
    if aimed.is_there:
        return Promoted("there", None, aimed)
    refused = aimed.registry.move(aimed.named, aimed.target)
    after = aimed.again()
    if refused is None or after.is_there:
        return Promoted("promoted", None, after)
    return Promoted("missing" if after.outlook.answer in ("missing", "shut") else "refused", refused, after)


def wait_and_promote(aimed: Aimed, patience: Patience) -> Promoted:
    """Promote as soon as nothing lacks; ends earlier where somebody rejects it, or nothing that comes could help.

    Raises:
        MeasurementError: the server does not answer.
    """
    there: End = "there"
    told: object = None
    pause = FIRST_PAUSE
    while True:
        if aimed.is_there:  # later by the gate itself, or by somebody else
            return Promoted(there, None, aimed)
        if aimed.outlook.answer in ("approved", "free"):
            ended = promote(aimed)
            if ended.end != "missing":
                return ended
        if _is_hopeless(aimed):
            return Promoted("refused", _why(aimed), aimed)
        lacking = aimed.version.missing
        if lacking != told:
            patience.tell(aimed)
            told = lacking
        left = patience.until - patience.clock()
        if left <= timedelta(0):
            return Promoted("missing", None, aimed)
        patience.sleep(min(pause, left).total_seconds())
        pause = min(pause * _GROWTH, LONGEST_PAUSE)
        aimed, there = aimed.again(), "promoted"


def _is_hopeless(aimed: Aimed) -> bool:
    """Say whether it was rejected, or fails a rule that nobody can put aside."""
    outlook = aimed.outlook
    if outlook.rejected_by or outlook.answer == "uncovered":
        return True
    beyond_help = any(each.kind == "evidence" and not each.who for each in aimed.version.missing)
    return outlook.answer == "refused" and beyond_help


def _why(aimed: Aimed) -> str:
    outlook = aimed.outlook
    if outlook.answer == "uncovered" and outlook.stands is not None:
        return outlook.stands.reason
    said = str((aimed.version.decision or {}).get("sentence") or f"rejected by {', '.join(outlook.rejected_by)}")
    return f"{aimed.named} to {aimed.target} is refused: {said.removeprefix('denied: ')}."
