"""How far the work is, on stderr: a bar with time left on a terminal, a line for each stretch elsewhere."""

from __future__ import annotations

from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn


class TerminalProgress:
    """Progress of one command; a context manager, so that the bar is closed whatever happens."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=32),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._said: set[str] = set()

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False)

    def say_once(self, text: str) -> None:
        """Print a line that was not printed before."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def begin(self, title: str, total: float) -> None:
        """Start a new bar of `total` units."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(title, total=total)
        if not self._console.is_terminal:
            self.say(f"{title} …")

    def advance(self, amount: float) -> None:
        """Move the bar on."""
        if self._task is not None:
            self._bar.advance(self._task, amount)


class Spoken:
    """Progress of short work: lines on stderr, no bar."""

    def say(self, text: str) -> None:
        """Print a line."""
        click.echo(text, err=True)

    def say_once(self, text: str) -> None:
        """Print a line."""
        self.say(text)

    def begin(self, title: str, total: float) -> None:
        """Print what begins."""
        self.say(f"{title} …")

    def advance(self, amount: float) -> None:
        """Show nothing."""
