from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import START, appended, change
from sqlalchemy import Engine

from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.placements import Key
from mlflow_rank.audit.reconcile import Finding, reconcile, unrecorded
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.registry.gate.placed import placed
from mlflow_rank.workflow.auditing import find_deviations

CHAMPION: Key = ("default", "hubert", "alias:champion")
keys = st.tuples(st.just("default"), st.sampled_from("ab"), st.sampled_from(["alias:x", "alias:y", "stage:Staging"]))
placements = st.dictionaries(keys, st.sampled_from("12"))


def always(workspace: str, model: str, target: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("known", "there", "said"),
    [
        ({CHAMPION: "1"}, {CHAMPION: "2"}, "alias:champion of hubert is version 2, and by the ledger version 1"),
        ({}, {CHAMPION: "2"}, "alias:champion of hubert is version 2, and nothing in the ledger put it there"),
        ({CHAMPION: "1"}, {}, "alias:champion of hubert is gone, and by the ledger it is version 1"),
    ],
)
def test_what_the_ledger_cannot_explain_is_said(known: dict[Key, str], there: dict[Key, str], said: str) -> None:
    (finding,) = reconcile(known, there.items(), always)

    assert finding.sentence == said
    assert finding.record().body["sentence"] == said


@given(placements, placements)
def test_a_target_is_found_exactly_where_the_two_differ(known: dict[Key, str], there: dict[Key, str]) -> None:
    found = reconcile(known, there.items(), always)

    differing = {key for key in known.keys() | there.keys() if known.get(key) != there.get(key)}
    assert {(each.workspace, each.model, each.target) for each in found} == differing
    assert len(found) == len(differing)


@given(placements, placements)
def test_what_nobody_protects_is_not_found(known: dict[Key, str], there: dict[Key, str]) -> None:
    found = reconcile(known, there.items(), lambda workspace, model, target: target == "alias:x")

    assert all(each.target == "alias:x" for each in found)


def test_an_alias_in_another_spelling_is_looked_up_as_the_target_that_it_means() -> None:
    written: Key = ("default", "hubert", "alias:Champion")

    assert reconcile({CHAMPION: "1"}, [(written, "1")], always) == []
    assert reconcile({written: "1"}, [(written, "1")], always) == []
    assert [each.registry for each in reconcile({CHAMPION: "1"}, [(CHAMPION, "1"), (written, "3")], always)] == ["3"]


def test_an_alias_that_only_looks_like_one_is_found_as_it_stands() -> None:
    cyrillic: Key = ("default", "hubert", "alias:сhampion")

    (finding,) = reconcile({CHAMPION: "1"}, [(CHAMPION, "1"), (cyrillic, "3")], always)
    assert (finding.target, finding.ledger, finding.registry) == ("alias:сhampion", None, "3")


def test_a_finding_is_new_until_it_is_recorded_and_again_after_a_change(engine: Engine) -> None:
    finding = Finding("default", "hubert", "alias:champion", None, "7")

    def new() -> list[Finding]:
        with engine.connect() as connection:
            return unrecorded(connection, [finding])

    assert new() == [finding]
    appended(engine, finding.record())
    assert new() == []
    appended(engine, Finding("default", "hubert", "alias:champion", None, "8").record())
    assert new() == [finding]
    appended(engine, finding.record())
    appended(engine, change("1", None))
    assert new() == [finding]


@pytest.fixture
def registry(engine: Engine, told: list[Entry], place: Path) -> Path:
    """MLflow's two tables beside the ledger, as the ledger says that they should be."""
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE registered_model_aliases (workspace, name, alias, version INTEGER)")
        database.execute("CREATE TABLE model_versions (workspace, name, version INTEGER, current_stage)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('default', 'wavlm', 'champion', 2)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('default', 'other', 'champion', 1)")
        rows = [(1, "None"), (2, "Production"), (3, "Production"), (4, "Deleted_Internal")]
        database.executemany("INSERT INTO model_versions VALUES ('default', 'wavlm', ?, ?)", rows)
    return place


def test_a_stage_is_the_newest_version_in_it(engine: Engine, registry: Path) -> None:
    with engine.connect() as connection:
        there = dict(placed(connection))

    assert there == {
        ("default", "wavlm", "alias:champion"): "2",
        ("default", "other", "alias:champion"): "1",
        ("default", "wavlm", "stage:Production"): "3",
    }


def test_what_a_plain_client_did_is_found_and_recorded_once(engine: Engine, registry: Path) -> None:
    with closing(sqlite3.connect(registry)) as database, database:
        database.execute("UPDATE registered_model_aliases SET version = 9 WHERE name = 'wavlm'")
    later = START + timedelta(days=1)

    dry = find_deviations(engine, always, record=False, now=later)
    first = find_deviations(engine, always, record=True, now=later)
    again = find_deviations(engine, always, record=True, now=later)

    assert [each.target for each in dry[0]] == ["alias:champion", "stage:Production"]
    assert dry == (first[0], 0)
    assert (first[1], again[1]) == (2, 0)
    assert again[0] == first[0]
    found = verify_database(engine)
    assert (found.holds, found.size) == (True, 13)
