"""A canary at a gate in this process: refused and recorded, and gone afterwards whatever happens to it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from gated import Hall
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_rank.registry.server.canary_name import TARGETS, CanaryName
from mlflow_rank.workflow.canary import Flight, fly
from mlflow_rank.workflow.doctoring import canary_check

NUMBERS = itertools.count(1)  # a name that lies in MLflow's trash cannot be taken again


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("hall")
        patch.chdir(place)
        yield Hall.built(place, patch)


def client_of(hall: Hall, kind: type[MlflowClient] = MlflowClient, gate: str = "rank+") -> MlflowClient:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    return kind(uri, f"{gate}{uri}")


def flown(client: MlflowClient, said: list[str] | None = None) -> Flight:
    named = CanaryName(f"rank-canary-{next(NUMBERS)}", TARGETS, True)
    return fly(client, named, [].append if said is None else said.append, lambda flight: None)


def nothing_is_left(hall: Hall) -> bool:
    models = [each.name for each in hall.store.search_registered_models()]
    experiments = [each.name for each in client_of(hall).search_experiments()]
    files = [path for path in Path("mlruns").rglob("*") if path.is_file()]
    return (models, sorted(experiments), files) == (["encoder"], ["Default", "it"], [])


def test_every_call_is_refused_by_the_gate_and_nothing_is_left(hall: Hall) -> None:
    before = len(hall.entries())

    flight = flown(client_of(hall))

    assert [each.what.split()[0] for each in flight.attempts] == ["alias", "look-alike", "stage", "tag"]
    assert all(each.by_gate for each in flight.attempts)
    decisions = [each.decision for each in flight.attempts]
    assert [each is not None for each in decisions] == [True, False, True, False]
    assert {each.reference for each in hall.entries("decision")} >= {each for each in decisions if each}
    assert len(hall.entries()) - before >= len(flight.attempts)
    assert (flight.left, flight.grounded) == ([], None)
    assert nothing_is_left(hall)
    assert canary_check(flight, True).state == "ok"


def test_what_goes_through_is_taken_back(hall: Hall) -> None:
    flight = flown(client_of(hall, gate=""))

    assert [each.what.split()[0] for each in flight.went_through] == ["alias", "look-alike", "stage", "tag"]
    assert all(each.undone for each in flight.attempts)
    assert nothing_is_left(hall)
    check = canary_check(flight, None)
    assert check.state == "fail"
    assert "OPEN: alias champion" in check.sentence
    assert "was taken back" in check.sentence


class Stopped(MlflowClient):  # type: ignore[misc]
    """Somebody presses Ctrl-C while the stage is tried."""

    def transition_model_version_stage(self, *_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt


def test_ctrl_c_leaves_nothing_behind(hall: Hall) -> None:
    with pytest.raises(KeyboardInterrupt):
        flown(client_of(hall, Stopped))

    assert nothing_is_left(hall)


class Clinging(MlflowClient):  # type: ignore[misc]
    """Somebody who may register models, and delete none."""

    def delete_registered_model(self, *_: Any, **__: Any) -> Any:
        raise MlflowException("Permission denied")


def test_what_cannot_be_deleted_is_said(hall: Hall) -> None:
    said: list[str] = []

    flight = flown(client_of(hall, Clinging), said)
    hall.store.delete_registered_model(flight.name)

    assert said == [f"the canary's model {flight.name} could not be deleted: Permission denied"]
    check = canary_check(flight, True)
    assert check.state == "warn"
    assert check.details[-1] == f"left behind: model {flight.name}: Permission denied"
    assert nothing_is_left(hall)


class Grounded(MlflowClient):  # type: ignore[misc]
    """Somebody who may log runs, and register nothing."""

    def create_model_version(self, *_: Any, **__: Any) -> Any:
        raise MlflowException("Permission denied")


def test_who_may_not_register_cannot_say_whether_the_gate_is_shut(hall: Hall) -> None:
    flight = flown(client_of(hall, Grounded))

    check = canary_check(flight, None)

    assert (check.state, check.sentence) == ("unknown", "no canary could be sent: Permission denied")
    assert "may create models" in check.remedy
    assert nothing_is_left(hall)


class Elsewhere(MlflowClient):  # type: ignore[misc]
    """A registry without stages."""

    def transition_model_version_stage(self, *_: Any, **__: Any) -> Any:
        raise MlflowException("there are no stages here")


def test_a_refusal_that_is_not_the_gate_s_proves_nothing(hall: Hall) -> None:
    check = canary_check(flown(client_of(hall, Elsewhere)), True)

    assert check.state == "unknown"
    assert "not by the gate: there are no stages here" in check.sentence


def test_refusals_that_nobody_recorded_are_a_fault(hall: Hall) -> None:
    assert canary_check(flown(client_of(hall)), False).state == "fail"
