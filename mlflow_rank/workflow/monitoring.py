"""A monitor of one training, put together: the model that trains, a probe set, a judge, and who keeps what it says."""

from __future__ import annotations

import atexit
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from mlflow_rank.encoders.live_encoder import LiveEncoder, live_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.alarm import KINDS, Alarm, Kind
from mlflow_rank.monitoring.cadence import Cadence
from mlflow_rank.monitoring.journal import Journal
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.mean_loss import Loss
from mlflow_rank.monitoring.monitor import Monitor
from mlflow_rank.monitoring.past_conventions import baseline_points
from mlflow_rank.monitoring.probe_set import COUNT, SECONDS, ProbeSet
from mlflow_rank.monitoring.probing import Room, convention_of, take_point
from mlflow_rank.monitoring.team import Team
from mlflow_rank.monitoring.verdict import Keeper
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.setting import STARTER, Setting

if TYPE_CHECKING:
    import torch

    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.workflow.live_evidence import LiveEvidence

DEFAULT_DIRECTORY = Path("mlflow_rank_monitor")
ProbeAudio = str | PathLike[str] | ProbeSet | Iterable[Any]

_open: WeakValueDictionary[Path, RankMonitor] = WeakValueDictionary()  # of this process, by directory


class RankMonitor:
    """Watches the rank of every layer of a model while it trains, draws it in MLflow, and warns of collapse.

        monitor = RankMonitor(model, "dev.jsonl")
        for step, batch in enumerate(batches, start=1):
            loss = train_on(batch)
            monitor.step(step, loss)
            if monitor.should_stop:
                break
        monitor.close()

    A few utterances, the same at every point, are heard in eval mode; weights, modes, gradients and random numbers are
    as before afterwards, so the training is bitwise what it would be without. Points are kept in `directory`, and in
    the MLflow run that is active (else a run of its own). A training that resumes goes on with its chart. Whatever goes
    wrong in here is said once, loudly, and never stops a training. In a distributed training every process makes one
    and calls it alike.

    Args:
        model: what is trained: a transformers speech encoder, a module that holds one, or any module with `layers`.
        probe_audio: a directory, manifest or dataset, as `mlflow-rank measure --audio` takes it; waveforms (arrays or
            tensors of floats in [-1, 1]) at the encoder's rate; or a `ProbeSet`. Never audio that you evaluate on.
        layers: which layers, or name patterns of submodules, as `mlflow-rank measure --layers`; None: all.
        preprocessor: what normally feeds the encoder; None: what its family is fed with.
        sampling_rate: of the encoder, in Hz; None: as the preprocessor or the module says, else 16,000.
        utterances: how many are heard at each point.
        seconds: of each, from its beginning.
        seed: what the utterances are drawn with.
        every: steps between points; the first points lie closer, at 0, 1, 2, 4, 8, ….
        max_overhead: share of the training's time that points may take; they become fewer where they would take more.
            None: no limit.
        limits: what the judge asks before it speaks.
        baseline: directories (or `points.jsonl`) of past healthy runs with this probe set, to calibrate on.
        stop_on: kinds of alarms at which `should_stop` turns true: constant_collapse, dimensional_collapse,
            divergence, disagreement.
        directory: where points, alarms and evidence are kept.
        destination: which MLflow run; None: the active one, or `MLFLOW_RUN_ID`, or a new one.
        use_mlflow: whether anything goes to MLflow.
        key: signs what is stated about checkpoints; a key or its file (without a passphrase). None: unsigned.

    Raises:
        UsageError: no speech encoder in the model, no usable audio, or a setting makes no sense.
        MeasurementError: the parameters are sharded over processes.
        EvidenceError: the key cannot be read.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        probe_audio: ProbeAudio = STARTER,
        *,
        layers: str | None = None,
        preprocessor: object = None,
        sampling_rate: int | None = None,
        utterances: int = COUNT,
        seconds: float = SECONDS,
        seed: int = 0,
        every: int = 200,
        max_overhead: float | None = 0.01,
        limits: Limits | None = None,
        baseline: Sequence[str | PathLike[str]] = (),
        stop_on: Collection[Kind] = (),
        directory: str | PathLike[str] = DEFAULT_DIRECTORY,
        destination: Destination | None = None,
        use_mlflow: bool = True,
        key: PrivateKey | str | PathLike[str] | None = None,
    ) -> None:
        _check_kinds(stop_on)
        limits = limits or Limits()
        encoder = live_encoder(model, layers=layers, preprocessor=preprocessor, sampling_rate=sampling_rate)
        team, room = Team.here(lambda: encoder.device), Room()
        probe = _probe_set(probe_audio, encoder, count=utterances, seconds=seconds, seed=seed)
        convention = dict(convention_of(encoder, probe))
        judge = Judge(limits, baseline=[baseline_points(Path(each), convention) for each in baseline])
        cadence, signing = Cadence(every, max_overhead), _key_of(key)
        journal = Journal(_released(directory)) if team.first else None  # last: it keeps the directory from others
        parameters = {
            "every": every,
            "max_overhead": max_overhead,
            "layers": ", ".join(str(layer.index) for layer in encoder.layers),
            **{f"probe.{name}": value for name, value in probe.convention.items()},
            **{f"limits.{name}": value for name, value in asdict(limits).items()},
        }
        self._monitor = Monitor(
            take=lambda step, loss: take_point(encoder, probe, step=step, loss=loss, team=team, room=room),
            convention=convention,
            journal=journal,
            judge=judge,
            cadence=cadence,
            team=team,
            stop_on=stop_on,
        )
        self._evidence: LiveEvidence | None = None
        if journal is not None:
            self._monitor.open_keepers = partial(self._keepers, journal, destination, parameters, use_mlflow, signing)
            if probe.note:
                self._monitor.say(f"mlflow-rank: {probe.note}")
            _open[journal.directory] = self
        atexit.register(self.close)

    @property
    def should_stop(self) -> bool:
        """Whether an alarm of a kind in `stop_on` has been raised and is open; the same in every process."""
        return self._monitor.should_stop

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms until now, open and closed, in the order they were raised; known to the first process."""
        return self._monitor.alarms

    @property
    def overhead(self) -> float:
        """What points have cost until now, as a share of the training's own time."""
        return self._monitor.cadence.overhead

    def step(self, n: int, loss: Loss | None = None) -> None:
        """Tell that the optimiser has taken `n` steps in all; best also once before the first step, with 0.

        Costs a comparison while no point is due. `loss` is a number or a tensor of one, which is not waited for.
        """
        self._monitor.step(n, loss)

    def checkpoint(self, path: str | PathLike[str], step: int) -> None:
        """Tell that the weights of `step` have been written to `path`: what is known of alarms is stated about them.

        The statement, signed where there is a key, is kept in `directory/evidence` and in the MLflow run, for
        `mlflow-rank decide` and the gate. Files are hashed in a thread of its own.
        """
        if self._evidence is None:
            return  # not the first process, or not begun
        try:
            if self._monitor.over:
                self._monitor.say(f"mlflow-rank: nothing is stated about {path}: the monitor is over")
            else:
                self._evidence.leave(Path(path), step)
        except Exception as error:  # nothing of ours may stop a training
            with suppress(Exception):
                self._monitor.say(f"mlflow-rank: nothing is stated about {path}: {error}")

    def close(self) -> None:
        """End: deliver what is left to MLflow, for at most a minute, and say what could not be delivered."""
        atexit.unregister(self.close)
        self._monitor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keepers(
        self,
        journal: Journal,
        destination: Destination | None,
        parameters: dict[str, object],
        use_mlflow: bool,
        key: PrivateKey | None,
        begun_at: int,
    ) -> list[Keeper]:
        """Open who keeps what beside the journal, once it is clear whether this training goes on or begins."""
        from mlflow_rank.workflow.live_evidence import LiveEvidence

        self._evidence = LiveEvidence(journal.directory, journal.monitor, key, begun_at)
        if not use_mlflow:
            return [self._evidence]
        from mlflow_rank.registry.runs.monitored_run import MonitoredRun
        from mlflow_rank.reports.timeline import draw_timeline

        # The evidence first: at the end its files are there before the run takes what is left.
        return [
            self._evidence,
            MonitoredRun(journal.directory, destination, parameters=parameters, draw=draw_timeline),
        ]


def _released(directory: str | PathLike[str]) -> Path:
    """Return the directory, which a training that this process broke off (in a notebook) does not keep from others."""
    absolute = Path(directory).absolute()
    before = _open.pop(absolute, None)
    if before is not None and not before._monitor.over:
        before._monitor.say(
            f"mlflow-rank: another monitor begins in {absolute}, so the one before it ends; "
            "give each of several trainings a directory of its own"
        )
        before.close()
    return absolute


def _probe_set(audio: ProbeAudio, encoder: LiveEncoder, *, count: int, seconds: float, seed: int) -> ProbeSet:
    if isinstance(audio, ProbeSet):
        return audio
    rate = encoder.sampling_rate
    if encoder.maximum_samples is not None:
        seconds = min(seconds, encoder.maximum_samples / rate)
    if not isinstance(audio, (str, PathLike)):
        return ProbeSet.of_waveforms(audio, rate, seconds=seconds)
    corpus = Setting().corpus(str(audio), Silence())
    return ProbeSet.drawn(
        corpus.utterances,
        count=count,
        seconds=seconds,
        seed=seed,
        rate=rate,
        minimum_samples=encoder.minimum_samples,
    )


def _check_kinds(stop_on: Collection[str]) -> None:
    unknown = [kind for kind in ([stop_on] if isinstance(stop_on, str) else stop_on) if kind not in KINDS]
    if unknown:
        raise UsageError("no such kind of alarm to stop on", got=", ".join(unknown), expected=", ".join(KINDS))


def _key_of(key: PrivateKey | str | PathLike[str] | None) -> PrivateKey | None:
    if not isinstance(key, (str, PathLike)):
        return key
    from mlflow_rank.evidence.keys import read_private_key

    return read_private_key(Path(key), lambda: None)
