"""A pilot in MLflow: beside the measurement of the same model where there is one, else in a run of its own."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.measured_rank import Document, section
from mlflow_rank.registry.runs.measured_score import PilotTask, mapping, read_tasks, rows_of, sequence
from mlflow_rank.registry.runs.pilot_metrics import metric_part, pilot_metrics_of
from mlflow_rank.registry.runs.run_claim import (
    FILES_DIGEST,
    MODEL_DIGEST,
    Claim,
    Destination,
    RecordedRun,
    check_artifacts,
    claimed_run,
)
from mlflow_rank.registry.runs.run_terms import (
    TAG_CHARACTERS,
    cut,
    dataset_input,
    digest_of,
    flat_params,
    model_digest_of,
    run_name_of,
    skipped_of,
)
from mlflow_rank.registry.runs.score_table import write_score_table

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

CONFUSIONS = "confusions"  # the folder of the confusion tables


def record_pilot(
    document: Document,
    *,
    artifacts: Sequence[Path] = (),
    destination: Destination | None = None,
    kept_at: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> RecordedRun:
    """Record a pilot in a run and return the run.

    A run holds one pilot (per `step`) and may hold a measurement of the same model beside it: give the measurement's
    `run_id`. A second pilot, or one of other weights, goes into a child run. Metrics are those of `pilot_metrics`;
    what is not a finite number is not logged. Under `mlflow_rank/` (for a step, in a folder of its own there) lie
    `pilot.json`, `pilot.parquet`, `splits.json`, `pilot_skipped.jsonl`, `confusions/*.csv` and the `artifacts`.

    Args:
        document: the pilot, JSON-ready.
        artifacts: further files, such as figures; their names must differ.
        destination: where in MLflow; by default where MLflow itself would write.
        kept_at: where the caller has already written the document, for the error to name.
        clock: gives the time the metrics are stamped with, in seconds of Unix time; nothing is decided by it.

    Raises:
        MeasurementError: the store cannot be reached or refuses (exit 3); the error says where the results are kept.
        UsageError: the document is no pilot, holds a number that is not finite, or an artifact is missing.

    """
    destination = destination or Destination()
    metrics = pilot_metrics_of(document)
    tasks = read_tasks(document)
    claim = Claim("pilot", digest_of(document), model_digest_of(document), run_name_of(document))
    check_artifacts(artifacts)
    with claimed_run(claim, destination, kept_at=kept_at, clock=clock) as run:
        run.log_values(
            metrics=metrics,
            params=_params(document, tasks, run.step),
            tags=_tags(document, tasks),
            inputs=[each for task in tasks for each in _labelled_sets(task)],
        )
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
            _write_files(Path(folder), document, tasks)
            run.log_files(Path(folder), artifacts)
    return run.recorded


def confusion_name(task: str, confusion: Mapping[str, object], digits: int = 2) -> str:
    """Return a file name for a confusion table.

    >>> confusion_name("label:kind", {"layer": 3, "domain": "in_domain", "head": "ridge", "shots": "all"})
    'label_kind_layer_03_in_domain_ridge_all.csv'
    """
    layer = confusion.get("layer")
    which = f"layer_{layer:0{digits}d}" if isinstance(layer, int) else str(layer)
    parts = (task, which, *(str(confusion.get(name)) for name in ("domain", "head", "shots")))
    return f"{'_'.join(metric_part(part) for part in parts)}.csv"


def _params(document: Document, tasks: Sequence[PilotTask], step: int | None) -> dict[str, str]:
    """Return what was set: of the model as a measurement says it, the rest with `pilot.<task>.` before it."""
    model = {key: value for key, value in section(document, "model").items() if step is None or key != "spec"}
    params = flat_params(model, "model")
    if section(document, "against"):
        params["pilot.against"] = cut(str(section(document, "against").get("spec")), TAG_CHARACTERS)
    for task in tasks:
        said: dict[str, object] = {name: task.described.get(name) for name in ("metrics", "pooling", "heads")}
        said |= {"classes": len(task.classes), "protocol": mapping(task.described, "protocol")}
        said |= mapping(task.described, "domains")
        params |= flat_params(said, f"pilot.{metric_part(task.name)}")
    return params


def _tags(document: Document, tasks: Sequence[PilotTask]) -> dict[str, str]:
    """Return what identifies the pilot; none of a measurement's tags but the model's digest, which is the same."""
    import mlflow_rank

    unknown = sum(1 for row in rows_of(document) if row.get("status") == "unknown")
    tags: dict[str, object] = {
        "mlflow_rank.version": mlflow_rank.__version__,
        MODEL_DIGEST: model_digest_of(document),
        FILES_DIGEST: section(document, "model").get("files_digest"),
        "mlflow_rank.pilot_tasks": ", ".join(task.name for task in tasks),
        "mlflow_rank.pilot_against_digest": section(document, "against").get("digest"),
        "mlflow_rank.pilot_unknown_numbers": unknown,
        "mlflow_rank.pilot_skipped_utterances": len(skipped_of(document)),
    }
    for task in tasks:
        best = task.layer_choice("pilot_best")
        tags[f"mlflow_rank.pilot_best_layer.{metric_part(task.name)}"] = best
    return {key: cut(str(value), TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def _labelled_sets(task: PilotTask) -> Iterator[DatasetInput]:
    for domain, described in mapping(task.described, "domains").items():
        if isinstance(described, Mapping):
            tags = {"mlflow.data.context": "pilot", "mlflow_rank.task": task.name, "mlflow_rank.domain": domain}
            yield dataset_input(described, rows=described.get("items"), tags=tags, labels=task.name)


def _write_files(folder: Path, document: Document, tasks: Sequence[PilotTask]) -> None:
    _write_json(folder / "pilot.json", document)
    write_score_table(document, folder / "pilot.parquet")
    _write_json(folder / "splits.json", {task.name: _drawn(task) for task in tasks})
    with (folder / "pilot_skipped.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(entry) + "\n" for entry in skipped_of(document))
    for task in tasks:
        for confusion in sequence(task.described, "confusions"):
            if isinstance(confusion, Mapping):
                (folder / CONFUSIONS).mkdir(exist_ok=True)
                _write_confusion(folder / CONFUSIONS / confusion_name(task.name, confusion), confusion, task.classes)


def _drawn(task: PilotTask) -> dict[str, object]:
    return {
        "classes": list(task.classes),
        "protocol": dict(mapping(task.described, "protocol")),
        **mapping(task.described, "splits"),
    }


def _write_json(path: Path, what: Mapping[str, object]) -> None:
    path.write_text(json.dumps(what, indent=1, allow_nan=False), encoding="utf-8")


def _write_confusion(path: Path, confusion: Mapping[str, object], classes: Sequence[str]) -> None:
    """Write true classes down and predicted classes across, with the names of the classes on both."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *classes])
        for name, counts in zip(classes, sequence(confusion, "matrix"), strict=True):
            table.writerow([name, *(counts if isinstance(counts, Sequence) else ())])
