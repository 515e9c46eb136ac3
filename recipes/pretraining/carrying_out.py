"""The loop: steps, what the monitor is told, and a checkpoint now and then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from recipes.pretraining.pretraining import Pretraining
from recipes.pretraining.run_directory import RunDirectory

REPORT_EVERY = 25  # steps


class Watch(Protocol):
    """Who watches a run: a `RankMonitor`."""

    @property
    def should_stop(self) -> bool:
        """Whether an alarm that training was to stop on has been raised."""
        ...

    def step(self, n: int, loss: float | None = None) -> None:
        """Hear that `n` steps have been taken."""
        ...

    def checkpoint(self, path: Path, step: int) -> object:
        """Say what is known of the run of which a checkpoint was saved."""
        ...


def carry_out(
    run: Pretraining,
    directory: RunDirectory,
    watch: Watch,
    *,
    stop_after: int | None = None,
    say: Callable[[str], None],
) -> None:
    """Train to the plan's end, to step `stop_after`, or until an alarm asks to stop; the last step is a checkpoint."""
    recent: list[tuple[float, float]] = []
    if run.step == 0:
        directory.save(run)
    watch.step(run.step)  # the random weights of a new run, or where one goes on
    while not run.is_over:
        loss, score = run.advance()
        recent.append((loss, score))
        watch.step(run.step, loss=loss)
        ends = run.is_over or run.step == stop_after or watch.should_stop
        if run.step % REPORT_EVERY == 0 or ends:
            mean_loss, mean_score = np.mean(recent, axis=0)
            recent.clear()
            directory.note({"step": run.step, "loss": _finite(mean_loss), "score": _finite(mean_score)})
            say(f"step {run.step}/{run.plan.steps}  loss {mean_loss:.3f}  score {mean_score:.3f}")
        if run.step in run.plan.checkpoints or ends:
            watch.checkpoint(directory.save(run), run.step)
        if ends:
            break


def _finite(value: float) -> float | str:
    """Return a number as JSON has it: what is not finite becomes its name."""
    return round(float(value), 4) if np.isfinite(value) else str(value)
