"""`layers.parquet`: every number of a measurement with its full convention on its own line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mlflow_rank.registry.runs.measured_rank import Document, ranks_of, section

# Named so that a column whose every value is absent keeps its type; further fields of a row follow as they come.
_WHOLE = ("layer", "n", "n_utterances", "n_speakers", "dim")
_REAL = ("value", "corrected", "se", "low", "high", "n_effective")
_FLAG = ("centred",)
# What identifies the subject and the audio of a number; the whole description is in measurement.json.
_IDENTITY = (
    ("model", ("spec", "family", "digest", "dtype", "device", "sampling_rate", "seed")),
    ("audio", ("source", "kind", "corpus_digest", "minutes", "utterances", "speakers")),
)


def write_layer_table(document: Document, path: Path, *, control: Document | None = None) -> None:
    """Write one line per row of `ranks`, with columns for model, audio and protocol, and `weights` (given or random).

    Args:
        document: the measurement.
        path: where to write; Parquet with Snappy compression.
        control: the random-weights measurement; its lines say `weights = "random"`.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [_line(row, document, weights="given") for row in ranks_of(document)]
    if control is not None:
        lines += [_line(row, control, weights="random") for row in ranks_of(control)]
    names = dict.fromkeys(name for line in lines for name in line)
    pq.write_table(pa.table({name: column(name, [line.get(name) for line in lines]) for name in names}), path)


def column(
    name: str,
    values: list[object],
    *,
    whole: tuple[str, ...] = _WHOLE,
    real: tuple[str, ...] = _REAL,
    flag: tuple[str, ...] = _FLAG,
) -> object:
    """Return a Parquet column of the type the field always has, else of the values' own type, else of text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if name in whole or (kinds == {int} and name not in real):
        return pa.array(values, type=pa.int64())
    if name in real or kinds == {int, float} or kinds == {float}:
        return pa.array([None if value is None else float(str(value)) for value in values], type=pa.float64())
    if name in flag or kinds == {bool}:
        return pa.array(values, type=pa.bool_())
    return pa.array(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values], pa.string()
    )


def _line(row: Mapping[str, object], document: Document, *, weights: str) -> dict[str, object]:
    line = dict(row)
    line["weights"] = weights
    for part, fields in _IDENTITY:
        line |= {f"{part}_{field}": _scalar(section(document, part).get(field)) for field in fields}
    return line | {f"protocol_{key}": _scalar(value) for key, value in section(document, "protocol").items()}


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True)
