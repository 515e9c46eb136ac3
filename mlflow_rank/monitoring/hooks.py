"""What every framework's hook does: open a monitor as a training begins, tell it of each step, close it at the end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from os import PathLike
from typing import Any, Protocol, TypeVar

from mlflow_rank.encoders.foreign_errors import first_line
from mlflow_rank.encoders.live_encoder import place_of
from mlflow_rank.errors import MeasurementError
from mlflow_rank.monitoring.mean_loss import Loss
from mlflow_rank.monitoring.team import Team

Answer = TypeVar("Answer")


class Monitoring(Protocol):
    """A monitor of one training, as a hook sees it. In distributed training every process has one and calls it."""

    @property
    def should_stop(self) -> bool:
        """Whether the training should end; the same in every process."""
        ...

    def step(self, n: int, loss: Loss | None = None) -> None:
        """Hear that the optimiser has made `n` steps; costs next to nothing where no point is due."""
        ...

    def checkpoint(self, path: str | PathLike[str], step: int) -> None:
        """Hear that the model of a step has been written."""
        ...

    def close(self) -> None:
        """End; a second time does nothing."""
        ...


class Trainings:
    """The trainings that one hook goes through, one after the other, each with a monitor of its own.

    Whatever a monitor raises ends the monitoring of that training, not the training; it is said once, on stderr.
    """

    def __init__(self, open_monitor: Callable[[Any], Monitoring]) -> None:
        self._open = open_monitor
        self._monitor: Monitoring | None = None
        self._step: int | None = None

    def begin(self, model: Any, step: int) -> None:
        """Open a monitor of `model`, which has made `step` steps: 0, or where it resumes.

        A training before this one that never said its end, as where an exception ended it, is closed first. Where one
        process of several cannot open its monitor none goes on with its own, as it would wait for the others for ever.
        """
        self.end()
        self._guarded("could not begin", lambda: self._open_all(model))
        self.step(step)

    def _open_all(self, model: Any) -> None:
        team, trouble = Team.here(lambda: place_of(model)[0]), None
        try:
            self._monitor = self._open(model)
        except Exception as error:
            trouble = error
        if team.size == 1 and trouble is not None:
            raise trouble
        said = team.gathered(None if trouble is None else f"{type(trouble).__name__}: {first_line(trouble)}")
        failed = [f"process {rank}: {words}" for rank, words in enumerate(said) if words is not None]
        if failed:
            raise MeasurementError("; ".join(failed)) from trouble

    def step(self, n: int, loss: Loss | None = None) -> None:
        """Tell the monitor of step `n`, once, however often it is said."""
        monitor = self._monitor
        if monitor is not None and n != self._step:
            self._step = n
            self._guarded(f"failed at step {n}", lambda: monitor.step(n, loss))

    @property
    def should_stop(self) -> bool:
        """Whether the monitor asks the training to end."""
        monitor = self._monitor
        return monitor is not None and bool(self._guarded("could not say whether to stop", lambda: monitor.should_stop))

    def checkpoint(self, path: str | PathLike[str], step: int) -> None:
        """Tell the monitor that the model of `step` lies at `path`."""
        monitor = self._monitor
        if monitor is None:
            return
        try:
            monitor.checkpoint(path, step)
        except Exception as error:  # said, and no more: of several processes, the others go on with their monitors
            _say(f"nothing is stated about the checkpoint of step {step}: {type(error).__name__}: {first_line(error)}")

    def end(self) -> None:
        """Close the monitor where one is open."""
        monitor, self._monitor, self._step = self._monitor, None, None
        if monitor is not None:
            self._guarded("could not end", monitor.close)

    def _guarded(self, what: str, call: Callable[[], Answer]) -> Answer | None:
        try:
            return call()
        except Exception as error:  # a monitor may fail in any way; the training is worth more
            lost, self._monitor = self._monitor, None
            _say(
                f"THE MONITOR IS OFF: it {what}; training goes on without it. {type(error).__name__}: "
                f"{first_line(error)}"
            )
            if lost is not None:
                _close_quietly(lost)
            return None


def _say(text: str) -> None:
    with contextlib.suppress(Exception):  # nobody reads it any more
        print(f"mlflow-rank: {text}", file=sys.stderr, flush=True)  # noqa: T201 -- where people look, whatever framework


def _close_quietly(monitor: Monitoring) -> None:
    with contextlib.suppress(Exception):  # that it failed has just been said
        monitor.close()
