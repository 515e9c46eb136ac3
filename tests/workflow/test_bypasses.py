"""What goes round a gate from here is found, and only that: databases, other registries, files, latest versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from gated import Hall
from mlflow import MlflowClient

from mlflow_rank.registry.server.checkup import Check
from mlflow_rank.workflow.bypasses import Here, bypasses


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with pytest.MonkeyPatch.context() as patch:
        yield Hall.built(tmp_path_factory.mktemp("hall"), patch)


def found(hall: Hall, environment: Mapping[str, str], scanned: Sequence[Path] = ()) -> dict[str, Check]:
    """What goes round the gate of the hall, by name."""
    database = f"sqlite:///{hall.desk.place / 'mlflow.db'}"
    client = MlflowClient(database, f"rank+{database}")
    return {each.name: each for each in bypasses(Here(client, environment, scanned), None)}


def database_of(hall: Hall) -> str:
    return f"sqlite:///{hall.desk.place / 'mlflow.db'}"


def test_a_database_that_this_user_may_write_is_named_once_with_its_path(hall: Hall) -> None:
    check = found(hall, {"MLFLOW_RANK_DATABASE": database_of(hall)})["database file"]

    assert check.state == "warn"
    assert f"read and write {hall.desk.place}/mlflow.db (the registry's address)" in check.sentence


@pytest.mark.parametrize("name", ["MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"])
def test_a_registry_without_a_gate_that_mlflow_is_set_to_is_a_fault(hall: Hall, name: str) -> None:
    check = found(hall, {name: "postgresql+psycopg2://ann:secret@db/mlflow"})["plain registry"]

    assert check.state == "fail"
    assert "secret" not in check.sentence


def test_a_tracking_database_beside_a_gated_registry_is_none(hall: Hall) -> None:
    environment = {"MLFLOW_TRACKING_URI": database_of(hall), "MLFLOW_REGISTRY_URI": f"rank+{database_of(hall)}"}

    assert "plain registry" not in found(hall, environment)


def test_another_server_and_credentials_in_the_environment_are_told_without_passwords(hall: Hall) -> None:
    environment = {
        "MLFLOW_TRACKING_URI": "http://ann:secret@lab:5000",
        "MLFLOW_BACKEND_STORE_URI": "postgresql://ann:secret@db/mlflow",
    }

    checks = found(hall, environment)

    assert "http://ann:***@lab:5000" in checks["another server"].sentence
    assert "postgresql://ann:***@db/mlflow" in checks["database credentials"].sentence
    assert "secret" not in str(checks)


def test_places_of_artifacts_that_this_user_may_write_are_listed(hall: Hall) -> None:
    check = found(hall, {})["artifact root"]

    assert str(hall.desk.place) in " ".join(check.details)


def test_a_latest_version_that_nobody_made_champion_is_listed(hall: Hall) -> None:
    version = hall.proved()
    hall.store.set_registered_model_alias("encoder", "champion", version)
    same = found(hall, {})
    later = hall.version()

    other = found(hall, {})

    assert "latest" not in same
    assert other["latest"].details == (f"models:/encoder/latest is version {later}, and the champion is {version}",)


def test_code_that_names_versions_is_listed_with_its_lines(hall: Hall, tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text('load("models:/encoder/latest")\nload("models:/encoder/7")\n')

    check = found(hall, {}, [tmp_path])["addresses in code"]

    assert "1 addresses of the latest version and 1 of a number" in check.sentence
    file = tmp_path / "serve.py"
    assert check.details == (f"{file}:1: models:/encoder/latest", f"{file}:2: models:/encoder/7")
