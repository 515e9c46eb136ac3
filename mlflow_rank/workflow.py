"""The use cases: each connects the folders of the package in order, and decides nothing itself."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol as Interface

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.encoders.workers import EncoderCall, hear_blocks
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.rank_measurement import Document, Heard, all_skipped, rank_measurement, skipped_in
from mlflow_rank.registry.flavor import LoggedEncoder, log_encoder
from mlflow_rank.registry.layer_table import write_layer_table
from mlflow_rank.registry.resolve import resolve_model
from mlflow_rank.registry.tracking import Destination, RecordedRun, record_measurement
from mlflow_rank.reports.figures import rank_by_layer, save_figure
from mlflow_rank.spectra import PRESETS
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sampling import Sample, Sampling, draw
from mlflow_rank.speech.skips import DEFAULT_MAX_SKIPPED, too_many_skipped, write_skipped
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.starter.corpus import ABOUT, SET_NAMES, cache_directory, starter_corpus

STARTER = "starter"
MOST_WORKERS, MINUTES_PER_WORKER = 4, 20  # each worker holds an encoder in memory of its own
DEFAULT_OUTPUT = Path("mlflow_rank_results")  # written to only where there is nowhere else to keep results


class Progress(Interface):
    """Who is told how far the work is: a bar on a terminal, nothing in tests."""

    def say(self, text: str) -> None:
        """Say what happens next."""

    def begin(self, title: str, total: float) -> None:
        """Start a stretch of work of `total` units."""

    def advance(self, amount: float) -> None:
        """Count `amount` units as done."""


class Silence:
    """Progress that nobody watches."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def begin(self, title: str, total: float) -> None:
        """Show nothing."""

    def advance(self, amount: float) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True)
class MeasureRequest:
    """What to measure: an encoder, audio, and the convention; the defaults are the starter encoder and corpus."""

    model: str = STARTER
    audio: str = STARTER
    layers: str | None = None
    preset: str = "robust"
    sampling: Sampling = field(default_factory=Sampling)
    channel: str | int = "mix"
    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False
    workers: int | None = 1  # None: as many as pay
    control: bool = False
    intervals: bool = True
    max_skipped: float = DEFAULT_MAX_SKIPPED
    resume: bool = False
    cache: Path | None = None
    tracking_uri: str | None = None
    output: Path = DEFAULT_OUTPUT


@dataclass(frozen=True, slots=True)
class Measurement:
    """The document, that of the random-weights control where it was asked for, and the encoder."""

    document: Document
    control: Document | None
    encoder: TorchEncoder


def measure(request: MeasureRequest, progress: Progress | None = None) -> Measurement:
    """Measure the rank of every layer of an encoder on unlabelled audio.

    Raises:
        UsageError: the model, the audio or a setting is wrong.
        MeasurementError: too much audio cannot be used (listed in `skipped.jsonl`), the encoder returns NaN, ….
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    progress = progress or Silence()
    if request.preset not in PRESETS:
        raise UsageError("no such preset", got=request.preset, expected=" or ".join(PRESETS))
    too_many_skipped((), 0, request.max_skipped)  # refuses what is no share, before hours are spent on listening
    protocol = Protocol(PRESETS[request.preset].levels, request.sampling.frame_stride, request.channel)
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as downloads:
        progress.say(f"loading {request.model}")
        resolved = resolve_model(request.model, into=Path(downloads), tracking_uri=request.tracking_uri)
        call = EncoderCall(
            resolved.loadable,
            request.layers,
            request.device,
            request.dtype,
            request.trust_remote_code,
            request.sampling.seed,
        )
        encoder = call.load()
        corpus = open_corpus(audio_source(request.audio, request.cache, progress))
        sample = draw(corpus.utterances, request.sampling)
        document, cache = _measured(request, call, encoder, corpus, sample, protocol, progress)
        control = cache_of_control = None
        if request.control:
            spec = f"random:{call.spec.removeprefix('random:')}"
            of_control = replace(call, spec=spec)
            progress.say("the control: the same architecture with random weights")
            control, cache_of_control = _measured(
                request, of_control, of_control.load(), corpus, sample, protocol, progress
            )
    # Only now: who is interrupted while the control is heard does not hear the encoder itself again.
    for done in (cache, cache_of_control):
        if done is not None:
            done.remove()
    for each, spec in ((document, request.model), (control, f"random:{request.model.removeprefix('random:')}")):
        if each is not None:
            # as the user named them: what they were resolved to is a path of this machine
            each["model"] = {**_mapping(each["model"]), "spec": spec}
            each["audio"] = {**_mapping(each["audio"]), "source": request.audio}
    return Measurement(document, control, encoder)


def _measured(
    request: MeasureRequest,
    call: EncoderCall,
    encoder: TorchEncoder,
    corpus: Corpus,
    sample: Sample,
    protocol: Protocol,
    progress: Progress,
) -> tuple[Document, BlockCache]:
    cache = BlockCache(request.cache or cache_directory(), encoder, protocol, sample.blocks)
    cache.prepare(len(sample.blocks), resume=request.resume)
    seconds = {each.key: each.duration for each in sample.utterances}
    progress.begin("listening", sample.seconds)
    files = hear_blocks(
        call,
        encoder,
        protocol,
        sample.blocks,
        cache,
        workers=request.workers or _worthwhile_workers(encoder, sample),
        after=lambda key: progress.advance(seconds[key]),
    )
    heard = Heard.of(files)
    skipped = all_skipped(corpus, heard)
    too_many = too_many_skipped(skipped, len(corpus.skipped) + len(sample.utterances), request.max_skipped)
    if too_many:
        request.output.mkdir(parents=True, exist_ok=True)
        write_skipped(skipped, request.output / "skipped.jsonl")
        progress.say(f"every skipped file and its cause: {request.output / 'skipped.jsonl'}")
        raise too_many
    progress.begin("reading spectra", len(encoder.layers))
    document = rank_measurement(
        encoder,
        corpus,
        sample,
        protocol,
        heard,
        preset=request.preset,
        intervals=request.intervals,
        after_layer=lambda: progress.advance(1),
    )
    return document, cache


def _worthwhile_workers(encoder: TorchEncoder, sample: Sample) -> int:
    """Return how many processes pay: starting one takes about as long as a small encoder needs for 20 minutes."""
    if encoder.device == "cuda":
        return 1
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS, int(sample.seconds / 60 / MINUTES_PER_WORKER)))


def audio_source(audio: str, cache: Path | None, progress: Progress) -> str | Path:
    """Return what `--audio` names, making the starter corpus where it is asked for.

    `starter` is its unlabelled part, `starter:in_domain/keywords` and so on one of its labelled sets.
    """
    name, _, part = audio.partition(":")
    if name != STARTER or Path(audio).exists():
        return audio
    manifest = starter_corpus(cache, say=progress.say).manifest(part or "unlabelled")
    progress.say(f"the starter corpus. {ABOUT}")
    if not manifest.is_file():
        raise UsageError("no such part of the starter corpus", got=part, expected=", ".join(SET_NAMES))
    return manifest


def write_results(measurement: Measurement, directory: Path) -> list[Path]:
    """Write document, layer table, list of skipped audio and figures; return the figures' paths."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "measurement.json").write_text(as_json(measurement.document), encoding="utf-8")
    if measurement.control is not None:
        (directory / "control.json").write_text(as_json(measurement.control), encoding="utf-8")
    write_layer_table(measurement.document, directory / "layers.parquet", control=measurement.control)
    write_skipped(skipped_in(measurement.document), directory / "skipped.jsonl")
    return draw_figures(measurement, directory)


def draw_figures(measurement: Measurement, directory: Path) -> list[Path]:
    """Draw rank by layer as SVG and PNG and return the paths."""
    figure = rank_by_layer(measurement.document, measurement.control)
    return list(save_figure(figure, directory / "rank_by_layer"))


@dataclass(frozen=True, slots=True)
class Recorded:
    """The MLflow run that holds a measurement, and the model version where one was registered."""

    run: RecordedRun
    registered: LoggedEncoder | None


def record(
    measurement: Measurement, destination: Destination, *, register: str | None = None, kept_at: Path | None = None
) -> Recorded:
    """Record the measurement in MLflow, and register the encoder under a name where one is given.

    Raises:
        MeasurementError: the store cannot be reached; the error names where the results are kept.
    """
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        figures = draw_figures(measurement, Path(folder))
        run = record_measurement(
            measurement.document,
            control=measurement.control,
            artifacts=figures,
            destination=destination,
            kept_at=kept_at,
        )
        if register is None:
            return Recorded(run, None)
        exported = Path(folder) / "encoder"
        export_encoder(measurement.encoder, exported)
        registered = log_encoder(
            exported, measurement.document, run=run, control=measurement.control, registered_model_name=register
        )
        return Recorded(run, registered)


def as_json(document: Document) -> str:
    """Return the document as JSON text, one row of `ranks` on a line of its own level."""
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
