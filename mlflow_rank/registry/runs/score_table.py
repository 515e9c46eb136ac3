"""`pilot.parquet`: every number of a pilot on its own line, with the model and the audio it is about."""

from __future__ import annotations

from pathlib import Path

from mlflow_rank.registry.runs.layer_table import column
from mlflow_rank.registry.runs.measured_rank import Document, Row, section
from mlflow_rank.registry.runs.measured_score import PilotTask, mapping, read_tasks

_WHOLE = ("layer_index", "shots_per_class", "n", "groups", "seed", "draws")
_REAL = (
    "score", "low", "high", "se", "worst_group", "chance", "logmel", "random", "delta", "delta_low", "delta_high",
    "delta_random", "delta_random_low", "delta_random_high", "delta_logmel", "delta_logmel_low", "delta_logmel_high",
    "resolvable", "labels",
)  # fmt: skip
_FLAG = ("delta_paired", "delta_random_paired", "delta_logmel_paired")
_TEXT = ("layer", "shots")


def write_score_table(document: Document, path: Path) -> None:
    """Write one line per row of `rows`; Parquet with Snappy compression.

    `layer` and `shots` are text there (`weighted_sum`, `all`), beside `layer_index` and `shots_per_class` as numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [_line(row, task, document) for task in read_tasks(document) for row in task.rows]
    names = dict.fromkeys(name for line in lines for name in line)
    columns = {
        name: column(name, [line.get(name) for line in lines], whole=_WHOLE, real=_REAL, flag=_FLAG) for name in names
    }
    pq.write_table(pa.table(columns), path)


def _line(row: Row, task: PilotTask, document: Document) -> dict[str, object]:
    line = dict(row) | {name: str(row[name]) for name in _TEXT}
    line["layer_index"] = row["layer"] if isinstance(row["layer"], int) else None
    line["shots_per_class"] = row["shots"] if isinstance(row["shots"], int) else None
    line["pooling"], line["compared_with"] = task.described.get("pooling"), task.compared_with
    line["normalisation"] = mapping(task.described, "heads").get(str(row["head"]))
    line |= {name: mapping(task.described, "protocol").get(name) for name in ("seed", "draws", "disjoint_by")}
    audio = mapping(mapping(task.described, "domains"), str(row["domain"]))
    line |= {f"audio_{name}": audio.get(name) for name in ("source", "corpus_digest")}
    return line | {f"model_{name}": section(document, "model").get(name) for name in ("spec", "family", "digest")}
