"""Timing several things in turn, A B C A B C …, so that a machine that slows down slows them all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of every action in every round; a ratio only ever compares two of the same round."""

    seconds: Mapping[str, tuple[float, ...]]

    def ratios(self, over: str, under: str) -> tuple[float, ...]:
        """Return, for each round, how many times as long `over` took as `under`.

        >>> Times({"a": (2.0, 3.0), "b": (1.0, 2.0)}).ratios("a", "b")
        (2.0, 1.5)
        """
        return tuple(a / b for a, b in zip(self.seconds[over], self.seconds[under], strict=True))


def interleaved(actions: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: bool = True) -> Times:
    """Run every action once per round, in the order given, and return their wall-clock times.

    Args:
        actions: what to time, by name.
        rounds: how often.
        warm_up: run each once before, untimed: first calls load libraries and fill caches.
    """
    if warm_up:
        for action in actions.values():
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            gc.collect()  # nobody pays for another's garbage
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    return Times({name: tuple(each) for name, each in seconds.items()})
