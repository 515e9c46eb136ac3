"""A registry whose artifacts lie on S3: what is written there between hashing and promoting is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from buckets import bucket
from gated import MODEL, Hall
from mlflow.exceptions import MlflowException

from mlflow_rank.registry.gate import question


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with bucket("models") as client:
        yield client


def test_equal_sized_bytes_that_are_swapped_after_hashing_do_not_become_champion(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Hall.built(tmp_path, monkeypatch)
    hall = replace(here, experiment=here.client.create_experiment("on S3", artifact_location="s3://models/it"))
    good, bad = hall.proved(), hall.proved()
    hash_files, swapped = question.files_digest, []

    def swap_when_hashed(source: Any, client: Any) -> str:
        digest = hash_files(source, client)
        if not swapped:
            prefix = source.location.removeprefix("s3://models/")
            swapped.append(s3.list_objects_v2(Bucket="models", Prefix=f"{prefix}/")["Contents"][0])
            s3.put_object(Bucket="models", Key=swapped[0]["Key"], Body=bytes(swapped[0]["Size"]))
        return digest

    hall.store.set_registered_model_alias(MODEL, "champion", good)
    monkeypatch.setattr(question, "files_digest", swap_when_hashed)
    with pytest.raises(MlflowException) as caught:
        hall.store.set_registered_model_alias(MODEL, "champion", bad)

    assert caught.value.error_code == "PERMISSION_DENIED"
    assert len(swapped) == 1
    assert hall.champion() == good
    assert hall.entries("decision")[-1].content["decision"]["verdict"] == "deny"
