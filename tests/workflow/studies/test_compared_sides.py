"""What MLflow holds is compared by its address: runs, steps of runs, versions and aliases."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from evidence import measurement
from pilots import pilot

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.clients.connection import connected_client
from mlflow_rank.registry.runs.pilot_run import record_pilot
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.tracking import record_measurement
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.compared_sides import Side, side_of
from mlflow_rank.workflow.studies.comparing import compare


@dataclass(frozen=True)
class Lab:
    """A store with an experiment of this test's own."""

    client: Any
    name: str

    def assess(
        self, letter: str = "a", *, piloted: bool = True, step: int | None = None, run: str | None = None
    ) -> str:
        """Record a measurement, and a pilot, of the weights of a letter; return the run."""
        to = Destination(self.client.tracking_uri, self.name, run_id=run, step=step)
        measured, scored = measurement(), pilot(layers=3)
        for document in (measured, scored):
            document["model"] |= {"digest": f"sha256:{letter * 64}"}
        run_id = record_measurement(measured, destination=to).run_id
        if piloted:
            record_pilot(scored, destination=Destination(self.client.tracking_uri, self.name, run_id=run_id, step=step))
        return run_id

    def version(self, run: str | None) -> str:
        return str(self.client.create_model_version(self.name, "/nowhere", run).version)

    def side(self, text: str) -> Side:
        return side_of(text, Silence(), tracking_uri=self.client.tracking_uri)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def lab(place: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Lab:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(place)
    client = connected_client(f"sqlite:///{place / 'mlflow.db'}")
    client.create_experiment(request.node.name[:60])
    client.create_registered_model(request.node.name[:60])
    return Lab(client, request.node.name[:60])


def test_a_run_is_what_was_measured_and_piloted_in_it(lab: Lab) -> None:
    both, ranks = lab.assess("1"), lab.assess("2", piloted=False)

    found = compare(f"runs:/{both}", f"runs:/{ranks}", tracking_uri=lab.client.tracking_uri)

    assert {each.difference for each in found.pairs} == {0.0}
    assert found.only_left == ("pilot.keyword",)


def test_a_run_of_several_steps_is_asked_for_one_of_them(lab: Lab) -> None:
    run = lab.assess("1", step=100)
    assert lab.side(f"runs:/{run}").documents.keys() == {"RankMeasurement", "PilotResult"}
    lab.assess("2", step=200, run=run)

    assert lab.side(f"runs:/{run}/200").documents["PilotResult"]["model"]["digest"] == f"sha256:{'2' * 64}"
    for text in (f"runs:/{run}", f"runs:/{run}/300"):
        with pytest.raises(UsageError) as refused:
            lab.side(text)
        assert "100, 200" in str(refused.value.expected)


def test_a_version_and_an_alias_are_what_their_runs_hold(lab: Lab) -> None:
    number = lab.version(lab.assess("8"))
    lab.client.set_registered_model_alias(lab.name, "champion", number)
    ranks_only = lab.version(lab.assess("9", piloted=False))

    assert lab.side(f"models:/{lab.name}@champion").documents == lab.side(f"models:/{lab.name}/{number}").documents
    assert lab.side(f"models:/{lab.name}/{ranks_only}").documents.keys() == {"RankMeasurement"}


def test_what_mlflow_does_not_hold_is_refused(lab: Lab) -> None:
    silent = lab.version(None)
    empty = lab.client.create_run(lab.client.get_experiment_by_name(lab.name).experiment_id).info.run_id

    for text in (
        f"models:/{lab.name}/{silent}", f"models:/{lab.name}/99", f"models:/{lab.name}@nobody", f"models:/{lab.name}",
        "models:/never-heard-of/1", f"runs:/{empty}", f"runs:/{'0' * 32}", "runs:/",
    ):  # fmt: skip
        with pytest.raises(UsageError):
            lab.side(text)
