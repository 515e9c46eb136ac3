"""A measurement in MLflow: one run with its metrics, parameters, audio set and artifacts."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mlflow_rank.registry.runs.layer_table import write_layer_table
from mlflow_rank.registry.runs.measured_rank import Document
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.run_claim import Claim, Destination, RecordedRun, check_artifacts, claimed_run
from mlflow_rank.registry.runs.run_terms import (
    audio_input,
    digest_of,
    model_digest_of,
    params_of,
    run_name_of,
    skipped_of,
    tags_of,
)

__all__ = ["Destination", "RecordedRun", "record_measurement"]


def record_measurement(
    document: Document,
    *,
    control: Document | None = None,
    artifacts: Sequence[Path] = (),
    destination: Destination | None = None,
    kept_at: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> RecordedRun:
    """Record a measurement in a run and return the run.

    A run holds one measurement (per `step`), and may hold a pilot of the same model beside it: a second measurement
    given the same run goes into a child run of it, so numbers of two measurements never share a name. Metrics are
    those of `metric_names.LOGGED`; what is not a finite number is not logged. Under `mlflow_rank/` (for a step, in a
    folder of its own there) lie `measurement.json`, `layers.parquet`, `skipped.jsonl`, `control.json` and the files
    in `artifacts`.

    Args:
        document: the measurement, JSON-ready.
        control: the measurement of the same architecture with random weights.
        artifacts: further files, such as figures; their names must differ.
        destination: where in MLflow; by default where MLflow itself would write.
        kept_at: where the caller has already written the document, for the error to name.
        clock: gives the time the metrics are stamped with, in seconds of Unix time; nothing is decided by it.

    Raises:
        MeasurementError: the store cannot be reached or refuses (exit 3); the error says where the results are kept.
        UsageError: the document is no measurement, holds a number that is not finite, or an artifact is missing.

    """
    destination = destination or Destination()
    metrics = metrics_of(document, control)
    claim = Claim("measurement", digest_of(document), model_digest_of(document), run_name_of(document))
    check_artifacts(artifacts)
    with claimed_run(claim, destination, kept_at=kept_at, clock=clock) as run:
        run.log_values(
            metrics=metrics,
            params=params_of(document, run.step),
            tags=tags_of(document, control),
            inputs=[audio_input(document)],
        )
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
            _write_files(Path(folder), document, control)
            run.log_files(Path(folder), artifacts)
    return run.recorded


def _write_files(folder: Path, document: Document, control: Document | None) -> None:
    (folder / "measurement.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    if control is not None:
        (folder / "control.json").write_text(json.dumps(control, indent=1, allow_nan=False), encoding="utf-8")
    write_layer_table(document, folder / "layers.parquet", control=control)
    with (folder / "skipped.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(entry) + "\n" for entry in skipped_of(document))
