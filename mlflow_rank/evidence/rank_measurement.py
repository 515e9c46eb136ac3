"""The `RankMeasurement` document: what was measured on what, how, what was left out, and every rank as one flat row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.block_moments import BlockFile, BlockMoments
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import METRICS, PRESETS, RankEstimate, estimate
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.digests import corpus_digest
from mlflow_rank.speech.sampling import Sample
from mlflow_rank.speech.utterance import SkipCause, Skipped

KIND = "RankMeasurement"
WORTH_THREADS = 512  # dimensions; below, threads of an eigendecomposition wait longer for each other than they work
LEFT_OUT = {"too_short": "too_short", "too_long": "too_long", "budget": "over_budget"}  # as the document says it
Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the pass over the sample gave: a file for each block, and what they list together."""

    files: tuple[BlockFile, ...]
    listing: BlockMoments

    @classmethod
    def of(cls, files: Sequence[BlockFile]) -> Heard:
        """Read the listings of the files; moments stay on disk until their layer's turn."""
        listings = [file.read_listing() for file in files]
        merged = listings[0]
        for listing in listings[1:]:
            merged = merged.merge(listing)
        return cls(tuple(files), merged)

    @property
    def minutes(self) -> float:
        """The audio that was heard, in minutes."""
        return sum(self.listing.seconds.values()) / 60

    @property
    def speakers(self) -> int:
        """The number of known speakers heard."""
        return len({speaker for speaker in self.listing.speakers.values() if speaker is not None})


def rank_measurement(
    encoder: Encoder,
    corpus: Corpus,
    sample: Sample,
    protocol: Protocol,
    heard: Heard,
    *,
    preset: str,
    intervals: bool = True,
    after_layer: Callable[[], None] = lambda: None,
) -> Document:
    """Return the document, JSON-ready.

    Args:
        encoder: that was heard with.
        corpus: that the sample was drawn from.
        sample: with its design and what it left out.
        protocol: how frames became rows.
        heard: the pass over the sample.
        preset: name of the choice of levels and metrics.
        intervals: whether to estimate uncertainty and bias.
        after_layer: called when a layer is done.

    Raises:
        MeasurementError: no utterance could be used.
    """
    if not heard.listing.content_digests:
        raise MeasurementError(
            "no utterance could be used",
            got=f"{len(heard.listing.skipped)} skipped; first: {heard.listing.skipped[0].detail}",
            expected="at least one",
            remedy="see skipped.jsonl for the cause of each",
        )
    rows: list[Mapping[str, object]] = []
    for position, layer in enumerate(encoder.layers):
        with threadpool_limits(1 if layer.dim < WORTH_THREADS else None):
            for level in protocol.levels:
                blocks = [file.read_packed((position, level)) for file in heard.files]
                estimates = estimate(blocks, level=level, intervals=intervals, metrics=_metrics(preset, level))
                rows += [_row(layer.index, layer.name, _with_minutes(each, heard), heard) for each in estimates]
        after_layer()
    described = sample.describe()
    return {
        "kind": KIND,
        "model": dict(encoder.describe()),
        "audio": {
            **corpus.describe(),
            "corpus_digest": corpus_digest(heard.listing.content_digests.values()),
            "minutes": heard.minutes,
            "utterances": len(heard.listing.content_digests),
            "speakers": heard.speakers,
            "left_out": {LEFT_OUT[part.reason]: part.utterances for part in sample.left_out if part.utterances},
            "left_out_minutes": sum(part.seconds for part in sample.left_out) / 60,
            "strata": described["strata"],
        },
        "protocol": {
            "preset": preset,
            "preset_note": PRESETS[preset].note,
            "levels": list(protocol.levels),
            "frame_stride": protocol.frame_stride,
            "channel": protocol.channel,
            "dtype": encoder.describe()["dtype"],
            "block_unit": sample.block_unit,
            "blocks": len(sample.blocks),
            "intervals": intervals,
            "sampling": asdict(sample.sampling),
            "epsilon": {name: METRICS[name].epsilon for name in METRICS if METRICS[name].epsilon is not None},
        },
        "skipped": [asdict(each) | {"cause": str(each.cause)} for each in all_skipped(corpus, heard)],
        "ranks": rows,
    }


def all_skipped(corpus: Corpus, heard: Heard) -> list[Skipped]:
    """Return what could not be used, found while listing or while hearing, in order of key."""
    return sorted((*corpus.skipped, *heard.listing.skipped), key=lambda each: each.key)


def skipped_in(document: Document) -> list[Skipped]:
    """Return what a document lists as skipped."""
    listed = document["skipped"]
    rows = listed if isinstance(listed, list) else []
    return [Skipped(row["key"], SkipCause(row["cause"]), row["detail"]) for row in rows]


def _metrics(preset: str, level: str) -> list[str]:
    return [name for name in PRESETS[preset].metrics if level in METRICS[name].levels]


def _with_minutes(each: RankEstimate, heard: Heard) -> RankEstimate:
    """Say how much audio is missing where there are too few rows: people have minutes, not rows."""
    if each.status != "unknown" or each.n == 0 or each.n >= each.dim:
        return each
    missing = heard.minutes * (each.dim / each.n - 1)
    return replace(each, cause=f"{each.cause}, about {missing:.1f} more minutes of such audio")


def _row(index: int, name: str, each: RankEstimate, heard: Heard) -> Mapping[str, object]:
    return {
        "layer": index,
        "name": name,
        "level": each.level,
        "centred": each.centred,
        "metric": each.metric,
        "value": each.value,
        "corrected": each.corrected,
        "se": each.se,
        "low": each.low,
        "high": each.high,
        "n": each.n,
        "n_utterances": len(heard.listing.content_digests),
        "n_speakers": heard.speakers,
        "n_effective": each.n_effective,
        "dim": each.dim,
        "status": each.status,
        "cause": each.cause,
    }
