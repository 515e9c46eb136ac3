"""Checkpoints of a watched run as versions of a registered model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflow_rank.evidence.presented import present
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.registry.runs.evidence_files import evidence_in_run
from mlflow_rank.workflow import PilotRequest
from mlflow_rank.workflow.policies import NOBODY
from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining import registering
from recipes.pretraining.run_directory import RunDirectory
from recipes.starter_encoder.model import HubertModel, architecture, save_encoder


def alarm(kind: str, since: int) -> Alarm:
    return Alarm(kind, kind, since, since + 2, (1,), "It fell.", "Sure.", "Stop.")  # type: ignore[arg-type]


def test_a_version_has_its_step_and_evidence_of_its_ranks_its_pilot_and_the_alarms_begun_before_it(
    tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    labels = tmp_path / "labels.jsonl"
    rows = [
        {"path": str(path), "speaker": f"s{number // 2 % 4}", "keyword": ("yes", "no")[number % 2]}
        for number, path in enumerate(sorted(recordings.glob("*.wav")))
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = PilotRequest("keyword", str(labels), shots=(1,), draws=1, heads=("ridge",), log_mel=False)
    monkeypatch.setattr(registering, "keyword_pilot", lambda: quick)
    monkeypatch.setattr(registering, "AUDIO", str(recordings))
    place = RunDirectory.new(tmp_path / "run")
    save_encoder(HubertModel(architecture()), place.checkpoint(20))
    place.monitor.mkdir()
    (place.monitor / "monitor.json").write_text(json.dumps({"monitor": "monitor-1"}))
    alarms = [alarm("divergence", 20), alarm("dimensional_collapse", 25)]

    versions = registering.register(place, [20], "encoder", alarms=alarms, key=None, say=lambda text: None)

    assert versions == ["models:/encoder/1"]
    client = MlflowClient()
    version = client.get_model_version("encoder", "1")
    assert version.tags["training_step"] == "20"
    found = [present(data, trust=NOBODY) for data in evidence_in_run(client, version.run_id)]
    assert sorted(each.kind for each in found) == ["alarms", "measurement", "pilot"]
    for each in found:
        assert each.statement is not None
        assert "models:/encoder/1" in {subject.name for subject in each.statement.subjects}
    (word,) = (each.statement for each in found if each.kind == "alarms" and each.statement is not None)
    assert word.predicate["monitor"] == "monitor-1"
    assert [each["alarm"] for each in word.predicate["alarms"]] == ["divergence"]  # type: ignore[index, union-attr]
