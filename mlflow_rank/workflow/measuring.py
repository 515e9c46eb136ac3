"""Ranks of every layer of an encoder on unlabelled audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.rank_measurement import Document, Heard, all_skipped, rank_measurement
from mlflow_rank.spectra import PRESETS
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sampling import Sample, Sampling, draw
from mlflow_rank.workflow.hearing import Hearing
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import STARTER, Setting
from mlflow_rank.workflow.subjects import hear_all, subjects


@dataclass(frozen=True, slots=True)
class RankRequest:
    """The audio to measure on, and the convention; the default is the starter corpus."""

    audio: str = STARTER
    preset: str = "robust"
    sampling: Sampling = field(default_factory=Sampling)
    intervals: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """The document, that of the random-weights control where it was asked for, and the encoder."""

    document: Document
    control: Document | None
    encoder: TorchEncoder


def measure(setting: Setting, request: RankRequest, progress: Progress | None = None) -> Measurement:
    """Measure the rank of every layer of an encoder on unlabelled audio.

    Raises:
        UsageError: the model, the audio or a setting is wrong.
        MeasurementError: too much audio cannot be used (listed in `skipped.jsonl`), the encoder returns NaN, ….
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    progress = progress or Silence()
    setting.check()
    check_preset(request)
    with subjects(setting, progress) as loaded:
        drawn = Drawn.of(setting, request, progress)
        hearings = [Hearing.prepare(setting, each, measured=drawn.measured) for each in loaded.ranked]
        hear_all([one for each in hearings for one in each.listenings], setting, progress)
        measurement = concluded(drawn, hearings, progress)
        for each in hearings:
            each.forget()
    return measurement


def check_preset(request: RankRequest) -> None:
    """Refuse a preset that does not exist.

    Raises:
        UsageError: there is none of this name.
    """
    if request.preset not in PRESETS:
        raise UsageError("no such preset", got=request.preset, expected=" or ".join(PRESETS))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A measurement before anything is heard: the corpus, and the sample of it."""

    setting: Setting
    request: RankRequest
    corpus: Corpus
    sample: Sample

    @classmethod
    def of(cls, setting: Setting, request: RankRequest, progress: Progress) -> Drawn:
        """Open the corpus and draw the sample."""
        corpus = setting.corpus(request.audio, progress)
        return cls(setting, request, corpus, draw(corpus.utterances, request.sampling))

    @property
    def measured(self) -> tuple[Sample, Protocol]:
        """The sample, and how its frames become rows."""
        levels = PRESETS[self.request.preset].levels
        return self.sample, self.setting.protocol(levels, frame_stride=self.request.sampling.frame_stride)


def concluded(drawn: Drawn, hearings: Sequence[Hearing], progress: Progress) -> Measurement:
    """Return the measurement, once candidate and control (where there is one) have heard the sample.

    Raises:
        MeasurementError: too much audio could not be used.
    """
    encoders = [hearing.subject.encoder for hearing in hearings]
    progress.begin("reading spectra", sum(len(encoder.layers) for encoder in encoders))
    documents = [_document(drawn, hearing, progress) for hearing in hearings]
    return Measurement(documents[0], documents[1] if len(documents) > 1 else None, encoders[0])


def _document(drawn: Drawn, hearing: Hearing, progress: Progress) -> Document:
    setting, request = drawn.setting, drawn.request
    heard = Heard.of([] if hearing.ranking is None else hearing.ranking.files)
    setting.check_skipped(
        all_skipped(drawn.corpus, heard), len(drawn.corpus.skipped) + len(drawn.sample.utterances), progress
    )
    document = rank_measurement(
        hearing.subject.encoder,
        drawn.corpus,
        drawn.sample,
        drawn.measured[1],
        heard,
        preset=request.preset,
        intervals=request.intervals,
        after_layer=lambda: progress.advance(1),
    )
    document["model"] = hearing.subject.named(_mapping(document["model"]))
    document["audio"] = {**_mapping(document["audio"]), "source": request.audio}
    return document


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
