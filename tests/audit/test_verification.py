"""Every attack on a ledger that we could think of, played on its file by somebody who may write to it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledgers import GATE, START, accepted, appended, change, decided, new_ledger, refusal, tell, trust_in
from sqlalchemy import Engine, update

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import Checkpoint, checkpoint_of, signed
from mlflow_rank.audit.entry import Entry, Record, sealed, start_of
from mlflow_rank.audit.erasing import erase
from mlflow_rank.audit.merkle import CompactRange
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.audit.tables import ledger_table
from mlflow_rank.audit.verification import Verified, verify
from mlflow_rank.evidence.keys import PrivateKey


def attack(place: Path, *statements: str) -> None:
    """Do it as whoever has the file does: no keys of the ledger are asked."""
    with closing(sqlite3.connect(place)) as database, database:
        for statement in statements:
            database.execute(statement)


def kept(engine: Engine, key: PrivateKey | None = GATE) -> dict[str, Checkpoint]:
    with engine.connect() as connection:
        return {"the kept checkpoint": checkpoint_of(ledger.head_of(connection), key)}


def stored(place: Path) -> tuple[str, list[dict[str, Any]]]:
    with closing(sqlite3.connect(place)) as database:
        database.row_factory = sqlite3.Row
        (ledger_id,) = database.execute("SELECT ledger_id FROM rank_ledger_head").fetchone()
        return ledger_id, [dict(row) for row in database.execute("SELECT * FROM rank_ledger ORDER BY number")]


def write_anew(place: Path, rows: list[dict[str, Any]], ledger_id: str) -> None:
    """Put these entries in place of all, with numbers, hashes, head and placements that agree with one another."""
    tree, previous = CompactRange(), start_of(ledger_id)
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("DELETE FROM rank_ledger")
        for number, row in enumerate(rows):
            entry = Entry(**{**row, "number": number, "previous": previous})
            if entry.body is not None:
                digest = hashlib.sha256(bytes.fromhex(str(entry.salt)) + entry.body.encode()).hexdigest()
                entry = replace(entry, body_digest=f"sha256:{digest}")
            previous = entry.computed_hash.hex()
            tree = tree.appended(bytes.fromhex(previous))
            values = {field.name: getattr(entry, field.name) for field in fields(entry)} | {"hash": previous}
            database.execute(
                f"INSERT INTO rank_ledger ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                list(values.values()),
            )
        peaks = json.dumps([peak.hex() for peak in tree.peaks])
        database.execute("UPDATE rank_ledger_head SET size = ?, head = ?, peaks = ?", (len(rows), previous, peaks))


def test_a_ledger_that_nobody_touched_holds(engine: Engine, told: list[Entry]) -> None:
    found = verify_database(engine, kept(engine), trust=trust_in(GATE))

    assert found.holds
    assert (found.size, found.erased, found.checkpoints, found.signed) == (11, 0, 3, 3)
    assert (found.first_at, found.last_at) == (told[0].at, told[-1].at)
    assert found.remarks == ()
    with engine.connect() as connection:
        assert found.root == ledger.head_of(connection).tree.root


def test_a_ledger_in_postgresql_holds_and_what_is_changed_in_it_is_found(postgres: str) -> None:
    engine = new_ledger(postgres)
    told = tell(engine)
    with engine.begin() as connection:
        erase(connection, [4, 7], "asked by ann", "officer", at=START)
    whole = verify_database(engine, kept(engine), trust=trust_in(GATE))
    with engine.begin() as connection:
        connection.execute(update(ledger_table).where(ledger_table.c.number == 9).values(version="8"))
    changed = verify_database(engine)
    with engine.connect() as connection:
        concerning = list(ledger.concerning(connection, "wavlm"))
    engine.dispose()

    assert (whole.problems, whole.size, whole.erased) == ((), 12, 2)
    assert changed.problems == ("entry 9 was changed: what it says has another hash than " + told[9].hash[:12] + "…",)
    assert [entry.number for entry in concerning] == [7, 8, 11]


def test_an_empty_ledger_holds(engine: Engine) -> None:
    found = verify_database(engine, kept(engine))

    assert found.holds
    assert (found.size, found.first_at) == (0, None)


@pytest.mark.parametrize(
    "column", ["at", "kind", "workspace", "model", "version", "target", "reference", "body_digest", "previous", "hash"]
)
def test_a_changed_field_is_found_with_the_number_of_its_entry(
    engine: Engine, told: list[Entry], place: Path, column: str
) -> None:
    attack(place, f"UPDATE rank_ledger SET {column} = 'x' WHERE number = 4")

    problems = verify_database(engine).problems

    assert any("entry 4 was changed" in problem for problem in problems)


@pytest.mark.parametrize("column", ["workspace", "model", "version", "target", "reference"])
def test_a_field_that_was_taken_away_is_found(engine: Engine, told: list[Entry], place: Path, column: str) -> None:
    attack(place, f"UPDATE rank_ledger SET {column} = NULL WHERE number = 6")

    assert "entry 6 was changed" in verify_database(engine).problems[0]


def test_a_field_of_another_type_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "UPDATE rank_ledger SET model = x'00' WHERE number = 4")

    assert "entry 4 was changed" in verify_database(engine).problems[0]


@pytest.mark.parametrize(
    "change",
    [
        "body = replace(body, 'no', 'yes')",
        "body = ' ' || body",
        "body = ''",
        "salt = '00000000000000000000000000000000'",
        "salt = salt || '00'",
        "salt = 'no hex'",
        "salt = NULL",
        "body = NULL",
    ],
)
def test_a_changed_body_is_found(engine: Engine, told: list[Entry], place: Path, change: str) -> None:
    attack(place, f"UPDATE rank_ledger SET {change} WHERE number = 4")

    assert "the body of entry 4 was changed" in verify_database(engine).problems[0]


def test_a_salt_in_another_spelling_is_found() -> None:
    entry = sealed(refusal(), number=0, at=START, previous=start_of("it"), salt=b"\xab" * 16)

    assert verify([entry], "it").holds
    (problem,) = verify([replace(entry, salt="AB" * 16)], "it").problems
    assert problem == "the salt of entry 0 was changed: it is spelled otherwise"


def test_a_body_that_is_gone_without_an_erasure_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "UPDATE rank_ledger SET body = NULL, salt = NULL WHERE number = 4")

    assert verify_database(engine).problems == ("entry 4 has lost its body, and no erasure says so",)


def test_a_changed_entry_whose_hash_was_made_to_fit_does_not_fit_the_next(
    engine: Engine, told: list[Entry], place: Path
) -> None:
    forged = replace(told[4], version="8").computed_hash.hex()
    attack(place, f"UPDATE rank_ledger SET version = '8', hash = '{forged}' WHERE number = 4")

    assert "entry 5 does not follow entry 4: one of the two was replaced" in verify_database(engine).problems


def test_a_forged_last_entry_does_not_fit_the_head(engine: Engine, told: list[Entry], place: Path) -> None:
    forged = replace(told[10], version="8").computed_hash.hex()
    attack(place, f"UPDATE rank_ledger SET version = '8', hash = '{forged}' WHERE number = 10")

    assert verify_database(engine).problems == (
        "the head says another last entry than entry 10: one of the two was replaced",
    )


def test_a_lost_entry_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "DELETE FROM rank_ledger WHERE number IN (4, 5)")

    assert verify_database(engine).problems[0] == "entries 4 to 5 are missing"


def test_a_lost_first_entry_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "DELETE FROM rank_ledger WHERE number = 0")

    assert verify_database(engine).problems[0] == "entry 0 is missing"


def test_a_lost_last_entry_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "DELETE FROM rank_ledger WHERE number = 10")

    assert "the head says 11 entries, and there are 10: the ledger was cut short" in verify_database(engine).problems


def test_numbers_moved_up_over_a_gap_are_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(
        place, "DELETE FROM rank_ledger WHERE number = 4", "UPDATE rank_ledger SET number = number - 1 WHERE number > 4"
    )

    assert "entry 4 was changed" in verify_database(engine).problems[0]


def test_two_entries_in_each_others_place_are_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(
        place,
        "UPDATE rank_ledger SET number = -1 WHERE number = 4",
        "UPDATE rank_ledger SET number = 4 WHERE number = 9",
        "UPDATE rank_ledger SET number = 9 WHERE number = -1",
    )
    problems = str(verify_database(engine).problems)

    assert "entry 4 was changed" in problems
    assert "entry 9 was changed" in problems


def test_an_entry_before_the_first_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "UPDATE rank_ledger SET number = -3 WHERE number = 4")

    with engine.connect() as connection:
        entries = list(ledger.entries(connection, first=-10))
    assert "entry -3 stands where entry 0 belongs" in verify(entries, "x").problems


def test_an_entry_slipped_in_past_the_end_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    _, rows = stored(place)
    forged = replace(Entry(**rows[9]), number=11, previous=told[10].hash)
    values = {field.name: getattr(forged, field.name) for field in fields(forged)}
    values["hash"] = forged.computed_hash.hex()
    with closing(sqlite3.connect(place)) as database, database:
        database.execute(f"INSERT INTO rank_ledger VALUES ({', '.join('?' * len(values))})", list(values.values()))

    assert verify_database(engine).problems == (
        "the head says 11 entries, and there are 12: some were written past it",
    )


def test_a_head_whose_tree_was_changed_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, """UPDATE rank_ledger_head SET peaks = replace(peaks, '["', '["00') """)

    assert verify_database(engine).problems == (
        "the head says another tree than the entries have: one of the two was changed",
    )


def test_a_ledger_cut_short_with_a_head_that_fits_is_found_by_a_checkpoint_alone(
    engine: Engine, told: list[Entry], place: Path
) -> None:
    before = kept(engine)
    ledger_id, rows = stored(place)
    write_anew(place, rows[:10], ledger_id)
    attack(place, "DELETE FROM rank_placements WHERE model = 'other'")

    assert verify_database(engine).holds
    assert verify_database(engine, before).problems == (
        "the kept checkpoint is of 11 entries, and there are 10: the ledger was cut short",
    )


def test_a_ledger_written_anew_as_a_whole_is_found_by_a_checkpoint_alone(engine: Engine, place: Path) -> None:
    appended(engine, change("1", None), refusal(), refusal(1))
    before = kept(engine)
    ledger_id, rows = stored(place)
    write_anew(place, [rows[0], {**rows[2]}, {**rows[1]}], ledger_id)

    assert verify_database(engine).holds
    assert verify_database(engine, before).problems == (
        "the kept checkpoint has another root for the first 3 entries: they were written anew",
    )


def test_the_checkpoint_within_a_decision_finds_what_was_written_anew_before_it(
    engine: Engine, told: list[Entry], place: Path
) -> None:
    ledger_id, rows = stored(place)
    rows[4]["version"] = "8"
    write_anew(place, rows, ledger_id)

    assert verify_database(engine).problems == (
        "the checkpoint in entry 6 has another root for the first 6 entries: they were written anew",
    )


def test_a_checkpoint_within_a_decision_that_was_made_to_fit_bears_no_signature_of_the_gate(
    engine: Engine, told: list[Entry], place: Path
) -> None:
    thief = PrivateKey.from_seed(b"t" * 32)
    ledger_id, rows = stored(place)
    body = json.loads(rows[2]["body"])
    body["checkpoint"] = signed(Checkpoint(f"mlflow-rank/{ledger_id}", 2, tree_of(rows[:2]).root), thief).text
    rows[2]["body"] = json.dumps(body)
    write_anew(place, rows, ledger_id)

    problems = verify_database(engine, trust=trust_in(GATE)).problems

    assert problems[0] == "the checkpoint in entry 2 proves nothing: no signature under it holds with a trusted key"
    assert "the checkpoint in entry 6 has another root" in problems[1]


def tree_of(rows: list[dict[str, Any]]) -> CompactRange:
    tree = CompactRange()
    for row in rows:
        tree = tree.appended(bytes.fromhex(row["hash"]))
    return tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "the checkpoint in entry 1 is no checkpoint"),
        (Checkpoint("mlflow-rank/other", 1, b"r" * 32).text, "is of another ledger, mlflow-rank/other"),
        (Checkpoint("mlflow-rank/other", 7, b"r" * 32).text, "is of 7 entries, which is not how many"),
    ],
)
def test_a_checkpoint_within_a_decision_that_is_none_of_it_is_found(engine: Engine, text: str, said: str) -> None:
    body = {"decision": {}, "checkpoint": text}
    appended(engine, refusal())
    appended(engine, Record("decision", "default", "hubert", "1", None, body, "d"))

    (problem,) = verify_database(engine).problems
    assert said in problem


def test_a_checkpoint_of_another_ledger_proves_nothing(engine: Engine, told: list[Entry], tmp_path: Path) -> None:
    other = new_ledger(tmp_path / "other.db")
    tell(other)

    (problem,) = verify_database(engine, kept(other)).problems

    assert problem.startswith("the kept checkpoint is of another ledger")


def test_a_kept_checkpoint_must_be_signed_where_somebody_is_trusted(engine: Engine, told: list[Entry]) -> None:
    unsigned = kept(engine, None)

    assert verify_database(engine, unsigned).holds
    assert verify_database(engine, unsigned, trust=trust_in(GATE)).problems == (
        "the kept checkpoint proves nothing: nobody has signed it",
    )


def test_a_checkpoint_holds_on_after_more_was_appended(engine: Engine, told: list[Entry]) -> None:
    before = kept(engine)
    appended(engine, *(refusal(number) for number in range(30)))

    assert verify_database(engine, before, trust=trust_in(GATE)).holds


def test_a_placement_that_no_entry_explains_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(
        place,
        "UPDATE rank_placements SET version = '7' WHERE model = 'wavlm'",
        "DELETE FROM rank_placements WHERE model = 'other'",
        "INSERT INTO rank_placements VALUES ('default', 'mine', 'alias:champion', '1', NULL, NULL, 3)",
    )
    problems = verify_database(engine).problems

    assert len(problems) == 3
    assert problems[0].startswith("rank_placements says version 1 by entry 3")
    assert "for alias:champion of mine, and the entries say nothing" in problems[0]
    assert problems[1].startswith("rank_placements says nothing for alias:champion of other")
    assert "version 7" in problems[2]


def test_kept_evidence_that_does_not_fit_its_entry_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    with engine.connect() as connection:
        (other,) = ledger.evidence_of(connection, "default", "hubert", "2")
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("UPDATE rank_evidence SET envelope = ? WHERE version = '1'", (zlib.compress(other.envelope),))
        database.execute("UPDATE rank_evidence SET number = 3 WHERE version = '2'")

    problems = verify_database(engine).problems
    assert len(problems) == 2
    assert f"was changed: it has the digest {other.digest}" in problems[0]
    assert "is kept for entry 3, and was last accepted by entry 5" in problems[1]


def test_evidence_that_was_slipped_in_or_lost_is_found(engine: Engine, told: list[Entry], place: Path) -> None:
    attack(place, "UPDATE rank_evidence SET version = '3' WHERE version = '2'")

    problems = verify_database(engine).problems

    assert "about hubert 3 is kept, and no entry says that it was accepted" in problems[0]
    assert problems[1].startswith("entry 5 says that sha256:")


@pytest.mark.parametrize("packed", ["x'00'", "x''"])
def test_kept_evidence_that_cannot_be_unpacked_is_found(
    engine: Engine, told: list[Entry], place: Path, packed: str
) -> None:
    attack(place, f"UPDATE rank_evidence SET envelope = {packed} WHERE version = '1'")

    assert "cannot be read" in verify_database(engine).problems[0]


def test_a_clock_that_went_back_is_a_remark_and_no_fault(engine: Engine) -> None:
    appended(engine, refusal(), at=START)
    appended(engine, refusal(), at=START - timedelta(minutes=1))

    found = verify_database(engine)

    assert found.holds
    assert found.remarks == (
        "entry 1 is dated 2026-11-25T11:59:00.000000Z, before 2026-11-25T12:00:00.000000Z: the clock went back",
    )


def test_a_ledger_that_grows_while_it_is_read_holds(
    engine: Engine, told: list[Entry], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE", 4)
    real, grown = ledger.paged, list[Entry]()

    def growing(connection: Any, wanted: Any, first: int = 0) -> Any:
        for entry in real(connection, wanted, first):
            if entry.number == 5:
                digest = accepted(engine, b"later", version="3")
                decided(engine, "d3", [digest])
                grown.extend(appended(engine, change("3", "1", model="other")))
            yield entry

    monkeypatch.setattr(ledger, "paged", growing)

    found = verify_database(engine, kept(engine), trust=trust_in(GATE))

    assert grown
    assert (found.problems, found.size) == ((), 14)


def test_a_copy_of_the_file_from_yesterday_is_found_by_the_checkpoint_of_today(
    engine: Engine, told: list[Entry], place: Path, tmp_path: Path
) -> None:
    shutil.copy(place, tmp_path / "yesterday.db")
    appended(engine, refusal())
    today = kept(engine)

    found = verify_database(new_ledger(tmp_path / "yesterday.db"), today)

    assert "was cut short" in found.problems[0]


def test_a_flood_of_problems_is_told_by_its_first_ones(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_rank.audit.verification.MOST_PROBLEMS", 3)
    entries = [replace(entry, version="8") for entry in appended(engine, *(refusal(each) for each in range(9)))]

    found: Verified = verify(entries, "other")

    assert len(found.problems) == 4
    assert found.problems[-1] == "and 7 problems more"
