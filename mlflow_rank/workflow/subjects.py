"""The encoders of one use case, each loaded once and known by its part: candidate, control, baseline, champion."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.keeping import Keeping
from mlflow_rank.encoders.listening import EncoderCall, Listening, hear
from mlflow_rank.encoders.specs import LOG_MEL
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.evidence.testimony import FILES_DIGEST
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.speech.blocks import Block
from mlflow_rank.workflow.model_files import files_digest
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting

RANDOM, SHUFFLED = "random:", "shuffled:"
MOST_WORKERS, MINUTES_PER_WORKER = 4, 20  # each worker holds an encoder in memory of its own


@dataclass(frozen=True, slots=True)
class Subject:
    """An encoder: as the user named it, how a worker process loads it, itself, and the digest of its files.

    `files_digest` is None for what evidence is never about: baselines, and features without files.
    """

    spec: str
    call: EncoderCall
    encoder: TorchEncoder
    files_digest: str | None = None

    def named(self, description: Mapping[str, object]) -> dict[str, object]:
        """Return what a document says of this encoder: as the user named it, not where it lay, and of which files."""
        return {**description, "spec": self.spec, FILES_DIGEST: self.files_digest}

    def listening(
        self, setting: Setting, blocks: Sequence[Block], protocol: Protocol, keepings: tuple[Keeping, ...] = ()
    ) -> Listening:
        """Return what it is to hear, with room made for the files."""
        cache = BlockCache(setting.blocks_at, self.encoder, protocol, blocks, keepings)
        cache.prepare(len(blocks), resume=setting.resume)
        return Listening(self.call, self.encoder, protocol, blocks, cache, keepings)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Who is heard: the candidate, and those it is compared with where they were asked for."""

    candidate: Subject
    control: Subject | None = None
    log_mel: Subject | None = None
    champion: Subject | None = None

    @property
    def roles(self) -> dict[str, Subject]:
        """Everybody who is there, by role."""
        roles = (("candidate", self.candidate), ("control", self.control), ("log_mel", self.log_mel))
        return {role: each for role, each in (*roles, ("champion", self.champion)) if each is not None}

    @property
    def ranked(self) -> list[Subject]:
        """Those whose rank is measured: candidate and control."""
        return [each for each in (self.candidate, self.control) if each is not None]


@contextmanager
def subjects(
    setting: Setting, progress: Progress, *, log_mel: bool = False, against: str | None = None
) -> Iterator[Subjects]:
    """Load the encoders; what MLflow holds is downloaded to where it lies only as long as it is used.

    Raises:
        UsageError: no such model, or one that cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as downloads:
        progress.say(f"loading {setting.model}")
        candidate = _load(setting.model, setting, Path(downloads) / "candidate", progress)
        champion = control = baseline = None
        if against is not None:
            progress.say(f"loading {against}")
            champion = _load(against, setting, Path(downloads) / "champion", progress)
        if setting.control and candidate.spec != LOG_MEL:  # which has no weights to draw at random
            progress.say("the control: the same architecture with random weights")
            call = replace(candidate.call, spec=_randomised(candidate.call.spec))
            control = Subject(_randomised(setting.model), call, call.load())
        if log_mel:
            call = EncoderCall(LOG_MEL, None, setting.device, setting.dtype, setting.trust_remote_code, setting.seed)
            baseline = Subject(LOG_MEL, call, call.load())
        yield Subjects(candidate, control, baseline, champion)


def _randomised(spec: str) -> str:
    """Return the `--model` text of the same architecture with random weights."""
    return f"{RANDOM}{spec.removeprefix(RANDOM).removeprefix(SHUFFLED)}"


def _load(spec: str, setting: Setting, downloads: Path, progress: Progress) -> Subject:
    downloads.mkdir(exist_ok=True)
    resolved = resolve_model(spec, into=downloads, tracking_uri=setting.tracking_uri)
    call = EncoderCall(
        resolved.loadable, setting.layers, setting.device, setting.dtype, setting.trust_remote_code, setting.seed
    )
    encoder = call.load()
    return Subject(spec, call, encoder, files_digest(resolved, encoder, progress))


def hear_all(listenings: Sequence[Listening], setting: Setting, progress: Progress) -> None:
    """Hear every listening with one set of processes, and show how far it is.

    Raises:
        MeasurementError: an encoder returns NaN; the disk is full; a worker died.
        KeyboardInterrupt: what was heard is kept; the same request with `resume` goes on from there.
    """
    durations = {each.key: each.duration for one in listenings for block in one.blocks for each in block.utterances}
    seconds = sum(block.seconds for one in listenings for block in one.blocks)
    progress.begin("listening", seconds)
    on_gpu = any(one.encoder.device == "cuda" for one in listenings)
    hear(
        listenings,
        workers=setting.workers or (1 if on_gpu else _worthwhile_workers(seconds)),
        after=lambda key: progress.advance(durations[key]),
    )


def _worthwhile_workers(seconds: float) -> int:
    """Return how many processes pay: starting one takes about as long as a small encoder needs for 20 minutes."""
    return max(1, min(os.cpu_count() or 1, MOST_WORKERS, int(seconds / 60 / MINUTES_PER_WORKER)))
