"""Who brings a monitor's points to its run: one attempt at a time, with everything on disk that an attempt left."""

from __future__ import annotations

import json
import secrets
import shutil
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.journal import ALARMS, CONVENTION, POINTS
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.registry.clients.connection import without_password
from mlflow_rank.registry.clients.reachable import check_reachable
from mlflow_rank.registry.runs import undelivered
from mlflow_rank.registry.runs.monitor_metrics import STRETCH, alarm_tags, monitor_metrics, overhead_of
from mlflow_rank.registry.runs.own_randomness import drawing_apart
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.run_delivery import RunDelivery
from mlflow_rank.registry.runs.undelivered import Belonging, Delivery

if TYPE_CHECKING:
    from mlflow import MlflowClient

Draw = Callable[[Sequence[Verdict], Path], object]
_DRAW_SHARE = 500  # a drawing waits so many times as long as the one before took: less than 0.2 % of the time
_ALARMED_SHARE = 50  # likewise where alarms have changed
_POINTS_AT_ONCE = 50  # between two of which it is looked whether to give up


@dataclass(slots=True)
class Courier:
    """Points that wait, and the run that they belong to.

    `resumed_at` is the last step of the journal that the training goes on from, None where nothing is resumed: what was
    delivered, or left undelivered, beyond it is of a branch that was abandoned.
    `take` and `attempt` belong to one thread; `leave` may be called by another while an attempt hangs.
    """

    directory: Path
    to: Belonging
    uri: str
    draw: Draw | None
    draw_every: float
    resumed_at: int | None = None
    delivery: RunDelivery | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    waiting: dict[int, Delivery] = field(default_factory=dict)
    given_up: bool = False
    remarks: list[str] = field(default_factory=list)
    _client: MlflowClient | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _on_disk: set[int] = field(default_factory=set)
    _in_doubt: bool = False
    _drawn_at: float = field(default_factory=time.monotonic)
    _took: float = 0.0
    _alarms_changed: bool = False

    def take(self, verdict: Verdict) -> None:
        """Put a point among those that wait; a step that was taken before is not taken again."""
        step = verdict.point.step
        at = bisect_left(self.verdicts, step, key=lambda each: each.point.step)
        if at < len(self.verdicts) and self.verdicts[at].point.step == step:
            return
        self.verdicts.insert(at, verdict)
        overhead = overhead_of([each.point for each in self.verdicts[max(0, at - STRETCH) : at + 1]])
        metrics, tags = monitor_metrics(verdict, overhead), alarm_tags(verdict.alarms)
        with self._lock:
            self.waiting[step] = Delivery(step, int(verdict.point.at * 1000), metrics, tags)  # MLflow's milliseconds
        self._alarms_changed |= bool(verdict.raised or verdict.closed)

    @drawing_apart()
    def attempt(self) -> None:
        """Deliver all that waits, and the artifacts where it is time.

        Raises:
            Exception: whatever the store or the disk says; everything still waits.
        """
        check_reachable(self.uri, what_is_safe="points wait")
        delivery = self._attached()
        if self._in_doubt:
            delivery.look()
        tags: Mapping[str, str] = {}
        while some := self._next():
            self._in_doubt = True
            delivery.send(some)
            self._in_doubt = False
            with self._lock:
                for each in some:
                    del self.waiting[each.step]
            tags = some[-1].tags
        newest = alarm_tags(self.verdicts[-1].alarms) if self.verdicts else tags
        if not self.given_up:
            delivery.tag(newest)
            delivery.send_evidence(self.directory)
        since = time.monotonic() - self._drawn_at
        pause = _ALARMED_SHARE * self._took if self._alarms_changed else max(self.draw_every, _DRAW_SHARE * self._took)
        if since >= pause and not self.given_up:
            self.send_files()
        self._nothing_is_left()

    @drawing_apart()
    def finish(self, status: str) -> bool:
        """Deliver the last artifacts, and end a run of our own; return whether all is done.

        Raises:
            Exception: whatever the store or the disk says.
        """
        if self.given_up:
            return False
        self.send_files()
        self._attached().send_evidence(self.directory)
        self._attached().end(status)
        with self._lock:
            if not self.given_up:
                undelivered.forget(self.directory)
            return not self.given_up

    def send_files(self) -> None:
        """Draw, and write the artifacts over those in the run."""
        began = time.monotonic()
        folder = self.folder_drawn()
        self._drawn_at, self._took, self._alarms_changed = time.monotonic(), time.monotonic() - began, False
        if folder is not None:
            self._attached().send_files(folder)

    def folder_drawn(self) -> Path | None:
        """Return the folder of artifacts, with what the journal says now and a new drawing.

        None where nothing can be written: numbers go to MLflow all the same, and half a file does not.
        """
        folder = self.directory / undelivered.FILES
        try:
            folder.mkdir(exist_ok=True)
            copy_journal(self.directory, folder)
        except OSError as error:
            self.remarks.append(f"artifacts could not be made ready for MLflow: {error}")
            return None
        if self.draw is not None and self.verdicts:
            try:
                self.draw(tuple(self.verdicts), folder)
            except Exception as error:  # a page is no reason to keep numbers back
                self.remarks.append(f"the timeline could not be drawn: {type(error).__name__}: {error}")
        return folder

    def leave(self, *, give_up: bool = False, status: str | None = None) -> int:
        """Write what waits into the directory, so that `deliver` or the next process finds it; return its number."""
        with self._lock:
            self.given_up |= give_up
            new = [each for step, each in self.waiting.items() if step not in self._on_disk]
            undelivered.add_points(self.directory, new)
            self._on_disk.update(each.step for each in new)
            there = () if self.delivery is None else self.delivery.delivered
            last = max((step for step, _ in there), default=None)
            waiting = len(self.waiting)
            left = replace(self.to, status=status, last_delivered_step=last, points=waiting)
            left.write(self.directory / undelivered.RECORD)
        return waiting

    def drop_abandoned(self) -> None:
        """Remove from the directory what an earlier process left undelivered of a branch that was abandoned."""
        if self.resumed_at is not None:
            try:
                undelivered.drop_beyond(self.directory, self.resumed_at)
            except (OSError, UsageError) as error:
                self.remarks.append(f"points of an abandoned branch stay on disk: {error}")

    def _nothing_is_left(self) -> None:
        """Remove what says that something is undelivered: a process that is killed later leaves no false word."""
        with self._lock:
            if not self.given_up and not self.waiting and (self.directory / undelivered.RECORD).exists():
                try:
                    undelivered.forget(self.directory)
                    self._on_disk.clear()
                except OSError as error:
                    self.remarks.append(f"{undelivered.RECORD} is out of date, and stays: {error}")

    def _next(self) -> list[Delivery]:
        with self._lock:
            return [] if self.given_up else [self.waiting[step] for step in sorted(self.waiting)][:_POINTS_AT_ONCE]

    def _attached(self) -> RunDelivery:
        if self.delivery is None:
            from mlflow import MlflowClient

            self._client = self._client or MlflowClient(tracking_uri=self.uri)
            earlier = {
                each.step: each
                for each in undelivered.points_in(self.directory)
                if self.resumed_at is None or each.step <= self.resumed_at
            }
            with self._lock:
                self.waiting = earlier | self.waiting
                self._on_disk.update(
                    step for step, each in earlier.items() if each.known_by == self.waiting[step].known_by
                )
            with drawing_apart():  # again: now the store's module is loaded
                delivery = RunDelivery.attached(self._client, self.to, min(self.waiting, default=0), self.resumed_at)
            self.to = replace(self.to, run_id=delivery.run_id, own=delivery.own)
            self.delivery = delivery
            try:
                self.to.write(self.directory / undelivered.RUN)
            except OSError as error:  # a full disk keeps no point from a store that answers
                self.remarks.append(f"which run this is could not be written to {self.directory}: {error}")
            differing = delivery.describe(self.to.parameters)
            if differing:
                self.remarks.append(
                    f"run {delivery.run_id} keeps other parameters of a monitor: {', '.join(differing)}"
                )
        return self.delivery


def belonging(
    directory: Path, destination: Destination, begun: tuple[str, str] | None, parameters: Mapping[str, str]
) -> tuple[Belonging, str]:
    """Return where the points of a monitor belong, and the tracking URI with its password, which is kept nowhere.

    Args:
        directory: the monitor's.
        destination: what the user named.
        begun: tracking URI and id of a run that the process has begun.
        parameters: of the monitor.
    """
    import mlflow

    uri = absolute(destination.tracking_uri or mlflow.get_tracking_uri())
    shown = without_password(uri)
    before = Belonging.read(directory / undelivered.RUN)
    name = _name_in_journal(directory) or (before.monitor if before else None) or f"monitor-{secrets.token_hex(6)}"
    to = Belonging(shown, name, None, False, destination.experiment, destination.run_name, parameters)
    if destination.run_id is not None:
        own = before is not None and before.own and before.run_id == destination.run_id
        return replace(to, run_id=destination.run_id, own=own), uri
    if begun is not None and absolute(begun[0]) == uri:
        return replace(to, run_id=begun[1]), uri
    if before is not None and (before.monitor, before.tracking_uri) == (name, shown):
        return replace(to, run_id=before.run_id, own=before.own), uri
    return to, uri


def copy_journal(directory: Path, folder: Path) -> None:
    """Copy what the journal says, which may be written to meanwhile, to where it is read from in peace."""
    for name in (CONVENTION, POINTS, ALARMS):
        if (directory / name).is_file():
            shutil.copyfile(directory / name, folder / name)


def absolute(uri: str) -> str:
    """Return a tracking URI that means the same from any working directory."""
    scheme, _, path = uri.partition(":///")
    if not scheme.startswith("sqlite") or not path or path.startswith(("/", ":memory:")):
        return uri
    return f"{scheme}:///{Path(path).absolute()}"


def _name_in_journal(directory: Path) -> str | None:
    try:
        name = json.loads((directory / CONVENTION).read_text(encoding="utf-8")).get("monitor")
    except (OSError, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None
