from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from ledgers import START, appended, change
from sqlalchemy import Engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.history import as_of, history
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.envelope import Envelope

FIRST, SECOND = (Envelope(f"measurement of {number}".encode()).digest for number in (1, 2))


def test_a_history_says_what_was_champion_when_who_did_it_and_on_which_evidence(told: list[Entry]) -> None:
    rows = history(told, "hubert")

    assert [(row.at[11:16], row.before, row.after, row.actor, row.verified) for row in rows] == [
        ("15:00", None, "1", "ann", True),
        ("19:00", "1", "2", "ann", True),
        ("20:00", "2", None, "bob", False),
    ]
    assert [row.decision for row in rows] == ["d1", "d2", None]
    assert [row.verdict for row in rows] == ["approved under starter r1", "approved under starter r1", None]
    assert [row.evidence for row in rows] == [(FIRST,), (FIRST, SECOND), ()]
    assert rows[2].door == "rename_registered_model"
    assert rows[1].document()["evidence"] == [FIRST, SECOND]


def test_the_history_of_a_renamed_model_begins_with_its_renaming(told: list[Entry]) -> None:
    (row,) = history(told, "wavlm")

    assert (row.number, row.before, row.after) == (8, None, "2")


@pytest.mark.parametrize("model", ["hubert", "wavlm", "other", "nobody", "%"])
def test_the_entries_that_concern_a_model_are_enough_for_its_history(
    engine: Engine, told: list[Entry], model: str
) -> None:
    with engine.connect() as connection:
        concerning = list(ledger.concerning(connection, model))
        here = list(ledger.concerning(connection, model, "default"))

    assert history(concerning, model) == history(told, model) == history(here, model, "default")
    assert len(concerning) < len(told)


def test_a_workspace_has_a_history_of_its_own(engine: Engine, told: list[Entry]) -> None:
    assert len(history(told, "hubert", "default")) == 3
    assert history(told, "hubert", "lab") == []
    with engine.connect() as connection:
        assert list(ledger.concerning(connection, "hubert", "lab")) == []


@pytest.mark.parametrize(
    ("hours", "champions"),
    [
        (2.9, {}),
        (3, {"hubert": "1"}),
        (6.9, {"hubert": "1"}),
        (7, {"hubert": "2"}),
        (8, {"wavlm": "2"}),
        (24, {"wavlm": "2", "other": "1"}),
    ],
)
def test_a_moment_has_the_champions_that_it_had(told: list[Entry], hours: float, champions: dict[str, str]) -> None:
    placements = as_of(told, START + timedelta(hours=hours))

    assert {each.model: each.version for each in placements} == champions


def test_now_is_what_the_database_says_now(engine: Engine, told: list[Entry]) -> None:
    with engine.connect() as connection:
        placements = ledger.placements(connection)

    assert sorted(as_of(told, START + timedelta(days=1)), key=lambda each: each.key) == placements


def test_what_was_written_by_a_clock_that_went_back_counts_by_its_own_time(engine: Engine) -> None:
    appended(engine, change("1", None), at=START)
    entries = appended(engine, change("2", "1"), at=START - timedelta(hours=1))

    with engine.connect() as connection:
        (placement,) = as_of(ledger.entries(connection), START - timedelta(minutes=30))
    assert (placement.version, placement.number) == ("2", entries[0].number)


def test_a_moment_without_a_zone_is_refused(told: list[Entry]) -> None:
    with pytest.raises(UsageError, match="without a time zone"):
        as_of(told, datetime(2026, 11, 25))
