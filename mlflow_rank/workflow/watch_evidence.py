"""What a watch has to say of each checkpoint's files, signed: which alarms hold for it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MeasurementError
from mlflow_rank.evidence.statement import Subject
from mlflow_rank.registry.clients.connection import connected_client
from mlflow_rank.registry.runs.evidence_files import SUFFIX, log_evidence
from mlflow_rank.registry.runs.run_claim import RecordedRun
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.workflow.addresses import named_version
from mlflow_rank.workflow.attesting import attest
from mlflow_rank.workflow.evidencing import write_evidence

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.alarm import Alarm
    from mlflow_rank.monitoring.checkpoint_log import Heard
    from mlflow_rank.monitoring.verdict import Verdict
    from mlflow_rank.workflow.progress import Progress

FOLDER = "evidence"
Deliver = Callable[["Heard", Path], None]


@dataclass(slots=True)
class WatchEvidence:
    """Leaves a statement of alarms about each checkpoint in a folder of files, and hands it on.

    `monitor` gives the monitor's name, `deliver` takes each file when it is written: to a run, or to a gate. A
    checkpoint is spoken of again when an alarm turns out to have begun before it.
    """

    directory: Path
    monitor: Callable[[], str]
    key: PrivateKey | None
    deliver: Deliver = lambda heard, file: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    known: list[Heard] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    def heard(self, heard: Heard) -> None:
        """Take a checkpoint that has a point."""
        self.known.append(heard)

    def say(self, verdict: Verdict) -> None:
        """State what a verdict says of its checkpoint, and of earlier ones that it throws another light on."""
        changed = [alarm.since_step for alarm in verdict.raised]
        changed += [alarm.closed_step for alarm in verdict.closed if alarm.closed_step is not None]
        first = min(changed, default=verdict.point.step)
        for heard in self.known:
            if heard.step >= min(first, verdict.point.step):
                self.say_of(heard, verdict)

    def say_of(self, heard: Heard, verdict: Verdict) -> None:
        """State what a verdict says of one checkpoint."""
        if heard.files_digest is not None:
            self._state(heard, alarms_at(heard.step, verdict.alarms), verdict.point.step)

    def _state(self, heard: Heard, alarms: Sequence[Alarm], heard_until: int) -> None:
        subject = Subject(heard.spec, str(heard.files_digest))
        statement = attest(
            subject, monitor=self.monitor(), alarms=alarms, heard_until=heard_until, key=self.key, now=self.now()
        )
        [file] = write_evidence({_file_name(heard): statement}, self.directory / FOLDER)
        if file not in self.written:
            self.written.append(file)
        self.deliver(heard, file)


@dataclass(slots=True)
class Deliveries:
    """Brings statements to where they are looked for; what a server does not take now waits.

    They lie in `directory`. `run` is the run of the charts, None where there is to be none, and gives None while it is
    not there yet. `made_by` gives the run that made a version, where its statement is to be left there too; `submit`
    hands each in at the gate.
    """

    directory: Path
    tracking_uri: str | None
    progress: Progress
    run: Callable[[], RecordedRun | None] | None = None
    made_by: Callable[[str], str | None] | None = None
    submit: bool = False
    refused: list[str] = field(default_factory=list)
    _waiting: dict[Path, Heard] = field(default_factory=dict)

    def take(self, heard: Heard, file: Path) -> None:
        """Take a statement that was just written, and deliver all that waits, where the server answers."""
        self._waiting[file] = heard
        try:
            self._deliver()
        except MeasurementError as error:
            self.progress.say_once(plain(f"{error.what} ({error.got}); evidence waits to be delivered"))

    def finish(self) -> None:
        """Try once more what waits; say what is left."""
        try:
            self._deliver()
        except MeasurementError as error:
            self.progress.say(plain(f"{error.what} ({error.got})"))
        if self._waiting:
            self.progress.say(f"{len(self._waiting)} statements could not be delivered; they lie in {self.directory}")

    def _deliver(self) -> None:
        for file, heard in list(self._waiting.items()):
            content = {file.name: file.read_bytes()}
            run = None if self.run is None else self.run()
            if self.run is not None and run is None:
                return  # it is made with the first point that arrives there
            if run is not None:
                log_evidence(content, run, kept_at=self.directory)
            run_id = None if self.made_by is None else self.made_by(heard.spec)
            if run_id is not None:
                uri = connected_client(self.tracking_uri).tracking_uri
                log_evidence(content, RecordedRun(run_id, "", uri), kept_at=self.directory)
            if self.submit:
                self._submit(heard, file)
            del self._waiting[file]

    def _submit(self, heard: Heard, file: Path) -> None:
        from mlflow_rank.workflow.acting import GatedRegistry
        from mlflow_rank.workflow.submitting import submit

        registry = GatedRegistry.reached(self.tracking_uri)
        for answer in submit(registry, named_version(heard.spec), [file]):
            self.progress.say(plain(f"{heard.spec}: {answer.sentence}"))
            if answer.refused is not None:
                self.refused.append(f"{heard.spec}: {answer.refused}")


def alarms_at(step: int, alarms: Sequence[Alarm]) -> tuple[Alarm, ...]:
    """Return the alarms that concern a checkpoint of a step, as they stood there.

    One that began later does not, whatever became of the training; one that was over later was open there.
    """
    begun = [alarm for alarm in alarms if alarm.since_step <= step]
    return tuple(
        replace(alarm, closed_step=None) if alarm.closed_step is not None and alarm.closed_step > step else alarm
        for alarm in begun
    )


def _file_name(heard: Heard) -> str:
    """Return what the statement about a checkpoint is called: two of one step may have one name, in two places."""
    place = hashlib.sha256(os.fsencode(heard.spec)).hexdigest()[:8]
    return f"alarms_step_{heard.step:010d}_{_plain(heard.known_as)}_{place}{SUFFIX}"


def _plain(name: str) -> str:
    """Return a name that a file may have."""
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", name.removeprefix("models:/")).strip("_.")[-80:]
