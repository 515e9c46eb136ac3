"""Timing several things in turn, A B C A B C …, so that a machine that slows down slows them all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of every action in every round; a ratio only ever compares two of the same round.

    `aside` are the seconds within an action that it gave to be taken off.
    """

    seconds: Mapping[str, tuple[float, ...]]
    aside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def ratios(self, over: str, under: str) -> tuple[float, ...]:
        """Return, for each round, how many times as long `over` took as `under`.

        >>> Times({"a": (2.0, 3.0), "b": (1.0, 2.0)}).ratios("a", "b")
        (2.0, 1.5)
        """
        return _divided(self.seconds[over], self.seconds[under])

    def ratios_aside(self, over: str, under: str) -> tuple[float, ...]:
        """Return, for each round, how many times as long what was taken off `over` lasted as `under`."""
        return _divided(self.aside[over], self.seconds[under])


def _divided(over: Sequence[float], under: Sequence[float]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(over, under, strict=True))


def interleaved(actions: Mapping[str, Callable[[], float]], *, rounds: int, warm_up: bool = True) -> Times:
    """Run every action once per round, in the order given, and return their wall-clock times.

    Args:
        actions: what to time, by name; each returns how many of its seconds are not to be counted.
        rounds: how often.
        warm_up: run each once before, untimed: first calls load libraries and fill caches.
    """
    if warm_up:
        for action in actions.values():
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    aside: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            gc.collect()  # nobody pays for another's garbage
            start = time.perf_counter()
            not_counted = action()
            seconds[name].append(time.perf_counter() - start - not_counted)
            aside[name].append(not_counted)
    return Times(_frozen(seconds), _frozen(aside))


def whole(action: Callable[[], object]) -> Callable[[], float]:
    """Return the action as one whose every second counts."""

    def counted() -> float:
        action()
        return 0.0

    return counted


def _frozen(lists: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(each) for name, each in lists.items()}
