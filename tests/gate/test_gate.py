"""The gate in this process: what it lets through, what it refuses, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gated import MODEL, Hall
from mlflow.exceptions import MlflowException

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
