"""What was looked at, and what was found: one check in one sentence, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "unknown"]
_WORST_FIRST: Mapping[State, int] = {"fail": 0, "unknown": 1, "warn": 2, "ok": 3}
HOLDS, OPEN, NOBODY_KNOWS = 0, 1, 3  # exit codes


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at, in a word or two.
        state: ok; warn: it holds, and could be better; fail: the gate is open there, or of no use; unknown: nobody can
            say from here.
        sentence: what was found, without a full stop.
        remedy: what to do about it; empty where nothing is to be done.
        details: what is too long for a sentence, line by line.
    """

    name: str
    state: State
    sentence: str
    remedy: str = ""
    details: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "name": self.name,
            "state": self.state,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "details": list(self.details),
        }


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was looked at: of the gate itself, and what goes round it from here."""

    where: str
    checks: Sequence[Check]
    bypasses: Sequence[Check]

    @property
    def exit_code(self) -> int:
        """0 where everything holds, warnings allowed; 1 where something fails; 3 where nobody can say."""
        states = {each.state for each in (*self.checks, *self.bypasses)}
        return OPEN if "fail" in states else NOBODY_KNOWS if "unknown" in states else HOLDS

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "where": self.where,
            "exit_code": self.exit_code,
            "checks": [each.document() for each in worst_first(self.checks)],
            "bypasses": [each.document() for each in worst_first(self.bypasses)],
        }


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """Return checks with the worst first, and those of a state in the order in which they were made."""
    return sorted(checks, key=lambda each: _WORST_FIRST[each.state])
