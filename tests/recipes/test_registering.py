"""Checkpoints of a watched run as versions of a registered model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.evidence.presented import present
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.registry.runs.evidence_files import evidence_in_run
from mlflow_rank.registry.runs.undelivered import RUN, Belonging
from mlflow_rank.workflow import PilotRequest
from mlflow_rank.workflow.policies import NOBODY
from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining import registering
from recipes.pretraining.run_directory import RunDirectory


def alarm(kind: str, since: int) -> Alarm:
    return Alarm(kind, kind, since, since + 2, (1,), "It fell.", "Sure.", "Stop.")  # type: ignore[arg-type]


def test_each_version_has_its_step_and_evidence_of_its_ranks_its_pilot_and_the_alarms_begun_before_it(
    tmp_path: Path, recordings: Path, tiny_hubert: Path, monkeypatch: pytest.MonkeyPatch
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
    for step in (20, 30):
        shutil.copytree(tiny_hubert, place.checkpoint(step))
    place.monitor.mkdir()
    (place.monitor / "monitor.json").write_text(json.dumps({"monitor": "monitor-1"}))
    alarms = [alarm("divergence", 20), alarm("dimensional_collapse", 25)]

    client = MlflowClient()
    run = client.create_run("0").info.run_id  # that of the monitor's charts, in which all is recorded
    Belonging(f"sqlite:///{tmp_path / 'mlflow.db'}", "monitor-1", run).write(place.monitor / RUN)

    versions = registering.register(place, [20, 30], "encoder", alarms=alarms, key=None, say=lambda text: None)

    assert versions == ["models:/encoder/1", "models:/encoder/2"]
    registered = [client.get_model_version("encoder", number) for number in ("1", "2")]
    assert [(version.tags["training_step"], version.run_id) for version in registered] == [("20", run), ("30", run)]
    found: dict[tuple[str, str], Any] = {}
    for each in (present(data, trust=NOBODY) for data in evidence_in_run(client, run)):
        assert each.statement is not None
        [about] = {subject.name for subject in each.statement.subjects} & set(versions)
        found[each.kind, about] = each.statement.predicate
    assert sorted(found) == sorted((kind, each) for kind in ("alarms", "measurement", "pilot") for each in versions)
    words = [found["alarms", each] for each in versions]
    assert [word["monitor"] for word in words] == ["monitor-1", "monitor-1"]
    assert [[each["alarm"] for each in word["alarms"]] for word in words] == [
        ["divergence"],
        ["divergence", "dimensional_collapse"],
    ]
