"""The gate over HTTP, in turn with MLflow's own registry: what it costs, and whether it slows down as much piles up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy
from servers import Database, Server, Site, Sqlite, serving

from benchmarks.deciding import measurement, pilot, policy_text
from benchmarks.interleaved import interleaved
from benchmarks.table import Limit, Row
from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.migrating import prepare
from mlflow_rank.audit.verification import verify
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.keys import PrivateKey, generate_key
from mlflow_rank.evidence.testimony import measurement_statement, pilot_statement
from mlflow_rank.registry.gate.tag_parcel import parcels
from mlflow_rank.workflow.evidencing import sealed

CROWD = 100  # models that the many versions are of
LAYERS = 12  # of HuBERT base
RULES = 20
GATED, UNGATED = "champion", "candidate"
LAB = PrivateKey.from_seed(b"0" * 32)


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything; `calls` in each round and of each kind, `weights` in bytes of the large model."""

    calls: int = 20
    rounds: int = 9
    versions: int = 10_000
    entries: int = 100_000
    weights: int = 400_000_000


QUICK = Amounts(calls=2, rounds=2, versions=30, entries=300, weights=4_000_000)


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return ratios of calls that were made in turn, and how long verifying takes."""
    amounts = QUICK if quick else Amounts()
    databases = Sqlite(folder)
    plain, gated, crowded = (databases.new() for _ in range(3))
    crowd(crowded, amounts)
    verifying = tuple(_verified(crowded) for _ in range(3))
    rules = rules_in(folder)
    sites = (
        Site(folder / "plain", plain, gated=False, as_typed=True),
        Site(folder / "gated", gated, environment=rules, as_typed=True),
        Site(folder / "crowded", crowded, environment=rules, as_typed=True),
    )
    with serving(*sites) as servers:
        callers = [Caller(each, site.place / "artifacts") for each, site in zip(servers, sites, strict=True)]
        theirs, ours, crowds = callers
        for caller in callers:
            caller.register("small", 1_000, evidenced=caller is not theirs)
        for caller in (theirs, ours):
            caller.register("large", amounts.weights, evidenced=caller is ours)
        light = interleaved(
            {
                "theirs, ungated": theirs.moving(UNGATED, amounts.calls),
                "ours, ungated": ours.moving(UNGATED, amounts.calls),
                "theirs, gated": theirs.moving(GATED, amounts.calls),
                "ours, gated": ours.moving(GATED, amounts.calls),
                "crowded": crowds.moving(GATED, amounts.calls),
            },
            rounds=amounts.rounds,
        )
        heavy = interleaved(
            {
                "small": ours.moving(GATED, 1),
                "large": ours.moving(GATED, 1, model="large"),
            },
            rounds=amounts.rounds,
        )
    hashing = [
        amounts.weights / 1e6 / (large - small)
        for large, small in zip(heavy.seconds["large"], heavy.seconds["small"], strict=True)
        if large > small
    ]
    each = {name: tuple(1e3 * one / amounts.calls for one in seconds) for name, seconds in light.seconds.items()}
    asked = f"{amounts.calls} calls by turns, {amounts.rounds} rounds; SQLite, one worker"
    decided = f"{RULES} rules, {LAYERS} layers, two pieces of evidence"
    much = f"{amounts.versions:,} versions and {amounts.entries:,} entries of the ledger"
    slower = tuple(100 * (ratio - 1) for ratio in light.ratios("crowded", "ours, gated"))
    return [
        Row("an alias call of MLflow's own server", each["theirs, ungated"], "ms", None, asked),
        Row(
            "an ungated alias call, against MLflow's own",
            light.ratios("ours, ungated", "theirs, ungated"), "×", Limit("≤", 1.15), asked,
        ),
        Row(
            "a gated alias call that is approved, against MLflow's own",
            light.ratios("ours, gated", "theirs, gated"), "×", Limit("≤", 2), f"{asked}; {decided}, tiny files",
        ),
        Row(
            "hashing within a gated call", tuple(hashing) or (0.0,), "MB/s", Limit("≥", 500),
            f"{amounts.weights / 1e6:.0f} MB of weights, less the same call with tiny files",
        ),
        Row("a decision is slower by", slower, "%", Limit("≤", 20), f"with {much}, against an empty ledger; {asked}"),
        Row("verifying the ledger", verifying, "s", Limit("≤", 10), f"{amounts.entries:,} entries in SQLite"),
    ]  # fmt: skip


@dataclass(slots=True)
class Caller:
    """A client of one server, which moves aliases of models back and forth between two versions of each."""

    server: Server
    artifacts: Path
    versions: dict[str, list[str]] = field(default_factory=dict)
    moved: int = 0

    def register(self, model: str, size: int, *, evidenced: bool) -> None:
        """Register two versions of a model with so many bytes of weights, and submit good evidence where asked to."""
        run = self._asked("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
        files = self.artifacts / run["artifact_uri"].partition(":/")[2].lstrip("/") / "model"
        files.mkdir(parents=True)
        (files / "model.safetensors").write_bytes(bytes(size))
        self.server.call("POST", "registered-models/create", {"name": model})
        source = {"name": model, "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
        created = [self._asked("POST", "model-versions/create", source) for _ in range(2)]
        self.versions[model] = [str(each["model_version"]["version"]) for each in created]
        if evidenced:
            for version in self.versions[model]:
                for key, value in tags(model, version, file_manifest(files).digest):
                    body = {"name": model, "version": version, "key": key, "value": value}
                    self._asked("POST", "model-versions/set-tag", body)

    def moving(self, alias: str, times: int, *, model: str = "small") -> Callable[[], float]:
        """Return what points an alias at the other version, so many times; all of its seconds count."""

        def move() -> float:
            for _ in range(times):
                self.moved += 1
                version = self.versions[model][self.moved % 2]
                self._asked("POST", "registered-models/alias", {"name": model, "alias": alias, "version": version})
            return 0.0

        return move

    def _asked(self, method: str, name: str, body: Mapping[str, object]) -> Any:
        answer = self.server.call(method, name, body)
        if answer.status != 200:
            raise RuntimeError(f"{name}: {answer.text}")
        return answer.body


def rules_in(folder: Path) -> dict[str, str]:
    """Write policies, trust and the gate's key, and return the environment that names them."""
    (folder / "policies").mkdir()
    text = policy_text(RULES).replace("targets: any}", f"targets: any, ungated_aliases: [{UNGATED}]}}")
    (folder / "policies" / "policy.yaml").write_text(text)
    trusted = f"  - {{key: '{LAB.public.text}', service: bench, roles: [measurer]}}\n"
    (folder / "trust.yaml").write_text(f"apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n{trusted}")
    generate_key(folder / "gate.key", None)
    return {
        "MLFLOW_RANK_POLICIES": str(folder / "policies"),
        "MLFLOW_RANK_TRUST": str(folder / "trust.yaml"),
        "MLFLOW_RANK_GATE_KEY": str(folder / "gate.key"),
    }


def tags(model: str, version: str, digest: str) -> Iterator[tuple[str, str]]:
    """Yield the tags that carry a signed measurement and a signed pilot of a version's files."""
    made_at = datetime.now(UTC) - timedelta(hours=1)
    about = {"files_digest": digest, "spec": f"models:/{model}/{version}"}
    for statement_of, document in ((measurement_statement, measurement(LAYERS)), (pilot_statement, pilot(LAYERS))):
        named = document | {"model": {**document["model"], **about}}  # type: ignore[dict-item]
        yield from parcels(sealed(statement_of(named, now=made_at), LAB))


def crowd(database: Database, amounts: Amounts) -> None:
    """Put many versions into a registry, and many entries about them into its ledger.

    They are of a hundred models: after each alias call MLflow's own server reads all versions of that model.
    """
    engine = sqlalchemy.create_engine(database.uri, poolclass=sqlalchemy.NullPool)
    prepare(engine)
    now = int(1e3 * time.time())
    tables = sqlalchemy.MetaData()
    tables.reflect(engine, only=("registered_models", "model_versions"))
    version = {"workspace": "default", "creation_time": now, "last_updated_time": now}
    version |= {"source": "s3://models/small", "current_stage": "None", "status": "READY"}
    with engine.begin() as connection:
        model = {"workspace": "default", "creation_time": now, "last_updated_time": now}
        models = [model | {"name": f"crowd-{number}"} for number in range(CROWD)]
        connection.execute(tables.tables["registered_models"].insert(), models)
        numbered = [
            version | {"name": f"crowd-{number % CROWD}", "version": number // CROWD + 1}
            for number in range(amounts.versions)
        ]
        connection.execute(tables.tables["model_versions"].insert(), numbered)
    for first in range(0, amounts.entries, 10_000):
        with engine.begin() as connection:
            records = list(_refusals(range(first, min(first + 10_000, amounts.entries)), amounts.versions))
            ledger.append(connection, ledger.lock(connection), records, at=datetime.now(UTC))


def _refusals(numbers: Sequence[int], versions: int) -> Iterator[Record]:
    sentence = "rank of layer 3 is 212 of 768, at least 300 was asked for; " * 16  # 1 kB, as decisions that say why
    for number in numbers:
        named, version = f"crowd-{number % CROWD}", str(number % versions // CROWD + 1)
        body = {
            "door": "set_registered_model_alias",
            "arguments": {"name": named, "version": version, "alias": GATED},
            "actor": {"name": "anonymous", "verified": False},
            "origin": {"by": "http", "address": "127.0.0.1"},
            "decision": None,
            "sentence": sentence,
        }
        yield Record("refusal", "default", named, version, f"alias:{GATED}", body)


def _verified(database: Database) -> float:
    engine = sqlalchemy.create_engine(database.uri, poolclass=sqlalchemy.NullPool)
    start = time.perf_counter()
    with engine.connect() as connection:
        found = verify(ledger.entries(connection), ledger.head_of(connection).ledger_id)
    if found.problems:
        raise RuntimeError(found.problems[0])
    return time.perf_counter() - start
