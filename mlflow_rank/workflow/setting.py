"""What every use case is asked with: the encoder, how it is run, and where things may lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.given_rows import GivenRows
from mlflow_rank.speech.skips import DEFAULT_MAX_SKIPPED, too_many_skipped, write_skipped
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.starter.corpus import ABOUT, SET_NAMES, cache_directory, starter_corpus
from mlflow_rank.speech.utterance import Skipped
from mlflow_rank.workflow.progress import Progress

STARTER = "starter"
DEFAULT_OUTPUT = Path("mlflow_rank_results")  # written to only where there is nowhere else to keep results


@dataclass(frozen=True, slots=True)
class Setting:
    """An encoder and how it is run; the defaults are those of the starter encoder.

    `control` asks for the same architecture with random weights as well; `workers` None for as many processes as pay.
    `rows` are a source of audio that is in memory, by its name.
    """

    model: str = STARTER
    layers: str | None = None
    channel: str | int = "mix"
    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False
    seed: int = 0
    workers: int | None = 1
    control: bool = False
    max_skipped: float = DEFAULT_MAX_SKIPPED
    resume: bool = False
    cache: Path | None = None
    tracking_uri: str | None = None
    output: Path = DEFAULT_OUTPUT
    rows: GivenRows | None = None

    def check(self) -> None:
        """Refuse what is no share before hours are spent on listening.

        Raises:
            UsageError: `max_skipped` is no share.
        """
        too_many_skipped((), 0, self.max_skipped)

    def check_skipped(self, skipped: Sequence[Skipped], offered: int, progress: Progress) -> None:
        """Refuse to go on where too much of the audio on offer could not be used; what it was is written down.

        Raises:
            MeasurementError: more than `max_skipped` of it.
        """
        too_many = too_many_skipped(skipped, offered, self.max_skipped)
        if too_many:
            self.output.mkdir(parents=True, exist_ok=True)
            write_skipped(skipped, self.output / "skipped.jsonl")
            progress.say(f"every skipped file and its cause: {self.output / 'skipped.jsonl'}")
            raise too_many

    @property
    def blocks_at(self) -> Path:
        """Where finished blocks are kept."""
        return self.cache or cache_directory()

    def protocol(self, levels: tuple[str, ...] = (), *, frame_stride: int = 1) -> Protocol:
        """Return how frames become rows; without levels no moments are taken."""
        return Protocol(levels, frame_stride, self.channel)

    def corpus(self, source: str, progress: Progress, *, alignments: bool = False) -> Corpus:
        """Return what a text names: a source of audio, or `starter` and its parts, which are made where needed.

        `alignments` asks for phones from TextGrid and CTM files too.

        Raises:
            UsageError: no such source, or no such part of the starter corpus.
        """
        if self.rows is not None and source == self.rows.source:
            return self.rows.corpus(alignments=alignments)
        name, _, part = source.partition(":")
        if name != STARTER or Path(source).exists():
            return open_corpus(source, alignments=alignments)
        manifest = starter_corpus(self.cache, say=progress.say).manifest(part or "unlabelled")
        progress.say_once(f"the starter corpus. {ABOUT}")
        if not manifest.is_file():
            raise UsageError("no such part of the starter corpus", got=part, expected=", ".join(SET_NAMES))
        return open_corpus(manifest, alignments=alignments)
