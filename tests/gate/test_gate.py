"""The gate in this process: what it lets through, what it refuses, and what the ledger says of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from gated import MODEL, Hall
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException

from mlflow_rank.registry.gate import tag_parcel

CHAMPION = "alias:champion"


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    hall = Hall.built(tmp_path, monkeypatch)
    yield hall
    hall.store._dispose_engine()


def refusal(call: object) -> str:
    with pytest.raises(MlflowException) as caught:
        call()  # type: ignore[operator]
    assert caught.value.error_code == "PERMISSION_DENIED", caught.value.message
    assert "\n" not in caught.value.message
    return str(caught.value.message)


def test_a_version_becomes_champion_when_its_evidence_passes(hall: Hall) -> None:
    version = hall.proved()

    hall.store.set_registered_model_alias(MODEL, "champion", version)

    assert hall.champion() == version
    decision, change = hall.entries()[-2:]
    assert (decision.kind, change.kind) == ("decision", "change")
    assert decision.content["decision"]["verdict"] == "approve"
    assert change.content["decision"] == decision.reference
    assert change.content["moves"] == [
        {"model": MODEL, "target": CHAMPION, "before": None, "after": version, "files": hall.desk.digest}
    ]


def test_a_version_without_evidence_does_not(hall: Hall) -> None:
    version = hall.version()

    said = refusal(lambda: hall.store.set_registered_model_alias(MODEL, "champion", version))

    assert said.startswith("Refused: ")
    decision, refused = hall.entries()[-2:]
    assert said.endswith(f"; decision {decision.reference}")
    assert refused.kind == "refusal"
    assert refused.content["sentence"] == said
    assert hall.champion() is None


def test_large_evidence_is_taken_in_parts_in_any_order_and_the_parts_are_gone(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_parcel, "MOST_CHARACTERS", 1500)
    version = hall.version()
    called = f"models:/{MODEL}/{version}"
    sent = [
        each
        for path in (hall.desk.measurement(called=called), hall.desk.pilot(called=called))
        for each in tag_parcel.parcels(path.read_bytes())
    ]
    random.Random(1).shuffle(sent)
    assert len(sent) > 4

    for key, value in sent:
        hall.store.set_model_version_tag(MODEL, version, ModelVersionTag(key, value))

    tags = hall.store.get_model_version(MODEL, version).tags
    assert sorted(key.rpartition(".")[0] for key in tags) == ["rank.evidence.measurement", "rank.evidence.pilot"]
    hall.store.set_registered_model_alias(MODEL, "champion", version)
    assert hall.champion() == version


def test_a_plain_client_of_the_database_goes_past_the_gate_and_reconcile_finds_it(hall: Hall) -> None:
    from click.testing import CliRunner
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    from mlflow_rank.cli.main import main

    good, bad = hall.proved(), hall.version()
    hall.store.set_registered_model_alias(MODEL, "champion", good)
    database = f"sqlite:///{hall.desk.place / 'mlflow.db'}"
    SqlAlchemyStore(database).set_registered_model_alias(MODEL, "champion", bad)

    found = CliRunner().invoke(main, ["audit", "reconcile", "--database", database])

    assert found.exit_code == 1, found.output
    assert f"version {bad}" in found.output
    assert f"version {good}" in found.output
    (finding,) = hall.entries("finding")
    assert (finding.content["ledger"], finding.content["registry"]) == (good, bad)


def test_a_champion_from_before_is_compared_with_whatever_somebody_did_to_the_alias(hall: Hall) -> None:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    good, other = hall.proved(), hall.proved()
    hall.store.set_registered_model_alias(MODEL, "champion", good)
    SqlAlchemyStore(f"sqlite:///{hall.desk.place / 'mlflow.db'}").delete_registered_model_alias(MODEL, "champion")

    hall.store.set_registered_model_alias(MODEL, "champion", other)

    [*_, decision] = hall.entries("decision")
    assert decision.content["decision"]["champion"]["version"] == good, "a deleted alias makes no first promotion"
