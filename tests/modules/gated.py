"""A registry behind the gate, in this process: a desk's policy and trust, runs that hold its model, and a ledger."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filed import Desk
from made_once import made_once
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.gating import build_store

MODEL = "encoder"


@dataclass(frozen=True)
class Hall:
    """A place with a desk, a gated store on a SQLite file, and an experiment whose artifacts lie beside it."""

    desk: Desk
    store: Any
    client: MlflowClient
    experiment: str

    @classmethod
    def built(cls, place: Path, monkeypatch: Any, *, key: str | None = "gate") -> Hall:
        """A desk is laid, and a model of the name that its policy governs is registered, without versions."""
        desk = Desk.laid(place)
        (place / "policies").mkdir()
        (place / "policy.yaml").rename(place / "policies" / "policy.yaml")
        monkeypatch.setenv("MLFLOW_RANK_POLICIES", str(place / "policies"))
        monkeypatch.setenv("MLFLOW_RANK_TRUST", str(place / "trust.yaml"))
        if key is not None:
            monkeypatch.setenv("MLFLOW_RANK_GATE_KEY", str(place / f"{key}.key"))
        database = f"sqlite:///{_laid(place / 'mlflow.db')}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        client = MlflowClient(database, f"rank+{database}")
        experiment = client.create_experiment("it", artifact_location=(place / "artifacts").as_uri())
        store = build_store(f"rank+{database}")
        store.create_registered_model(MODEL)
        return cls(desk, store, client, experiment)

    def version(self, files: Path | None = None, *, name: str = MODEL) -> str:
        """Register the desk's model, or other files, as a version of the run that holds them; return its number."""
        run = self.client.create_run(self.experiment)
        self.client.log_artifacts(run.info.run_id, str(files or self.desk.model), "model")
        source = f"{run.info.artifact_uri}/model"
        return str(self.store.create_model_version(name, source, run.info.run_id).version)

    def submit(self, version: str, *files: Path, name: str = MODEL) -> None:
        """Hand in evidence by the tag call that any client has."""
        for file in files:
            for key, value in parcels(file.read_bytes()):
                self.store.set_model_version_tag(name, version, ModelVersionTag(key, value))

    def proved(self, files: Path | None = None) -> str:
        """Register a version and hand in evidence of it that the policy approves of."""
        version = self.version(files)
        called = f"models:/{MODEL}/{version}"
        self.submit(version, self.desk.measurement(called=called), self.desk.pilot(called=called))
        return version

    def champion(self) -> str | None:
        """The number of the version that consumers get as champion."""
        try:
            return str(self.store.get_model_version_by_alias(MODEL, "champion").version)
        except MlflowException:
            return None

    def entries(self, kind: str | None = None) -> list[Entry]:
        """What the ledger says, all of it or of one kind."""
        with self.store.engine.connect() as connection:
            return [each for each in ledger.entries(connection) if kind in (None, each.kind)]


def _laid(path: Path) -> Path:
    """Lay a database without a model, so that its tables and the gate's are there at once."""
    path.write_bytes(made_once("gated.db", _with_our_tables).read_bytes())
    return path


def _with_our_tables(path: Path) -> None:
    build_store(f"rank+sqlite:///{path}")._dispose_engine()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
