"""What a monitor says, delivered to an MLflow run by a thread of its own: training never waits for a server."""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.registry.clients.connection import quiet_mlflow
from mlflow_rank.registry.runs.courier import Courier, Draw, belonging
from mlflow_rank.registry.runs.run_claim import Destination, RecordedRun
from mlflow_rank.registry.runs.run_delivery import process_run
from mlflow_rank.registry.runs.undelivered import RECORD

Say = Callable[[str], None]
_PREFIX = "monitor."  # of the monitor's parameters in the run


@dataclass(frozen=True, slots=True)
class Patience:
    """How patient the delivery is, in seconds."""

    flush: float = 60.0
    """For what is left at the end."""
    grace: float = 10.0
    """A first point waits so long for a run that the training is about to begin."""
    first_pause: float = 1.0
    """After a failed attempt; it doubles until `longest_pause`."""
    longest_pause: float = 30.0
    draw_every: float = 300.0
    """At least between two drawings, unless alarms change."""


def to_stderr(text: str) -> None:
    """Say something to whoever watches the training."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # a training's log


class MonitoredRun:
    """A keeper whose verdicts become metrics, tags and artifacts of an MLflow run.

    The run is, in this order: the one that `destination` names; the active run of the thread that gives the first
    points; `MLFLOW_RUN_ID`; the run that this directory's monitor wrote to before; a new one in the experiment of
    `destination`, which alone is ended at the end. A point that the run already has is not written again. A training
    that goes back to an earlier checkpoint writes its steps anew: MLflow keeps both values of a step in the history,
    and shows the one with the newer timestamp.

    A run of our own ends FINISHED, FAILED or KILLED, by the exception that is on its way when `close` is called. A
    training that an exception ended, and that is closed later (by the start of the next one in the same process), ends
    FINISHED: the exception is no longer known then.

    While the store does not answer, points wait in memory and in the directory. What is left at the end lies there as
    `undelivered.json` and `undelivered_points.jsonl`; `deliver` finishes it.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination | None = None,
        *,
        parameters: Mapping[str, object] | None = None,
        draw: Draw | None = None,
        say: Say = to_stderr,
        patience: Patience | None = None,
    ) -> None:
        """Make ready; nothing is asked of a store yet, and no run is made before the first point.

        Args:
            directory: the monitor's own, with its journal; made if need be.
            destination: where in MLflow; its `step` is not used.
            parameters: of the monitor, as the run is to show them (`monitor.…`).
            draw: writes the timeline of verdicts into a folder, as files; called in the thread that delivers.
            say: told of what a person should know: an outage, its end, and what could not be delivered.
            patience: how long it waits for what.
        """
        import mlflow  # noqa: F401  # now: an import beside a training that forks could end in a deadlock

        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self._destination = directory, destination or Destination()
        self._draw, self._say, self._patience = draw, _guarded(say), patience or Patience()
        self._parameters = {f"{_PREFIX}{name}": str(value) for name, value in (parameters or {}).items()}
        self._queue: deque[Verdict] = deque()  # whose append and popleft need no lock
        self._awake, self._closing = threading.Event(), threading.Event()
        self._process = os.getpid()
        self._thread: threading.Thread | None = None
        self._courier: Courier | None = None
        self._begun: tuple[str, str] | None = None
        self._resumed_at: int | None = None
        self._remarked: set[str] = set()
        self._status = "FINISHED"
        self._troubled = self._done = self._closed = False

    @property
    def run(self) -> RecordedRun | None:
        """The run, once a point was delivered to it."""
        delivery = None if self._courier is None else self._courier.delivery
        return None if delivery is None else delivery.recorded

    def keep(self, verdict: Verdict) -> None:
        """Put a verdict behind those that wait, within microseconds."""
        self._keep((verdict,))

    def resume(self, verdicts: Sequence[Verdict]) -> None:
        """Take the verdicts of a journal before the first new one: what the run lacks of them is delivered.

        What the run has beyond the last of them is of a branch that the training abandoned: those steps are delivered
        again when it comes there, and points of that branch that are undelivered are dropped.
        """
        if verdicts:
            self._resumed_at = verdicts[-1].point.step
            self._keep(verdicts)

    def close(self, verdicts: Sequence[Verdict]) -> None:
        """Deliver what is left, for at most a minute, and end a run of our own; say what could not be delivered.

        Args:
            verdicts: all of the run.
        """
        if os.getpid() != self._process or self._closed:
            return
        self._status = _status(sys.exc_info()[0])
        self._end(verdicts)

    def _keep(self, verdicts: Sequence[Verdict]) -> None:
        if os.getpid() != self._process or self._closed:  # a worker of the training has a copy of us, and no thread
            return
        if self._courier is None:
            self._begun = process_run() or self._begun
        self._queue.extend(verdicts)
        self._awake.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        context = contextvars.copy_context()  # MLflow's workspace is in it
        self._thread = threading.Thread(target=context.run, args=(self._deliver,), name="mlflow_rank-run", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)  # for a training loop that ends without a word, or by an error

    def _at_exit(self) -> None:
        if os.getpid() == self._process and not self._closed:
            self._status = _status(getattr(sys, "last_type", None))
            self._end(())

    def _end(self, verdicts: Sequence[Verdict]) -> None:
        self._closed = True
        self._queue.extend(verdicts)
        if self._thread is None:
            if not verdicts:
                return
            self._start()
        atexit.unregister(self._at_exit)
        self._closing.set()
        self._awake.set()
        try:
            if self._thread is not None:
                with quiet_mlflow():
                    self._thread.join(self._patience.flush)
        finally:  # Ctrl-C ends the wait, and nothing is lost
            self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        courier = self._courier
        if self._done or courier is None:
            return
        while self._queue:
            courier.take(self._queue.popleft())
        try:
            left = courier.leave(give_up=True, status=self._status)
        except OSError as error:
            self._say(f"mlflow-rank: {len(courier.waiting)} points are not in MLflow, nor on disk: {error}")
            return
        points = f"{left} point{'s' * (left != 1)}" if left else "the last artifacts"
        self._say(
            f"mlflow-rank: {points} could not be delivered to MLflow at {courier.to.tracking_uri}; "
            f"nothing is lost: see {self.directory / RECORD}\n"
            f"             deliver later: mlflow-rank watch --deliver {self.directory}"
        )

    # in the thread

    def _deliver(self) -> None:
        try:
            self._courier = courier = self._ready()
        except Exception as error:  # a file of the directory is damaged
            self._say(f"mlflow-rank: nothing goes to MLflow: {error}")
            return
        pause = self._patience.first_pause
        while True:
            closing = self._closing.is_set()  # before looking what waits: nothing comes after it
            self._awake.clear()
            while self._queue:
                courier.take(self._queue.popleft())
            if courier.given_up:
                return
            try:
                courier.attempt()
                self._done = closing and courier.finish(self._status)
            except Exception as error:  # whatever a store, a driver or a disk raises: training goes on
                self._failed(courier, error)
                self._closing.wait(pause) if not closing else time.sleep(min(pause, 1.0))
                pause = min(2 * pause, self._patience.longest_pause)
                self._awake.set()
            else:
                pause = self._patience.first_pause
                self._recovered(courier)
            self._remark(courier)
            if self._done:
                return
            self._awake.wait()

    def _ready(self) -> Courier:
        """Return who delivers, once it is clear where to: a run may be begun a moment after the first point."""
        until = time.monotonic() + self._patience.grace
        while self._begun is None and self._destination.run_id is None and len(self._queue) < 2:
            if self._closing.wait(0.05) or time.monotonic() >= until:
                break
        to, uri = belonging(self.directory, self._destination, self._begun, self._parameters)
        courier = Courier(self.directory, to, uri, self._draw, self._patience.draw_every, self._resumed_at)
        courier.drop_abandoned()
        return courier

    def _failed(self, courier: Courier, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            self._say(f"mlflow-rank: MLflow takes no points; training goes on, and they are kept in {self.directory}")
            self._say(f"             {' '.join(str(error).split())[:400]}")
            if self._closing.is_set():
                self._say(f"             trying for {self._patience.flush:.0f} s; Ctrl-C ends the wait")
        try:
            courier.leave()
        except OSError as trouble:
            courier.remarks.append(f"points wait in memory alone: {trouble}")

    def _recovered(self, courier: Courier) -> None:
        if self._troubled:
            self._troubled = False
            self._say("mlflow-rank: MLflow takes points again; all that waited are delivered")

    def _remark(self, courier: Courier) -> None:
        for remark in dict.fromkeys(courier.remarks):
            if remark not in self._remarked:  # a disk stays full for long
                self._remarked.add(remark)
                self._say(f"mlflow-rank: {remark}")
        courier.remarks.clear()


def _guarded(say: Say) -> Say:
    """Return `say` as one that nobody need hear: a terminal that is gone ends no delivery."""

    def guarded(text: str) -> None:
        with suppress(Exception):
            say(text)

    return guarded


def _status(raised: type[BaseException] | None) -> str:
    """Return MLflow's status of a run that ends with this exception on its way, or without one."""
    if raised is None:
        return "FINISHED"
    return "KILLED" if issubclass(raised, KeyboardInterrupt) else "FAILED"
