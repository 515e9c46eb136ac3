"""Ranks of every layer of an encoder on unlabelled audio."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.rank_measurement import Document, Heard, all_skipped, rank_measurement
from mlflow_rank.spectra import PRESETS
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sampling import Sample, Sampling, draw
from mlflow_rank.speech.skips import too_many_skipped, write_skipped
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import STARTER, Setting
from mlflow_rank.workflow.subjects import Subject, Subjects, hear_all, subjects


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
        ranking = Ranking.prepare(setting, request, loaded, progress)
        hear_all(ranking.listenings, setting, progress)
        measurement = ranking.concluded(progress)
        ranking.forget()
    return measurement


def check_preset(request: RankRequest) -> None:
    """Refuse a preset that does not exist.

    Raises:
        UsageError: there is none of this name.
    """
    if request.preset not in PRESETS:
        raise UsageError("no such preset", got=request.preset, expected=" or ".join(PRESETS))


@dataclass(frozen=True, slots=True)
class Ranking:
    """A measurement between its sample and its documents: one listening for each encoder."""

    setting: Setting
    request: RankRequest
    corpus: Corpus
    sample: Sample
    heard_by: tuple[Subject, ...]
    listenings: tuple[Listening, ...]

    @classmethod
    def prepare(cls, setting: Setting, request: RankRequest, loaded: Subjects, progress: Progress) -> Ranking:
        """Draw the sample, and say what candidate and control are to hear."""
        corpus = setting.corpus(request.audio, progress)
        sample = draw(corpus.utterances, request.sampling)
        levels = PRESETS[request.preset].levels
        protocol = setting.protocol(levels, frame_stride=request.sampling.frame_stride)
        heard_by = tuple(each for each in (loaded.candidate, loaded.control) if each is not None)
        listenings = tuple(each.listening(setting, sample.blocks, protocol) for each in heard_by)
        return cls(setting, request, corpus, sample, heard_by, listenings)

    def concluded(self, progress: Progress) -> Measurement:
        """Return the measurement, once everything was heard.

        Raises:
            MeasurementError: too much audio could not be used.
        """
        progress.begin("reading spectra", sum(len(each.encoder.layers) for each in self.heard_by))
        documents = [
            self._document(subject, listening, progress)
            for subject, listening in zip(self.heard_by, self.listenings, strict=True)
        ]
        return Measurement(documents[0], documents[1] if len(documents) > 1 else None, self.heard_by[0].encoder)

    def forget(self) -> None:
        """Remove what was kept for going on: only when nothing can interrupt the measurement any more."""
        for listening in self.listenings:
            listening.cache.remove()

    def _document(self, subject: Subject, listening: Listening, progress: Progress) -> Document:
        heard = Heard.of(listening.files)
        skipped = all_skipped(self.corpus, heard)
        offered = len(self.corpus.skipped) + len(self.sample.utterances)
        too_many = too_many_skipped(skipped, offered, self.setting.max_skipped)
        if too_many:
            self.setting.output.mkdir(parents=True, exist_ok=True)
            write_skipped(skipped, self.setting.output / "skipped.jsonl")
            progress.say(f"every skipped file and its cause: {self.setting.output / 'skipped.jsonl'}")
            raise too_many
        document = rank_measurement(
            subject.encoder,
            self.corpus,
            self.sample,
            listening.protocol,
            heard,
            preset=self.request.preset,
            intervals=self.request.intervals,
            after_layer=lambda: progress.advance(1),
        )
        # as the user named them: what they were resolved to is a path of this machine
        document["model"] = {**_mapping(document["model"]), "spec": subject.spec}
        document["audio"] = {**_mapping(document["audio"]), "source": self.request.audio}
        return document


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}
