"""What measurements and pilots leave: files in a directory, and a run in MLflow."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.evidence.rank_measurement import Document, skipped_in
from mlflow_rank.registry.runs.flavor import LoggedEncoder, log_encoder
from mlflow_rank.registry.runs.layer_table import write_layer_table
from mlflow_rank.registry.runs.pilot_run import record_pilot
from mlflow_rank.registry.runs.score_table import write_score_table
from mlflow_rank.registry.runs.tracking import Destination, RecordedRun, record_measurement
from mlflow_rank.reports.figures import rank_by_layer, save_figure
from mlflow_rank.reports.pilot_figures import draw_pilot
from mlflow_rank.speech.skips import write_skipped
from mlflow_rank.workflow.assessing import Assessment
from mlflow_rank.workflow.measuring import Measurement


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


def write_pilot(document: Document, directory: Path, measurement: Document | None = None) -> None:
    """Write document, score table and figures."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pilot.json").write_text(as_json(document), encoding="utf-8")
    write_score_table(document, directory / "pilot.parquet")
    draw_pilot(document, directory, measurement)


def record_pilots(
    document: Document,
    destination: Destination,
    *,
    measurement: Document | None = None,
    kept_at: Path | None = None,
) -> RecordedRun:
    """Record a pilot in MLflow, with its figures; those of a `measurement` beside it show its ranks too.

    Raises:
        MeasurementError: the store cannot be reached; the error names where the results are kept.
    """
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        figures = draw_pilot(document, Path(folder), measurement)
        return record_pilot(document, artifacts=figures, destination=destination, kept_at=kept_at)


def write_assessment(assessment: Assessment, directory: Path) -> None:
    """Write what measurement and pilot leave into one directory."""
    write_results(assessment.measurement, directory)
    write_pilot(assessment.pilot, directory, assessment.measurement.document)


def record_assessment(
    assessment: Assessment, destination: Destination, *, register: str | None = None, kept_at: Path | None = None
) -> Recorded:
    """Record measurement and pilot in one run, and register the encoder under a name where one is given.

    Raises:
        MeasurementError: the store cannot be reached; the error names where the results are kept.
    """
    recorded = record(assessment.measurement, destination, register=register, kept_at=kept_at)
    beside = replace(destination, run_id=recorded.run.run_id)
    record_pilots(assessment.pilot, beside, measurement=assessment.measurement.document, kept_at=kept_at)
    return recorded


def both(assessment: Assessment) -> Document:
    """Return the documents of an assessment as one."""
    return {"kind": "Assessment", "measurement": assessment.measurement.document, "pilot": assessment.pilot}


def as_json(document: Document) -> str:
    """Return the document as JSON text, one row of `ranks` on a line of its own level."""
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
