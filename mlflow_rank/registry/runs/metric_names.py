"""Which numbers of a measurement become MLflow metrics, and under which names.

A name is `<what>/layer_<index>`; MLflow's pages group by the part before the slash, and zero-padding keeps layers in
order. Everything else a measurement holds is in the artifact `mlflow_rank/layers.parquet`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, ranks_of, read_ranks, read_row


@dataclass(frozen=True, slots=True)
class LoggedMetric:
    """A name with the rows it stands for; `interval` says that `_low` and `_high` are logged beside it."""

    what: str
    metric: str
    level: str
    centred: bool
    interval: bool = False
    meaning: str = ""


LOGGED = (
    LoggedMetric("rank_frame", "effective_rank", "frame", True, True, "effective rank of centred frames"),
    LoggedMetric("rank_utterance", "effective_rank", "utterance", True, True, "the same, one mean vector an utterance"),
    LoggedMetric("rank_frame_uncentred", "effective_rank", "frame", False, False, "falls when frames share a vector"),
    LoggedMetric("rank_utterance_uncentred", "effective_rank", "utterance", False, False, "the same, per utterance"),
    LoggedMetric("rankme_frame", "rankme", "frame", False, False, "RankMe as published, on frames"),
    LoggedMetric("rankme_utterance", "rankme", "utterance", False, False, "RankMe as published, on utterance means"),
    LoggedMetric("rankme_t", "rankme_t", "utterance_sum", False, True, "RankMe of summed frames"),
    LoggedMetric("total_variance_frame", "total_variance", "frame", True, False, "collapse to one point makes it 0"),
    LoggedMetric("mean_norm_ratio_frame", "mean_norm_ratio", "frame", False, False, "share of a common vector"),
    LoggedMetric("normalised_std_frame", "normalised_std", "frame", False, False, "spread of unit-length frames"),
)

# The control shows only the two headline ranks: it is a reference line, not a second measurement to study.
LOGGED_OF_CONTROL = ("rank_frame", "rank_utterance")


def metrics_of(document: Document, control: Document | None = None) -> dict[str, float]:
    """Return metric name → finite value for everything that is known; what is unknown is left out.

    Args:
        document: the measurement of the encoder.
        control: the measurement of the same architecture with random weights, logged as `rank_…_random/…`.

    """
    width = layer_digits(document)
    metrics: dict[str, float] = {}
    for logged in LOGGED:
        for rank in _known(document, logged):
            key = f"{logged.what}/layer_{rank.layer:0{width}d}"
            metrics[key] = rank.value
            if logged.interval and rank.interval is not None:
                metrics[f"{key}_low"], metrics[f"{key}_high"] = rank.interval
        if control is not None and logged.what in LOGGED_OF_CONTROL:
            for rank in _known(control, logged):
                metrics[f"{logged.what}_random/layer_{rank.layer:0{width}d}"] = rank.value
    return metrics


def layer_digits(document: Document) -> int:
    """Return how many digits a layer's index takes in names: two, or more where there are over a hundred layers."""
    return max(2, *(len(str(read_row(row).layer)) for row in ranks_of(document)), 0)


def _known(document: Document, logged: LoggedMetric) -> list[MeasuredRank]:
    ranks = read_ranks(document, level=logged.level, centred=logged.centred, metric=logged.metric)
    return [rank for rank in ranks if isinstance(rank, MeasuredRank)]
