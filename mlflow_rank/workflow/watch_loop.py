"""The loop of a watch: look, load, hear, judge, keep; and go on whatever a checkpoint is like."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from mlflow_rank.encoders.foreign_errors import first_line
from mlflow_rank.encoders.interruption import finishing_first
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import MeasurementError, MlflowRankError, UsageError
from mlflow_rank.monitoring.arrivals import PATIENCE, SETTLE, Checkpoint, Files, PassedOver, Sight
from mlflow_rank.monitoring.checkpoint_log import Heard, add_heard
from mlflow_rank.monitoring.journal import Journal
from mlflow_rank.monitoring.past_conventions import check_past_convention
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.monitoring.probing import convention_of, take_point
from mlflow_rank.monitoring.trainer_state import logged_loss
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.reports.watch_words import alarm_lines, passed_line, point_line
from mlflow_rank.workflow.model_files import files_digest

if TYPE_CHECKING:
    from mlflow_rank.encoders.torch_encoder import TorchEncoder
    from mlflow_rank.monitoring.alarm import Alarm, Kind
    from mlflow_rank.monitoring.judge import Judge
    from mlflow_rank.monitoring.verdict import Keeper, Verdict
    from mlflow_rank.workflow.progress import Progress
    from mlflow_rank.workflow.setting import Setting

Result = TypeVar("Result")


class Source(Protocol):
    """Where checkpoints come from: a directory, or a registered model. See `Arrivals` for what each means."""

    in_order: bool

    def look(self) -> Sight:
        """Look once."""
        ...

    def done(self, checkpoint: Checkpoint) -> None:
        """Tell that a checkpoint has its point."""
        ...

    def failed(self, checkpoint: Checkpoint, cause: str) -> bool:
        """Tell that a checkpoint could not be loaded; return whether it is offered again."""
        ...

    def is_unchanged(self, checkpoint: Checkpoint) -> bool:
        """Whether it is still as it was when it was offered."""
        ...

    def identity(self, name: str, files: Files) -> str:
        """Return under which name a checkpoint is known as judged."""
        ...


class Witness(Protocol):
    """Who leaves evidence of what the monitor has to say about each checkpoint."""

    def heard(self, heard: Heard) -> None:
        """Take a checkpoint that has a point, before the verdict on it."""
        ...

    def say(self, verdict: Verdict) -> None:
        """State what a verdict says of the checkpoint, and of earlier ones that it throws another light on."""
        ...


class _NoAnswerError(Exception):
    """A registry does not answer, which says nothing against a checkpoint."""

    def __init__(self, error: MeasurementError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Until:
    """When to end: once all that is there is judged; at a step; after so many seconds without a point; at an alarm."""

    once: bool = False
    step: int | None = None
    idle: float | None = None
    stop_on: Collection[Kind] = ()

    def __post_init__(self) -> None:
        if self.idle is not None and not self.idle > 0:
            raise UsageError("bad time to wait", got=f"{self.idle:g} s", expected="more than 0 s")


@dataclass(frozen=True, slots=True)
class Probed:
    """What is listened to: so many utterances of a source of audio, for so many seconds each, drawn with this seed."""

    audio: str
    utterances: int
    seconds: float
    seed: int


@dataclass(slots=True)
class Watching:
    """One watch, from the first look to the last.

    `setting` says how encoders are loaded; `journal`, `judge` and `keepers` are as a monitor's. `opened` is called once
    the journal is begun; it returns the keepers beside it. `baseline` is where the past runs lie that the judge was
    calibrated on: once the convention is known, they are held against it.
    """

    source: Source
    setting: Setting
    probed: Probed
    journal: Journal
    judge: Judge
    opened: Callable[[], Sequence[Keeper]]
    progress: Progress
    witness: Witness | None = None
    baseline: Sequence[Path] = ()
    settle: float = SETTLE
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    verdicts: list[Verdict] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    _probe: ProbeSet | None = None
    _keepers: Sequence[Keeper] = ()
    _progressed_at: float = 0.0
    _once: bool = False

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms until now."""
        return self.verdicts[-1].alarms if self.verdicts else ()

    def run(self, until: Until) -> str:
        """Watch until it is over; return why it ended: `once`, `step`, `idle` or `alarm`.

        Raises:
            UsageError: the audio, or the convention of what was judged before or of a past run, is another.
            MeasurementError: points cannot be kept, or MLflow cannot be reached at the first look.
            KeyboardInterrupt: all that was judged is kept.
        """
        self.verdicts = [self.judge.judge(point) for point in self.journal.points]
        self._progressed_at, self._once = self.clock(), until.once
        try:
            while True:
                ended = self._ended(until)
                if ended is not None:
                    return ended
                sight = self._look()
                if sight.ready is not None:
                    self._hear(sight.ready)
                elif until.once and self._nothing_comes(sight):
                    return "once"
                else:
                    self._wait(sight)
        finally:
            for keeper in self._keepers:
                keeper.close(self.verdicts)
            self.journal.close()

    def _ended(self, until: Until) -> str | None:
        if any(alarm.is_open and alarm.kind in until.stop_on for alarm in self.alarms):
            return "alarm"
        if until.step is not None and self.verdicts and self.verdicts[-1].point.step >= until.step:
            return "step"
        if until.idle is not None and self.clock() - self._progressed_at >= until.idle:
            return "idle"
        return None

    def _look(self) -> Sight:
        try:
            sight = self.source.look()
        except MeasurementError as error:
            self._outlast(error)
            return Sight(None)
        for each in sight.passed_over:
            self._pass_over(each)
        return sight

    def _outlast(self, error: MeasurementError) -> None:
        """Go on where a registry does not answer now: it may do so in a while. Who wants to be done once is told."""
        if self._once:
            raise error
        self.progress.say_once(plain(f"{error.what} ({error.got}); looking again until it answers"))

    def _pass_over(self, each: PassedOver) -> None:
        self.passed_over.append(each)
        self._say(passed_line(each))

    def _nothing_comes(self, sight: Sight) -> bool:
        if sight.waiting and self.clock() - self._progressed_at < self.settle + self.patience:
            return False
        for name in sight.waiting:
            self._pass_over(PassedOver(name, None, "it was still not complete"))
        return True

    def _wait(self, sight: Sight) -> None:
        if sight.waiting:
            self.progress.say_once(plain(f"waiting for {sight.waiting[0]} to be complete"))
        elif not self.verdicts:
            self.progress.say_once("waiting for the first checkpoint")
        self.sleep(min(max(self.settle / 2, 0.05), SETTLE))  # s between looks

    def _hear(self, checkpoint: Checkpoint) -> None:
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as downloads:
            try:
                loaded = self._attempt(checkpoint, lambda: self._load(checkpoint, Path(downloads)))
            except _NoAnswerError as silence:
                self._outlast(silence.error)
                return self._wait(Sight(None))
            if loaded is None:
                return None
            encoder, digest = loaded
            probe = self._opened(encoder)
            point = self._attempt(checkpoint, lambda: self._point(checkpoint, encoder, probe))
            if point is None:
                return None
        if not self.source.is_unchanged(checkpoint):
            return self._say(f"{checkpoint.name} changed while it was heard; it is heard again once it lies still")
        with finishing_first():
            return self._judge(point, checkpoint, digest)

    def _attempt(self, checkpoint: Checkpoint, act: Callable[[], Result]) -> Result | None:
        """Return what an act on a checkpoint gives, None where it failed: tried again later, and said at its end."""
        try:
            return act()
        except _NoAnswerError:
            raise
        except MlflowRankError as error:
            cause = error.what if error.got is None else f"{error.what} (got {error.got})"
        except Exception as error:  # each format of weights, and each model's code, has errors of its own
            cause = f"{type(error).__name__}: {first_line(error)}"
        if self.source.failed(checkpoint, " ".join(cause.split())):
            self.progress.say_once(plain(f"{checkpoint.name} cannot be loaded as it is; trying again for a while"))
        return None

    def _load(self, checkpoint: Checkpoint, downloads: Path) -> tuple[TorchEncoder, str | None]:
        setting = self.setting
        try:
            resolved = resolve_model(checkpoint.spec, into=downloads, tracking_uri=setting.tracking_uri)
        except MeasurementError as error:
            raise _NoAnswerError(error) from error
        encoder = load_encoder(
            resolved.loadable,
            layers=setting.layers,
            device=setting.device,
            trust_remote_code=setting.trust_remote_code,
            seed=setting.seed,
        )
        return encoder, None if self.witness is None else files_digest(resolved, encoder, self.progress)

    def _opened(self, encoder: TorchEncoder) -> ProbeSet:
        """Return the probe set, drawn for the first encoder; then also the journal and the keepers are opened."""
        if self._probe is not None:
            return self._probe
        corpus = self.setting.corpus(self.probed.audio, self.progress)
        probe = ProbeSet.drawn(
            corpus.utterances,
            count=self.probed.utterances,
            seconds=self.probed.seconds,
            seed=self.probed.seed,
            rate=encoder.sampling_rate,
            minimum_samples=encoder.minimum_samples,
        )
        if probe.note:
            self._say(probe.note)
        convention = convention_of(encoder, probe)
        for path in self.baseline:
            check_past_convention(path, convention)
        self.journal.begin(convention, step=None)
        self._keepers = self.opened()
        self._probe = probe
        return probe

    def _point(self, checkpoint: Checkpoint, encoder: TorchEncoder, probe: ProbeSet) -> Point:
        loss = None if checkpoint.place is None else logged_loss(checkpoint.place, checkpoint.step)
        point = take_point(encoder, probe, step=checkpoint.step, loss=loss)
        before = self.verdicts[-1].point if self.verdicts else point
        if _widths(point) != _widths(before):
            raise UsageError(
                "it is another encoder than those before",
                got=f"layers of widths {_widths(point)}",
                expected=f"layers of widths {_widths(before)}",
            )
        return point

    def _say(self, text: str) -> None:
        self.progress.say(plain(text))

    def _judge(self, point: Point, checkpoint: Checkpoint, digest: str | None) -> None:
        self.source.done(checkpoint)
        known_as = self.source.identity(checkpoint.name, checkpoint.files)
        heard = Heard(known_as, checkpoint.spec, checkpoint.step, digest, self.source.in_order)
        verdict = self.judge.judge(point)
        try:
            add_heard(self.journal.directory, heard)  # before the point: a line without its point is dropped
            self.journal.keep(verdict)
        except OSError as error:
            raise MeasurementError(
                "the point cannot be kept",
                got=f"{self.journal.directory}: {error.strerror}",
                remedy="make room there, then give the same command again",
            ) from error
        self.verdicts.append(verdict)
        self._progressed_at = self.clock()
        for keeper in self._keepers:
            keeper.keep(verdict)
        self._say(point_line(verdict, checkpoint.name))
        for line in alarm_lines(verdict):
            self._say(line)
        if self.witness is not None:
            self.witness.heard(heard)
            self.witness.say(verdict)


def _widths(point: Point) -> dict[int, int]:
    return {reading.layer: reading.dim for reading in point.readings}
