"""Who is told how far the work is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A bar on a terminal, nothing in tests."""

    def say(self, text: str) -> None:
        """Say what happens next."""

    def say_once(self, text: str) -> None:
        """Say it, unless it was said before."""

    def begin(self, title: str, total: float) -> None:
        """Start a stretch of work of `total` units."""

    def advance(self, amount: float) -> None:
        """Count `amount` units as done."""


class Silence:
    """Progress that nobody watches."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def say_once(self, text: str) -> None:
        """Say nothing."""

    def begin(self, title: str, total: float) -> None:
        """Show nothing."""

    def advance(self, amount: float) -> None:
        """Count nothing."""
