"""What a monitor costs a training: the starter recipe with and without one, and one point in its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.interleaved import interleaved, whole
from benchmarks.material import BASE, RATE, SMALL, sound
from benchmarks.table import Limit, Row
from mlflow_rank.encoders.live_encoder import LiveEncoder, live_encoder
from mlflow_rank.monitoring.cadence import Cadence, settled_time
from mlflow_rank.monitoring.heard import LayerHeard, together
from mlflow_rank.monitoring.plug_in import of_moments, of_rows
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.monitoring.probing import take_point
from mlflow_rank.monitoring.team import Team
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

if TYPE_CHECKING:
    import torch

    from mlflow_rank import RankMonitor
    from recipes.starter_encoder.training import Iteration

UTTERANCES, SECONDS = 64, 4.0  # the default probe set
MOST = 1.0  # % of training time, at the default cadence


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is run: training steps in a block and blocks of each kind, utterances of a point, rounds of points."""

    steps: int = 150
    blocks: int = 8
    utterances: int = UTTERANCES
    rounds: int = 3


QUICK = Amounts(steps=3, blocks=2, utterances=2, rounds=1)


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the share of training that the monitor takes, and the parts of points of two sizes."""
    amounts = QUICK if quick else Amounts()
    corpus = sound(folder, utterances=amounts.utterances, seconds=SECONDS)
    probe = ProbeSet.drawn(corpus.utterances, count=amounts.utterances, seconds=SECONDS, rate=RATE)
    rows = _training(folder, probe, amounts)
    rows += _point("the starter encoder's size", SMALL, probe, amounts.rounds)
    if not quick:
        rows += _point("HuBERT-base size", BASE, probe, amounts.rounds)
    return rows


class _OwnTime:
    """A clock that runs only while its training does: another one goes on in turn with it."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._since: float | None = None

    def __call__(self) -> float:
        """Return how long it has run, in seconds."""
        return self._elapsed + (0.0 if self._since is None else settled_time() - self._since)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run for as long as the body does."""
        self._since = settled_time()
        try:
            yield
        finally:
            self._elapsed, self._since = self(), None


def _training(folder: Path, probe: ProbeSet, amounts: Amounts) -> list[Row]:
    """Train the recipe twice at once, block by block in turn, and let a monitor watch one of the two."""
    watched, plain = _recipe(amounts), _recipe(amounts)
    for iteration in (watched, plain):
        iteration.advance()  # the first step allocates
    clock = _OwnTime()
    with _monitor(watched, probe, folder) as monitor:
        usual = monitor._monitor.cadence
        # neither budget nor account may count the blocks without the monitor as this training's time
        cadence = Cadence(usual.every, usual.max_overhead, clock=clock)
        monitor._monitor.cadence = cadence

        def with_monitor() -> None:
            with clock.running():
                if not cadence.begun:
                    monitor.step(0)
                for _ in range(amounts.steps):
                    loss, _ = watched.advance()
                    monitor.step(watched.done, loss)

        def without() -> None:
            for _ in range(amounts.steps):
                plain.advance()

        actions = {"with": whole(with_monitor), "without": whole(without)}
        times = interleaved(actions, rounds=amounts.blocks, warm_up=False)
        own = monitor.overhead
    share = 100 * (sum(times.seconds["with"]) / sum(times.seconds["without"]) - 1)
    steps = amounts.steps * amounts.blocks
    how = (
        f"{steps} steps of each in turn, {amounts.steps} at a time, summed; the first point and what goes to MLflow "
        "(SQLite) included, imports aside"
    )
    account = "the same, by the monitor's own account of its points and the time of its own blocks"
    return [
        Row(
            "training the starter recipe with a monitor against without, above 1", (share,), "%", Limit("≤", MOST), how
        ),
        Row(
            account, (100 * own,), "%", Limit("≤", MOST), f"{len(probe.waveforms)} utterances of {SECONDS:g} s a point"
        ),
    ]


def _recipe(amounts: Amounts) -> Iteration:
    """Return the starter recipe's first iteration on noise with random clusters, which cost what speech does."""
    import_torchaudio()  # before transformers, which imports it by itself
    import torch
    from transformers import HubertModel

    from recipes.starter_encoder.cluster_prediction import ClusterPrediction, FrameClusters
    from recipes.starter_encoder.model import HOP, MaskedPredictor, architecture
    from recipes.starter_encoder.schedule import Schedule
    from recipes.starter_encoder.training import Iteration

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    stream = rng.integers(-8000, 8000, size=60 * RATE).astype(np.int16)
    clusters = rng.integers(0, 100, size=len(stream) // HOP)
    objective = ClusterPrediction(MaskedPredictor(HubertModel(architecture()), 100), FrameClusters(clusters))
    steps = amounts.steps * amounts.blocks + 1
    return Iteration(objective, stream, Schedule(steps=steps, learning_rate=1e-3), seed=0)


def _monitor(iteration: Iteration, probe: ProbeSet, folder: Path) -> RankMonitor:
    """Return a monitor as a user has it, at the default cadence, that writes into an MLflow run."""
    import mlflow

    from mlflow_rank import RankMonitor

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'monitoring.db'}")
    mlflow.set_experiment("monitoring")  # MLflow's tables are made here
    return RankMonitor(iteration.objective.model, probe, directory=folder / "monitor")


def _point(size: str, config: dict[str, Any], probe: ProbeSet, rounds: int) -> list[Row]:
    """Time whole points less their forward passes, and beside them the spectra alone."""
    encoder, forward = _timed(_in_training(config))
    merged = together(_as_if_heard(encoder, len(probe.waveforms)), Team.alone())

    def point() -> float:
        forward.seconds = 0.0
        take_point(encoder, probe, step=0)
        return forward.seconds

    def spectra() -> None:
        for layer in merged:
            if layer.moments is not None:
                of_moments(0, "frame", layer.moments)
                of_rows(0, "utterance", layer.means)

    times = interleaved({"point": point, "spectra": whole(spectra)}, rounds=rounds, warm_up=False)
    passes = times.aside["point"]
    rest = [100 * each / under for each, under in zip(times.seconds["point"], passes, strict=True)]
    alone = [100 * each / under for each, under in zip(times.seconds["spectra"], passes, strict=True)]
    what = f"one point of {size}, {len(probe.waveforms)} × {SECONDS:g} s, {len(encoder.layers)} layers"
    split = f"{median(alone):.1f} % spectra, the rest moments, means and putting everything back"
    heard = sum(map(len, probe.waveforms)) / probe.rate
    pace = f"{median(heard / seconds for seconds in passes):.0f} s of audio a second"
    return [
        Row(f"{what}: forward pass", passes, "s", None, pace),
        Row(f"{what}: what is added to it", tuple(rest), "%", None, split),
    ]


def _in_training(config: dict[str, Any]) -> LiveEncoder:
    import_torchaudio()
    import torch
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    return live_encoder(HubertModel(HubertConfig(**config)).train())


class _Stopwatch:
    """A forward pass that notes how long it took."""

    def __init__(self, forward: Callable[[torch.Tensor], list[torch.Tensor]]) -> None:
        self._forward = forward
        self.seconds = 0.0

    def __call__(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        start = time.perf_counter()
        frames = self._forward(waveforms)
        self.seconds += time.perf_counter() - start
        return frames


def _timed(encoder: LiveEncoder) -> tuple[LiveEncoder, _Stopwatch]:
    watch = _Stopwatch(encoder.forward)
    return replace(encoder, forward=watch), watch


def _as_if_heard(encoder: LiveEncoder, utterances: int) -> list[LayerHeard]:
    """Return layers that have heard noise: spectra cost the same."""
    import torch

    rng = np.random.default_rng(0)
    heard = []
    for layer in encoder.layers:
        made = LayerHeard(layer.dim, utterances, on_gpu=False)
        made.add([0], torch.from_numpy(rng.normal(size=(1, 2 * layer.dim, layer.dim)).astype(np.float32)))
        made.means[:] = rng.normal(size=made.means.shape)
        heard.append(made)
    return heard
