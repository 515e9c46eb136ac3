"""A study in MLflow: a run with what was set, its few numbers, and all of its files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_rank.registry.runs.measured_rank import Document, section
from mlflow_rank.registry.runs.pilot_metrics import metric_part
from mlflow_rank.registry.runs.run_claim import Claim, ClaimedRun, Destination, RecordedRun, claimed_run
from mlflow_rank.registry.runs.run_terms import TAG_CHARACTERS, cut, digest_of, flat_params

STUDIES = "mlflow_rank.study"  # the tag that names the sorts of studies in a run
_DESCRIPTION = "mlflow.note.content"  # mlflow.utils.mlflow_tags.MLFLOW_RUN_NOTE
_NO_FACTS = ("kind", "conventions")  # which the run's name and a digest say
_MOST_FACTS = 30  # of a part of a document; what has more is a result, and a run's page would end nowhere


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What a run is to say of a study.

    `study` is its verb (`correlate`), `document` the whole result, JSON-ready; `metrics` its few numbers for a chart.
    `description` is markdown, for a run that is made for it.
    """

    study: str
    document: Document
    metrics: Mapping[str, float] = field(default_factory=dict)
    description: str = ""


def record_study(
    record: StudyRecord,
    files: Path,
    *,
    destination: Destination | None = None,
    kept_at: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> RecordedRun:
    """Record a study in a run and return the run.

    A run holds one study of each sort: a second one goes into a child run. Metrics and parameters are named
    `study_<verb>/…` and `study_<verb>.…`; what is not a finite number is not logged. Everything in `files` lies under
    `mlflow_rank/study_<verb>/`.

    Args:
        record: the study.
        files: a directory with its files.
        destination: where in MLflow; by default where MLflow itself would write.
        kept_at: where the results are kept should this fail, for the error to name.
        clock: gives the time the metrics are stamped with, in seconds of Unix time; nothing is decided by it.

    Raises:
        MeasurementError: the store cannot be reached or refuses (exit 3); the error says where the results are kept.
        UsageError: the document holds a number that is not finite.
    """
    name = f"study_{record.study}"
    digest = digest_of(record.document)
    claim = Claim(f"study.{record.study}", digest, None, f"study {record.study}")
    with claimed_run(claim, destination or Destination(), kept_at=kept_at, clock=clock) as run:
        run.log_values(
            metrics={
                metric_name(record.study, key): value for key, value in record.metrics.items() if math.isfinite(value)
            },
            params=_params(record.document, name),
            tags=_tags(record, run),
            inputs=(),
        )
        run.client.log_artifacts(run.run_id, str(files), f"{run.folder}/{name}")
    return run.recorded


def metric_name(study: str, name: str) -> str:
    """Return the name of a study's number in MLflow: studies in one run never share one.

    >>> metric_name("correlate", "spearman/layer 02")
    'study_correlate/spearman/layer_02'
    """
    return "/".join(metric_part(part) for part in (f"study_{study}", *name.split("/")) if part)


def _params(document: Document, name: str) -> dict[str, str]:
    """Return the short facts of a document: its plain values, and those of its small parts that hold nothing else."""
    facts: dict[str, object] = {}
    for key, value in document.items():
        part = value if isinstance(value, Mapping) else {key: value}
        if key not in _NO_FACTS and len(part) <= _MOST_FACTS and all(map(_is_plain, part.values())):
            facts[key] = value
    return flat_params(facts, name)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _tags(record: StudyRecord, run: ClaimedRun) -> dict[str, str]:
    import mlflow_rank

    there = run.client.get_run(run.run_id).data.tags.get(STUDIES, "")
    studies = dict.fromkeys([*filter(None, there.split(", ")), record.study])
    tags = {"mlflow_rank.version": mlflow_rank.__version__, STUDIES: ", ".join(studies)}
    conventions = section(record.document, "conventions")
    if conventions:
        tags[f"{STUDIES}.{record.study}.conventions_digest"] = digest_of(conventions)
    if run.own and record.description:
        tags[_DESCRIPTION] = cut(record.description, TAG_CHARACTERS)
    return tags
