"""Clocks that differ, or are set: what was signed elsewhere at another time, and a ledger whose own clock went back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from acting import MODEL, People, later
from gated import Hall
from mlflow.exceptions import MlflowException

from mlflow_rank.audit.stored import verify_database

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def _hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with pytest.MonkeyPatch.context() as patch:
        hall = Hall.built(tmp_path_factory.mktemp("hall"), patch)
        yield hall
        hall.store._dispose_engine()


@pytest.fixture
def people(_hall: Hall) -> Iterator[People]:
    """People whose policy wants one approval; whatever a test did to the clock, the ledger holds."""
    people = People(_hall)
    people.policy(approvals={"count": 1})
    yield people
    verified = verify_database(_hall.store.engine)
    assert verified.holds, verified.problems


def promote(people: People, version: str, at: datetime) -> bool:
    with people.at(at):
        try:
            people.hall.store.set_registered_model_alias(MODEL, "champion", version)
        except MlflowException as error:
            return "0 of 1 approvals" not in str(error)
    return True


@pytest.mark.parametrize(("ahead", "counts"), [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=2), False)])
def test_a_reviewers_clock_may_be_five_minutes_ahead_and_no_more(
    people: People, ahead: timedelta, counts: bool
) -> None:
    version, now = people.hall.proved(), later().replace(microsecond=0)
    with people.at(now + ahead):
        statement = people.approval(version)
    with people.at(now):
        people.hand_in(version, statement, "bob")

    assert promote(people, version, now) is counts
    assert promote(people, version, now + ahead), "when that time has come"


def test_a_clock_that_was_set_back_between_approval_and_promotion_makes_the_approval_one_of_the_future(
    people: People,
) -> None:
    version, now = people.hall.proved(), later().replace(microsecond=0)
    with people.at(now):
        people.approve(version, "bob")

    assert not promote(people, version, now - timedelta(minutes=20))
    assert promote(people, version, now - timedelta(minutes=4))


def test_a_clock_that_was_set_forward_ends_approvals_when_they_say(people: People) -> None:
    version, now = people.hall.proved(), later().replace(microsecond=0)
    with people.at(now):
        people.approve(version, "bob", lasts=timedelta(hours=2))

    assert not promote(people, version, now + timedelta(hours=2))
    assert promote(people, version, now + timedelta(hours=2) - SECOND)


def test_the_ledger_writes_down_the_time_that_the_clock_showed_and_still_holds(people: People) -> None:
    version, now = people.hall.proved(), later()
    people.policy()
    begins = len(people.hall.entries())
    moments = [now, now - timedelta(minutes=50), now + timedelta(days=1), now - timedelta(seconds=5)]
    for moment in moments:
        with people.at(moment):
            people.hall.store.set_registered_model_alias(MODEL, "champion", version)

    written = [each.moment for each in people.hall.entries()[begins:] if each.kind == "change"]
    assert written == moments
