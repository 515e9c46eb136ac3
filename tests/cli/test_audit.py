from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ledgers import GATE, appended, change, new_ledger, refusal, tell
from sqlalchemy import Engine

from mlflow_rank.cli import main
from mlflow_rank.evidence.keys import generate_key

Audit = Callable[..., Result]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The database of a gated registry with a little of everything in its ledger; the environment names it."""
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_RANK_POLICIES", "MLFLOW_RANK_TRUST", "MLFLOW_RANK_KEY"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "mlflow.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_RANK_DATABASE", f"rank+sqlite:///{place}")
    engine = new_ledger(place)
    tell(engine)
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE registered_model_aliases (workspace, name, alias, version INTEGER)")
        database.execute("CREATE TABLE model_versions (workspace, name, version INTEGER, current_stage)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('default', 'wavlm', 'champion', 2)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('default', 'other', 'champion', 1)")
    yield engine
    engine.dispose()


@pytest.fixture
def audit(engine: Engine) -> Audit:
    """Call `mlflow-rank audit` in this process."""

    def call(*words: str | Path) -> Result:
        return CliRunner().invoke(main, ["audit", *map(str, words)])

    return call


@pytest.fixture
def gate_key(tmp_path: Path) -> Path:
    """A key of the gate, and a trust.yaml that believes it and the ledger's own."""
    public = generate_key(tmp_path / "gate.key", None)
    entries = (
        f"  - key: {key.text}\n    service: {name}\n    roles: [gate]\n"
        for key, name in ((public, "gate"), (GATE.public, "old-gate"))
    )
    text = "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n" + "".join(entries)
    (tmp_path / "trust.yaml").write_text(text)
    return tmp_path / "gate.key"


def plain_client(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute(statement)


def test_a_whole_ledger_is_said_to_hold(audit: Audit, gate_key: Path) -> None:
    result = audit("verify")

    assert result.exit_code == 0, result.output
    assert "entries      11, from 2026-11-25T12:00:00" in result.stdout
    assert "checkpoints  2 compared, 2 of them signed by a trusted gate" in result.stdout
    assert "without a checkpoint that was kept elsewhere" in result.stdout


def test_a_changed_entry_ends_with_1_and_its_number(audit: Audit, tmp_path: Path) -> None:
    plain_client(tmp_path, "UPDATE rank_ledger SET version = '8' WHERE number = 4")

    result = audit("verify")

    assert result.exit_code == 1
    assert "FAILS        entry 4 was changed" in result.stdout
    assert json.loads(audit("verify", "--json").stdout)["holds"] is False


def test_a_ledger_that_was_cut_short_is_found_by_a_checkpoint_that_was_kept(
    audit: Audit, engine: Engine, tmp_path: Path, gate_key: Path
) -> None:

    appended(engine, refusal())
    assert audit("checkpoint", "--key", gate_key, "--output", "kept.txt").exit_code == 0
    assert audit("verify", "--checkpoint", "kept.txt").exit_code == 0
    plain_client(tmp_path, "DELETE FROM rank_ledger WHERE number = 11")

    result = audit("verify", "--checkpoint", "kept.txt")

    assert result.exit_code == 1
    assert "the checkpoint kept.txt is of 12 entries, and there are 11: the ledger was cut short" in result.stdout


def test_a_checkpoint_of_somebody_else_proves_nothing(audit: Audit, gate_key: Path, tmp_path: Path) -> None:
    generate_key(tmp_path / "other.key", None)
    audit("checkpoint", "--key", "other.key", "--output", "kept.txt")

    result = audit("verify", "--checkpoint", "kept.txt")

    assert result.exit_code == 1
    assert "no signature under it holds with a trusted key" in result.stdout


def test_an_export_is_verified_and_read_without_the_database(
    audit: Audit, gate_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit("export", "--key", gate_key, "--output", "ledger.jsonl").exit_code == 0
    from_database = [audit(*words).stdout for words in (["history", "hubert"], ["as-of", "2026-11-25"])]
    (tmp_path / "mlflow.db").unlink()
    monkeypatch.delenv("MLFLOW_RANK_DATABASE")

    verified = audit("verify", "--file", "ledger.jsonl", "--json")

    assert json.loads(verified.stdout)["signed"] == 3
    assert verified.exit_code == 0
    assert from_database == [
        audit(*words, "--file", "ledger.jsonl").stdout for words in (["history", "hubert"], ["as-of", "2026-11-25"])
    ]


def test_an_export_goes_to_stdout_as_the_same_lines(audit: Audit) -> None:
    audit("export", "--output", "ledger.jsonl")

    assert audit("export").stdout_bytes == Path("ledger.jsonl").read_bytes()


def test_the_history_says_when_who_and_on_which_evidence(audit: Audit) -> None:
    result = audit("history", "hubert")
    rows = json.loads(audit("history", "hubert", "--json").stdout)

    assert result.exit_code == 0
    assert "2026-11-25 19:00:00" in result.stdout
    assert "1 -> 2" in result.stdout
    assert "bob (unverified)" in result.stdout
    assert [row["decision"] for row in rows] == ["d1", "d2", None]
    assert len(rows[1]["evidence"]) == 2


def test_the_history_of_a_model_with_a_strange_name_steers_no_terminal(audit: Audit, engine: Engine) -> None:

    appended(engine, change("1", None, model="\x1b[31mred", decision="\x1b[2J"))

    assert "\x1b" not in audit("history", "\x1b[31mred").stdout
    assert "\x1b" not in audit("as-of", "2026-11-26").stdout


@pytest.mark.parametrize(
    ("moment", "champions"),
    [
        ("2026-11-24", {}),
        ("2026-11-25", {"wavlm": "2", "other": "1"}),
        ("2026-11-25T16:30+01:00", {"hubert": "1"}),
    ],
)
def test_a_day_has_the_champions_of_its_end(audit: Audit, moment: str, champions: dict[str, str]) -> None:
    rows = json.loads(audit("as-of", moment, "--json").stdout)

    assert {row["model"]: row["version"] for row in rows} == champions


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-25T12:00"])
def test_what_is_no_moment_is_a_wrong_call(audit: Audit, moment: str) -> None:
    assert audit("as-of", moment).exit_code == 2


def test_a_proof_is_written_and_checked_without_the_ledger(audit: Audit, gate_key: Path, tmp_path: Path) -> None:
    audit("checkpoint", "--key", gate_key, "--output", "kept.txt")
    assert audit("prove", "7", "--checkpoint", "kept.txt", "--output", "proof.json").exit_code == 0
    (tmp_path / "mlflow.db").unlink()

    result = audit("prove", "--check", "proof.json", "--checkpoint", "kept.txt")

    assert result.exit_code == 0, result.output
    assert "entry 7 (change, 2026-11-25T19:00:00.000000Z) is among the 11 of" in result.stdout
    assert "whose checkpoint a trusted gate signed" in result.stdout


def test_a_proof_that_was_changed_or_is_unsigned_does_not_hold(audit: Audit, gate_key: Path) -> None:
    audit("prove", "7", "--output", "proof.json")
    unsigned = audit("prove", "--check", "proof.json")
    proof = Path("proof.json")
    proof.write_text(proof.read_text().replace('"version": "2"', '"version": "3"'))
    changed = audit("prove", "--check", "proof.json")

    assert (unsigned.exit_code, changed.exit_code) == (1, 1)
    assert "FAILS  the checkpoint proves nothing: nobody has signed it" in unsigned.stdout
    assert "FAILS  entry 7 was changed" in changed.stdout


def test_without_trust_a_proof_says_what_was_not_looked_at(audit: Audit) -> None:
    audit("prove", "7", "--output", "proof.json")

    result = audit("prove", "--check", "proof.json")

    assert result.exit_code == 0
    assert "whether its checkpoint is to be believed was not looked at" in result.stdout


@pytest.mark.parametrize(
    "words", [["prove"], ["prove", "3", "--check", "proof.json"], ["prove", "99"], ["erase", "99"]]
)
def test_a_wrong_call_ends_with_2(audit: Audit, words: list[str]) -> None:
    assert audit(*words).exit_code == 2


def test_a_registry_that_the_ledger_explains_is_reconciled(audit: Audit) -> None:
    result = audit("reconcile")

    assert result.exit_code == 0, result.output
    assert "0 findings" in result.stderr


def test_what_a_plain_client_set_is_found_and_recorded_once(audit: Audit, tmp_path: Path) -> None:
    plain_client(tmp_path, "UPDATE registered_model_aliases SET version = 9 WHERE name = 'wavlm'")

    dry, first, again = audit("reconcile", "--dry-run"), audit("reconcile"), audit("reconcile", "--json")

    assert (dry.exit_code, first.exit_code, again.exit_code) == (1, 1, 1)
    assert "none recorded" in dry.stderr
    assert "1 findings, 1 of them new and recorded" in first.stderr
    assert first.stdout == (
        "FINDING  workspace default: alias:champion of wavlm is version 9, and by the ledger version 2\n"
    )
    assert "0 of them new" in again.stderr
    assert json.loads(again.stdout)[0]["registry"] == "9"
    assert audit("verify").exit_code == 0


def test_what_policies_leave_alone_is_not_reconciled(audit: Audit, tmp_path: Path) -> None:
    plain_client(tmp_path, "INSERT INTO registered_model_aliases VALUES ('default', 'wavlm', 'scratch', 1)")
    policy = (Path(__file__).parents[2] / "policies" / "speech-encoder.yaml").read_text(encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(
        policy.replace("# ungated_aliases: [candidate,", "ungated_aliases: [scratch,")
    )

    everything = audit("reconcile", "--dry-run")
    governed = audit("reconcile", "--dry-run", "--policy", "policy.yaml")

    assert (everything.exit_code, governed.exit_code) == (1, 0), governed.output
    assert "alias:scratch of wavlm is version 1, and nothing in the ledger put it there" in everything.stdout


def test_erasing_asks_and_leaves_a_ledger_that_holds(audit: Audit, tmp_path: Path) -> None:
    asked = audit("erase", "4", "--reason", "asked by ann")
    erased = audit("erase", "4", "7", "--reason", "asked by ann", "--actor", "officer", "--yes")

    assert asked.exit_code == 2
    assert "there is nobody here to ask" in asked.stderr
    assert erased.exit_code == 0, erased.output
    assert "erased 2 bodies; entry 11 says so" in erased.stderr
    assert "erased       2" in audit("verify").stdout
    assert "(erased)" in audit("history", "hubert").stdout


@pytest.mark.parametrize("words", [["verify"], ["history", "hubert"], ["as-of", "2026-11-25"], ["export"],
                                   ["checkpoint"], ["prove", "3"], ["reconcile", "--dry-run"]])  # fmt: skip
def test_reading_changes_nothing_in_the_file(audit: Audit, tmp_path: Path, words: list[str]) -> None:
    before = (tmp_path / "mlflow.db").read_bytes()

    assert audit(*words).exit_code == 0
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_reading_goes_on_while_somebody_is_writing(audit: Audit, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE rank_ledger_head SET size = size")
        result = audit("verify")
        writer.execute("ROLLBACK")

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("database", "code", "said"),
    [
        ("sqlite:///none.db", 2, "there is no such database"),
        ("sqlite://", 2, "there is no such database"),
        ("http://localhost:5000", 2, "from its database, not from a server"),
        ("mlflow.db", 2, "names no database"),
        ("nosuch://x/y", 2, "no such kind of database"),
        ("sqlite:///plain.db", 3, "there is no ledger in this database"),
        ("sqlite:///text.db", 3, "cannot be used"),
    ],
)
def test_what_is_no_ledger_is_said_in_one_message(audit: Audit, database: str, code: int, said: str) -> None:
    sqlite3.connect("plain.db").close()
    Path("plain.db").touch()
    Path("text.db").write_text("no database, but long enough to be looked at as one" * 10)

    result = audit("verify", "--database", database)

    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert not Path("none.db").exists()


def test_text_that_nobody_can_decode_does_not_pass_for_a_ledger_that_holds(audit: Audit, tmp_path: Path) -> None:
    plain_client(tmp_path, "UPDATE rank_ledger SET model = CAST(x'ff' AS TEXT) WHERE number = 4")

    result = audit("verify")

    assert result.exit_code == 3
    assert "Could not decode to UTF-8" in result.stderr


def test_a_password_is_never_shown(audit: Audit) -> None:
    for database in ("postgresql+psycopg2://me:secret@127.0.0.1:1/x", "http://me:secret@localhost", "me:secret@x"):
        assert "secret" not in audit("verify", "--database", database).output


def test_without_a_database_the_call_is_wrong(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RANK_DATABASE")

    result = audit("verify")

    assert result.exit_code == 2
    assert "MLFLOW_REGISTRY_URI" in result.stderr


def test_the_registry_of_mlflow_is_the_database_where_no_other_is_named(
    audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RANK_DATABASE")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")

    assert audit("verify").exit_code == 0
