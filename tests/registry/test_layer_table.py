from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlflow_rank.registry.runs.layer_table import write_layer_table

Make = Callable[..., dict[str, Any]]


def test_every_number_is_on_a_line_with_its_whole_convention(make_measurement: Make, tmp_path: Path) -> None:
    document = make_measurement()
    write_layer_table(document, tmp_path / "layers.parquet")
    lines = pq.read_table(tmp_path / "layers.parquet").to_pylist()
    assert [{name: line[name] for name in row} for line, row in zip(lines, document["ranks"], strict=True)] == document[
        "ranks"
    ]
    for line in lines:
        assert line["model_digest"] == document["model"]["digest"]
        assert line["audio_corpus_digest"] == document["audio"]["corpus_digest"]
        assert (line["protocol_epsilon"], line["protocol_seed"]) == (1e-7, 0)
        assert line["protocol_levels"] == '["frame", "utterance", "utterance_sum"]'


def test_the_control_is_told_apart_by_its_weights(make_measurement: Make, tmp_path: Path) -> None:
    write_layer_table(make_measurement(), tmp_path / "l.parquet", control=make_measurement(spec="random:tiny"))
    lines = pq.read_table(tmp_path / "l.parquet").to_pylist()
    assert {(line["weights"], line["model_spec"]) for line in lines} == {("given", "tiny"), ("random", "random:tiny")}


def test_columns_keep_their_types_when_nothing_is_known(make_measurement: Make, tmp_path: Path) -> None:
    write_layer_table(make_measurement(unknown=(0, 1, 2)), tmp_path / "l.parquet")
    schema = pq.read_schema(tmp_path / "l.parquet")
    assert [str(schema.field(name).type) for name in ("value", "low", "n", "centred", "cause")] == [
        "double", "double", "int64", "bool", "string",
    ]  # fmt: skip
    table = pq.read_table(tmp_path / "l.parquet")
    assert table["value"].null_count == table.num_rows


def test_settings_of_mixed_types_become_text_or_numbers_and_never_fail(make_measurement: Make, tmp_path: Path) -> None:
    document, control = make_measurement(), make_measurement()
    document["protocol"] |= {"budget": 1, "note": "x", "on": True}
    control["protocol"] |= {"budget": 1.5, "note": 3, "on": True}
    write_layer_table(document, tmp_path / "l.parquet", control=control)
    table = pq.read_table(tmp_path / "l.parquet")
    assert set(table["protocol_budget"].to_pylist()) == {1.0, 1.5}
    assert set(table["protocol_note"].to_pylist()) == {"x", "3"}
    assert set(table["protocol_on"].to_pylist()) == {True}
