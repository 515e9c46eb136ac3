"""A registry to promote in: what the gate goes by, and versions whose evidence is signed and good."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import evidence
import sqlalchemy
import yaml
from filed import Desk, trust
from servers import Database, Server

from mlflow_rank.audit import ledger
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.registry.gate.tag_parcel import parcels

MODEL = "encoder"
ALIAS = "champion"


def rules(desk: Desk, *policies: str, key: bool = True) -> dict[str, str]:
    """Lay policies into a directory, and return the environment that has the gate go by them."""
    for number, text in enumerate(policies):
        desk.write(f"policies/policy_{number}.yaml", text)
    environment = {
        "MLFLOW_RANK_POLICIES": str(desk.place / "policies"),
        "MLFLOW_RANK_TRUST": str(desk.place / "trust.yaml"),
    }
    return environment | ({"MLFLOW_RANK_GATE_KEY": str(desk.place / "gate.key")} if key else {})


def asking_for_a_pilot(**parts: Any) -> str:
    """A policy for the champion of `encoder`, and of nothing else, that asks for one pilot."""
    match = {"models": [MODEL], "targets": ["alias:champion"]}
    return evidence.policy_text(evidence.PILOT_RULE, **{"match": match} | parts)


def exemption(*models: str) -> str:
    """A document that has the gate leave these models alone."""
    return yaml.safe_dump(
        {
            "apiVersion": "mlflow-rank/v1",
            "kind": "Exemption",
            "metadata": {"name": "no-encoders", "revision": 1, "owners": ["speech@lab"]},
            "models": list(models),
            "reason": "no speech encoders",
        }
    )


def files_of(server: Server, desk: Desk) -> Mapping[str, str]:
    """Log the desk's model in a run, and return what a version of it is created with."""
    client = server.client()
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(desk.model), "model")
    return {"source": f"{run.info.artifact_uri}/model", "run_id": run.info.run_id}


def approved_versions(
    server: Server, desk: Desk, files: Mapping[str, str], count: int, *, model: str = MODEL
) -> list[str]:
    """Register so many versions of these files, and submit good evidence of each."""
    server.call("POST", "registered-models/create", {"name": model})
    versions = []
    for _ in range(count):
        created = server.call("POST", "model-versions/create", {"name": model} | dict(files))
        assert created.status == 200, created.text
        versions.append(str(created.body["model_version"]["version"]))
        submit(server, desk, model, versions[-1])
    return versions


def submit(server: Server, desk: Desk, model: str, version: str) -> None:
    """Send a signed pilot of a version in, by the ordinary call that sets a tag."""
    path = desk.pilot(name=f"{model}_{version}", called=f"models:/{model}/{version}")
    for key, value in parcels(path.read_bytes()):
        body = {"name": model, "version": version, "key": key, "value": value}
        answer = server.call("POST", "model-versions/set-tag", body)
        assert answer.status == 200, answer.text


def promote(server: Server, version: str, *, model: str = MODEL, alias: str = ALIAS) -> Any:
    """Ask for a version to become champion."""
    return server.call("POST", "registered-models/alias", {"name": model, "alias": alias, "version": version})


@dataclass(frozen=True)
class Kept:
    """What a registry's database holds: aliases, and the ledger about them."""

    aliases: Mapping[tuple[str, str], str]
    placements: Mapping[tuple[str, str], str]
    changes: Sequence[Mapping[str, Any]]
    problems: Sequence[str]

    @classmethod
    def of(cls, database: Database, model: str = MODEL) -> Kept:
        """Read them as anyone with the database's password would."""
        engine = sqlalchemy.create_engine(database.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            told = connection.exec_driver_sql("SELECT name, alias, version FROM registered_model_aliases").all()
            placed = ledger.placements(connection)
            entries = ledger.entries(connection, model=model)
            return cls(
                {(name, f"alias:{alias}"): str(version) for name, alias, version in told},
                {(each.model, each.target): each.version for each in placed if each.target.startswith("alias:")},
                [entry.content for entry in entries if entry.kind == "change"],
                verify_database(engine, trust=trust()).problems,
            )

    @property
    def moves(self) -> list[Mapping[str, Any]]:
        """Every move of the model's champion, in the order of the ledger."""
        return [move for change in self.changes for move in change["moves"] if move["target"] == f"alias:{ALIAS}"]

    def explained(self) -> Kept:
        """Fail unless the ledger holds, every alias has its record, every record its alias, and move follows move."""
        assert self.problems == ()
        assert self.aliases == self.placements
        before = None
        for move in self.moves:
            assert move["before"] == before, self.moves
            before = move["after"]
        assert before == self.aliases.get((MODEL, f"alias:{ALIAS}"))
        return self


def size_of(database: Database) -> int:
    """Bytes that an SQLite database takes."""
    with closing(sqlite3.connect(database.file)) as connection:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)
