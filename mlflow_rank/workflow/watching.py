"""Watching checkpoints that anything writes, or versions that anybody registers: charts, alarms, and evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.precision import choose_precision
from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.arrivals import PATIENCE, SETTLE, Arrivals
from mlflow_rank.monitoring.checkpoint_form import PLACE, CheckpointForm
from mlflow_rank.monitoring.checkpoint_log import Heard, read_heard
from mlflow_rank.monitoring.journal import Journal, read_points
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.registry.clients.connection import connected_client
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.trained_versions import TrainedVersions
from mlflow_rank.workflow.addresses import named_model
from mlflow_rank.workflow.watch_evidence import FOLDER, Deliveries, WatchEvidence
from mlflow_rank.workflow.watch_loop import Probed, Until, Watching
from mlflow_rank.workflow.watched_versions import VersionArrivals

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.monitoring.alarm import Alarm
    from mlflow_rank.monitoring.verdict import Keeper
    from mlflow_rank.registry.runs.monitored_run import MonitoredRun
    from mlflow_rank.registry.runs.run_claim import RecordedRun
    from mlflow_rank.workflow.progress import Progress
    from mlflow_rank.workflow.setting import Setting

MODELS = "models:/"
PLACES = Path("mlflow_rank_monitor")  # where each watch has a directory of its own


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What is watched, how checkpoints are told apart, and what they are held against.

    `source` is a directory or `models:/NAME`. `every` is the least number of steps between points, `settle` how long
    files must lie still, in seconds. `baseline` are past healthy runs: a `points.jsonl` each, or its directory.
    `directory` is where all is kept, None for one named after the source. `submit` hands evidence in at the gate.
    """

    source: str
    probed: Probed
    until: Until = field(default_factory=Until)
    form: CheckpointForm = field(default_factory=CheckpointForm)
    every: int = 1
    settle: float = SETTLE
    limits: Limits = field(default_factory=Limits)
    baseline: Sequence[Path] = ()
    directory: Path | None = None
    submit: bool = False

    @property
    def patience(self) -> float:
        """How long, in seconds, what cannot be loaded is tried again: 60 where files must lie still for 5."""
        return self.settle * PATIENCE / SETTLE

    @property
    def of_versions(self) -> bool:
        """Whether versions of a registered model are watched."""
        return self.source.startswith(MODELS)

    @property
    def kept_at(self) -> Path:
        """Where all is kept."""
        if self.directory is not None:
            return self.directory
        whole = self.source if self.of_versions else str(Path(self.source).resolve())
        name = whole.rstrip("/").rpartition("/")[2] or "root"
        return PLACES / f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"  # two places of one name are apart


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of a watch; `ended` says why: `once`, `step`, `idle` or `alarm`."""

    request: WatchRequest
    ended: str
    loop: Watching
    run: RecordedRun | None
    evidence: Sequence[Path]
    refused: Sequence[str]

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms, open and closed."""
        return self.loop.alarms

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        """Those that are open."""
        return tuple(alarm for alarm in self.alarms if alarm.is_open)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        verdicts = self.loop.verdicts
        return {
            "kind": "Watch",
            "source": self.request.source,
            "directory": str(self.request.kept_at),
            "monitor": self.loop.journal.monitor if verdicts else None,
            "ended": self.ended,
            "points": len(verdicts),
            "last_step": verdicts[-1].point.step if verdicts else None,
            "open_alarms": len(self.open_alarms),
            "alarms": [dict(alarm.document()) for alarm in self.alarms],
            "passed_over": [asdict(each) for each in self.loop.passed_over],
            "run_id": None if self.run is None else self.run.run_id,
            "evidence": [str(path) for path in self.evidence],
            "refused": list(self.refused),
        }

    def nothing_judged(self) -> MeasurementError:
        """Return the error where there is no point."""
        passed = self.loop.passed_over
        got = (
            "; ".join(f"{each.name}: {each.cause}" for each in passed[:3])
            or f"nothing of that kind in {self.request.source}"
        )
        if self.request.of_versions:
            return MeasurementError("no version could be judged", got=got, expected="versions that hold an encoder")
        return MeasurementError(
            "no checkpoint could be judged",
            got=got,
            expected="directories such as checkpoint-500 with config.json and model.safetensors",
            remedy="say with --as how others are loaded; a single model is heard by mlflow-rank measure",
        )


def watch(
    request: WatchRequest,
    setting: Setting,
    progress: Progress,
    *,
    destination: Destination | None,
    key: PrivateKey | None = None,
) -> Watched:
    """Watch until it is over.

    Args:
        request: what, and until when.
        setting: how encoders are loaded, and where MLflow is.
        progress: is told what happens.
        destination: which MLflow run takes the charts; None for none.
        key: signs what is stated about checkpoints.

    Raises:
        UsageError: there is no such source, audio or run before; or a run before heard another probe set or layers.
        MeasurementError: points cannot be kept, or MLflow cannot be reached at the first look.
        KeyboardInterrupt: all that was judged is kept.
    """
    choose_precision(setting.device, setting.dtype)
    setting.corpus(request.probed.audio, progress)  # refused now rather than when the first checkpoint comes
    judge = Judge(request.limits, baseline=[read_points(path) for path in request.baseline])
    if request.submit and not request.of_versions:
        raise UsageError("only registered versions are handed in", got=request.source, expected="models:/NAME")
    if request.of_versions and request.form.loaded_as != PLACE:
        raise UsageError("a version says itself how it is loaded", got=f"--as {request.form.loaded_as}")
    open_source = _source_of(request, setting)
    journal = Journal(request.kept_at)
    try:
        known = read_heard(journal.directory, (point.step for point in journal.points))
        source = open_source(journal, known)
        runs: list[MonitoredRun] = []
        deliveries = Deliveries(
            journal.directory / FOLDER,
            setting.tracking_uri,
            progress,
            run=None if destination is None else lambda: runs[0].run,
            made_by=source.run_of if isinstance(source, VersionArrivals) and key and destination else None,
            submit=request.submit,
        )
        evidence = WatchEvidence(journal.directory, lambda: journal.monitor, key, deliveries.take, known=known)
        loop = Watching(
            source=source,
            setting=setting,
            probed=request.probed,
            journal=journal,
            judge=judge,
            opened=lambda: _opened(request, journal, destination, runs, loop),
            progress=progress,
            witness=evidence,
            baseline=request.baseline,
            settle=request.settle,
            patience=request.patience,
        )
        progress.say_once(f"watching {request.source}; what is judged is kept in {journal.directory}")
        if journal.points:
            progress.say(f"going on after step {source.last}: {len(journal.points)} points are there already")
        try:
            ended = loop.run(request.until)
        finally:
            deliveries.finish()
    finally:
        journal.close()
    return Watched(request, ended, loop, runs[0].run if runs else None, evidence.written, deliveries.refused)


def _source_of(
    request: WatchRequest, setting: Setting
) -> Callable[[Journal, Sequence[Heard]], Arrivals | VersionArrivals]:
    """Return what makes the source, once it is known what was heard; a source that is not there is refused now."""
    pace: dict[str, Any]
    if request.of_versions:
        model = named_model(request.source)
        versions = TrainedVersions.of(connected_client(setting.tracking_uri), model, patience=request.patience)
        pace = {"every": request.every, "patience": request.patience}
        return lambda journal, known: VersionArrivals(versions, **pace, **_known(journal, known))
    directory = Path(request.source).expanduser()
    pace = {"every": request.every, "settle": request.settle, "patience": request.patience}
    Arrivals(directory, request.form, **pace)
    return lambda journal, known: Arrivals(directory, request.form, **pace, **_known(journal, known))


def _known(journal: Journal, known: Sequence[Heard]) -> dict[str, Any]:
    named = {heard.known_as: heard.step for heard in known}
    nameless = {point.step for point in journal.points} - set(named.values())
    return {
        "judged": named | {f"(step {step})": step for step in nameless},
        "last": max((point.step for point in journal.points), default=None),
        "in_order": any(heard.in_order for heard in known),
    }


def _opened(
    request: WatchRequest,
    journal: Journal,
    destination: Destination | None,
    runs: list[MonitoredRun],
    loop: Watching,
) -> Sequence[Keeper]:
    """Return who keeps the verdicts beside the journal: the MLflow run, where one is wanted."""
    if destination is None:
        return ()
    from mlflow_rank.registry.runs.monitored_run import MonitoredRun, Patience
    from mlflow_rank.reports.timeline import draw_timeline

    probed, limits = request.probed, request.limits
    parameters: Mapping[str, object] = {
        "source": request.source,
        "every": request.every,
        **{f"probe.{name}": value for name, value in asdict(probed).items()},
        **{f"limits.{name}": value for name, value in asdict(limits).items()},
    }
    run = MonitoredRun(
        journal.directory,
        destination,
        parameters=parameters,
        draw=draw_timeline,
        say=loop.progress.say,
        patience=Patience(grace=0.0),  # no training of this process begins a run of its own in a moment
    )
    run.resume(loop.verdicts)
    runs.append(run)
    return (run,)
