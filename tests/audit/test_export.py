from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import GATE, START, refusal, trust_in
from sqlalchemy import Engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import checkpoint_of
from mlflow_rank.audit.entry import Entry, sealed
from mlflow_rank.audit.export import ExportHeader, entry_line, export_lines, read_export
from mlflow_rank.audit.verification import Verified, verify
from mlflow_rank.errors import LedgerError, UsageError
from mlflow_rank.evidence.canonical import canonical_json


@pytest.fixture
def export(engine: Engine, told: list[Entry], tmp_path: Path) -> Path:
    """The export of a ledger with a little of everything, with a signed checkpoint."""
    with engine.connect() as connection:
        head = ledger.head_of(connection)
    header = ExportHeader(head.ledger_id, head.size, checkpoint_of(head, GATE))
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"".join(export_lines(header, told)))
    return path


def verified(path: Path) -> Verified:
    header, entries = read_export(path)
    return verify(entries, header.ledger_id, trust=trust_in(GATE), claimed=header.checkpoint)


def test_an_export_holds_without_its_database(export: Path, told: list[Entry]) -> None:
    found = verified(export)

    assert found.holds
    assert (found.size, found.signed) == (11, 3)
    assert list(read_export(export)[1]) == told


def test_lines_are_canonical_json_for_any_tool(export: Path, told: list[Entry]) -> None:
    lines = export.read_bytes().splitlines()

    assert all(canonical_json(json.loads(line)) == line for line in lines)
    assert json.loads(json.loads(lines[5])["body"])["door"] == "set_registered_model_alias"


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_whatever_people_write_is_exported_canonically(said: str) -> None:
    entry = sealed(refusal(), number=0, at=START, previous="0" * 64, salt=bytes(16))
    body = canonical_json({"sentence": said}).decode()
    fields = {name: getattr(entry, name) for name in Entry.__dataclass_fields__} | {"body": body}

    assert entry_line(Entry(**fields)) == canonical_json(fields)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(data=st.data())
def test_any_changed_byte_is_found_or_makes_its_line_unreadable(export: Path, data: st.DataObject) -> None:
    whole = export.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    changed = export.with_name("changed.jsonl")
    changed.write_bytes(whole[:at] + bytes([other]) + whole[at + 1 :])

    with suppress(LedgerError):
        assert not verified(changed).holds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_lost_or_doubled_or_moved_line_is_found(export: Path, data: st.DataObject) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    at, to = (data.draw(st.integers(1, len(lines) - 1)) for _ in range(2))
    without = [*lines[:at], *lines[at + 1 :]]
    changed = export.with_name("changed.jsonl")
    for other in (without, [*lines[:at], *lines[at:][:1], *lines[at:]], [*without[:to], lines[at], *without[to:]]):
        changed.write_bytes(b"".join(other))
        assert verified(changed).holds == (other == lines)


def test_what_was_appended_after_the_header_is_left_out(export: Path, told: list[Entry]) -> None:
    header, _ = read_export(export)

    assert len(list(export_lines(header, [*told, Entry(**{**vars_of(told[10]), "number": 11})]))) == 12


def vars_of(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"kind":"LedgerExport"', b'"kind":"Other"'),
        (b'"size":11', b'"size":12'),
        (b'"size":11', b'"size":"11"'),
        (b'"size":11', b'"size": 11'),
        (b'"size":11', b'"size":11,"more":1'),
        (b'"ledger_id":"', b'"ledger_id":"x'),
        (b'"checkpoint":"', b'"checkpoint":"\\n'),
        (b"{", b""),
    ],
)
def test_a_first_line_that_is_no_header_is_refused(export: Path, old: bytes, new: bytes) -> None:
    export.write_bytes(export.read_bytes().replace(old, new, 1))

    with pytest.raises(LedgerError):
        read_export(export)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"[" * 100_000, b'{"number":1', b"\xff", b'{"number":NaN}', b"null"]
)
def test_a_line_that_is_no_entry_is_refused_with_its_number(export: Path, line: bytes) -> None:
    lines = export.read_bytes().splitlines()
    export.write_bytes(b"\n".join([*lines[:4], line, *lines[5:], b""]))

    with pytest.raises(LedgerError, match=r"line 5 of .* is not what the ledger writes"):
        list(read_export(export)[1])


def test_an_export_that_ends_within_a_line_is_refused(export: Path) -> None:
    export.write_bytes(export.read_bytes()[:-1])

    with pytest.raises(LedgerError, match="line 12"):
        list(read_export(export)[1])


def test_an_empty_file_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    with pytest.raises(LedgerError, match="line 1"):
        read_export(tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot be read"):
        read_export(tmp_path / "none")


def test_verifying_holds_no_bodies(tmp_path: Path) -> None:
    def chain() -> object:
        previous = ledger.empty_head("it").hash
        for number in range(300):
            record = refusal(number)
            large = type(record)(record.kind, None, None, None, None, {"sentence": "x" * 50_000})
            entry = sealed(large, number=number, at=START, previous=previous, salt=bytes(16))
            previous = entry.hash
            yield entry

    tracemalloc.start()
    found = verify(chain(), "it")  # type: ignore[arg-type]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.holds
    assert most < 3_000_000  # bytes, of 15 million
